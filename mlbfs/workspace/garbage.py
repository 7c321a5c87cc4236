"""gc of a repository: what is kept, and who is asked before anything goes.

Owns: the list of what keeps content: refs, heads and reflogs, workspaces, live mounts.
Layer: workspace. What is not reachable is removed by `store/gc.py`.

Concurrency: the list is made while no writer can be at work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.errors import ConflictError
from mlbfs.git.roots import Root, iter_roots
from mlbfs.store.gc import collect
from mlbfs.workspace.kept import workspace_branch, workspace_commits
from mlbfs.workspace.reachability import Walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from mlbfs.ids import ObjectId
    from mlbfs.store.gc import GcResult
    from mlbfs.workspace.source import SnapshotSource


def collect_garbage(
    source: SnapshotSource,
    directory: Path,
    *,
    mounted: Callable[[], Mapping[str, ObjectId]] | None,
    repack: bool,
    dry_run: bool,
) -> GcResult:
    """Removes what nothing needs; see `Repository.gc`.

    Args:
        source: The repository's content.
        directory: `.git/mlbfs`.
        mounted: Returns the commits that live mounts show, by what they have mounted.
        repack: Rewrite packs of which a large part is not needed.
        dry_run: Only count.
    """
    walk = Walk(source)

    def roots() -> Iterator[Root]:
        yield from iter_roots(source.git)
        shown = mounted() if mounted is not None else {}
        yield from (Root(commit, f"mount of {name}") for name, commit in shown.items())
        yield from _workspace_roots(directory / "workspaces", shown)

    return collect(
        source.store,
        lambda: walk.file_ids(roots()),
        live_trees=lambda: walk.trees,
        repack=repack,
        dry_run=dry_run,
    )


def _workspace_roots(folder: Path, mounted: Mapping[str, ObjectId]) -> Iterator[Root]:
    for root in sorted(folder.glob("*")):
        branch = workspace_branch(root)
        commits = workspace_commits(root)
        if commits is None and branch not in mounted:
            raise ConflictError(
                f"the workspace of branch {branch!r} is in use",
                hint="wait until the program that uses it has ended",
            )
        yield from (Root(commit, f"workspace of {branch}") for commit in commits or ())
