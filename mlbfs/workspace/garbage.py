"""gc of a repository: what is kept, and who is asked before anything goes.

Owns: the list of what keeps content: refs, heads and reflogs, workspaces, live mounts, the indexes
of work trees, and what was stored lately.
Layer: workspace. What is not reachable is removed by `store/gc.py`.

Concurrency: the list is made while no writer can be at work.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from mlbfs.errors import ConflictError
from mlbfs.git.pointers import MAX_POINTER_SIZE, parse_pointer
from mlbfs.git.roots import Root, iter_roots
from mlbfs.git.staged import staged_blobs
from mlbfs.store.gc import collect
from mlbfs.workspace.cleaning import Cleaner
from mlbfs.workspace.kept import list_workspaces
from mlbfs.workspace.reachability import Walk
from mlbfs.workspace.recent import forget_expired, recent_ids
from mlbfs.workspace.scratch import remove_scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from mlbfs.ids import FileId, ObjectId
    from mlbfs.store.gc import GcResult
    from mlbfs.workspace.source import SnapshotSource


def collect_garbage(
    source: SnapshotSource,
    directory: Path,
    *,
    mounted: Callable[[], Mapping[str, Iterable[ObjectId]]] | None,
    repack: bool,
    dry_run: bool,
) -> GcResult:
    """Removes what nothing needs; see `Repository.gc`.

    Args:
        source: The repository's content.
        directory: `.git/mlbfs`.
        mounted: Returns the commits that live mounts show, by the name of their workspace, or by
            the folder of a mount that has none.
        repack: Rewrite packs of which a large part is not needed.
        dry_run: Only count.
    """
    walk = Walk(source)

    def roots() -> Iterator[Root]:
        yield from iter_roots(source.git)
        shown = mounted() if mounted is not None else {}
        for name, commits in shown.items():
            yield from (Root(commit, f"mount of {name}") for commit in commits)
        yield from _workspace_roots(directory, shown)

    def live() -> Iterator[FileId]:
        yield from walk.file_ids(roots())
        for file_id in chain(_staged(source), recent_ids(directory)):
            if source.store.file_size(file_id) is not None:
                yield file_id
        if not dry_run:
            forget_expired(directory)
            remove_scratch(directory)
            source.waiting.tidy()

    if not dry_run:
        with Cleaner(source) as cleaner:  # what a killed process of Git has left
            cleaner.hand_over()
    return collect(
        source.store,
        live,
        live_trees=lambda: walk.trees,
        repack=repack,
        dry_run=dry_run,
    )


def _staged(source: SnapshotSource) -> Iterator[FileId]:
    """Yields the content that the indexes of Git's work trees name, committed or not."""
    for blob in staged_blobs(source.git):
        size = source.git.blob_size(blob)
        pointer = parse_pointer(source.git.read_blob(blob)) if size < MAX_POINTER_SIZE else None
        if pointer is not None:
            yield pointer.file_id


def _workspace_roots(directory: Path, mounted: Mapping[str, Iterable[ObjectId]]) -> Iterator[Root]:
    for found in list_workspaces(directory):
        if found.holder and found.name not in mounted:
            raise ConflictError(
                f"the workspace {found.name!r} of branch {found.branch!r} is in use",
                hint="wait until the program that uses it has ended",
            )
        yield from (Root(commit, f"workspace {found.name}") for commit in found.commits)
