"""Opens what a request asks for: the repository and the view that the mount shows.

Owns: the choice of view: branches are workspaces, all else is a snapshot.
Layer: mount. Imports workspace, git and store; not the facade, whose imports would double the time
that a mount takes.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlbfs.git.repository import GitRepository
from mlbfs.git.revisions import RefKind
from mlbfs.mount.all_view import AllView
from mlbfs.mount.git_view import GitView, Head, root_head
from mlbfs.mount.recovered import found_by, sentence
from mlbfs.mount.snapshot_view import SnapshotView
from mlbfs.store.chunkstore import ChunkStore
from mlbfs.workspace.snapshot import Snapshot
from mlbfs.workspace.source import SnapshotSource
from mlbfs.workspace.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlbfs.git.commits import Commit
    from mlbfs.git.revisions import ResolvedRef
    from mlbfs.mount.launch import MountRequest
    from mlbfs.mount.recovered import Found
    from mlbfs.mount.view import View

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Assembly:
    """An open repository with the view of one mount.

    Attributes:
        source: The open repository.
        view: What the mount shows.
        workspace: The same as `view` if it can be written, else None.
        kind: "branch", "tag", "commit" or "all".
        ref: Short name of what is mounted, "" for all.
        commit: The commit that was mounted, None for all.
        recovery: What was found of a mount before it that was not unmounted.
        is_stable: Whether the entries of a folder change through this mount alone.
    """

    source: SnapshotSource
    view: View
    workspace: Workspace | None
    kind: str
    ref: str
    commit: Commit | None
    recovery: Found | None = None
    is_stable: Callable[[int], bool] = lambda _: True

    def close(self) -> None:
        """Closes the view, then the repository."""
        self.view.close()
        self.source.store.close()
        self.source.git.close()


def assemble(request: MountRequest) -> Assembly:
    """Opens what `request` asks for.

    Raises:
        NotFoundError: There is no such repository or ref.
        ConflictError: The branch's workspace is open in another process, or a Git work tree has
            the branch checked out.
    """
    with contextlib.ExitStack() as stack:
        git = stack.enter_context(contextlib.closing(GitRepository.open(request.git_dir)))
        store = stack.enter_context(ChunkStore.open(request.git_dir / "mlbfs"))
        made = _assemble(SnapshotSource(git, store), request)
        if git.config_bool("mlbfs.gitView", default=True):
            made = replace(made, view=_with_git(made, request))
        stack.pop_all()
        return made


def _assemble(source: SnapshotSource, request: MountRequest) -> Assembly:
    if request.ref is None:
        every = AllView(source)
        return Assembly(source, every, None, "all", "", None, is_stable=every.is_stable)
    found = source.git.resolve(request.ref)
    commit = source.git.read_commit(found.commit)
    kind = _kind(found)
    # Read now, so that a tree that cannot be shown is told of by name and not by an I/O error.
    Snapshot(source, commit).list()
    if kind != "branch" or request.read_only:
        view = SnapshotView(Snapshot(source, commit))
        return Assembly(source, view, None, kind, found.short, commit)
    source.git.check_not_checked_out(found.short, instead="mount it with --read-only")
    workspace = Workspace.open_for(
        source, found.short, commit, name=request.workspace, new=request.new_workspace
    )
    recovery = found_by(workspace)
    if recovery is not None:
        log.warning("%s (%s)", sentence(recovery), workspace.recovery)
    base = workspace.base
    return Assembly(source, workspace, workspace, kind, found.short, base, recovery=recovery)


def _with_git(made: Assembly, request: MountRequest) -> GitView:
    """Returns the view with the Git directory over each folder that shows a commit."""
    view, workspace = made.view, made.workspace
    head_of: Callable[[int], Head | None]
    if isinstance(view, AllView):
        head_of = view.head_of
    elif workspace is not None:
        head_of = root_head(lambda: Head(workspace.base.id, workspace.branch))
    else:
        assert made.commit is not None, "a snapshot is that of a commit"
        branch = made.ref if made.kind == "branch" else None
        head = Head(made.commit.id, branch)
        head_of = root_head(lambda: head)
    status = None if workspace is None else workspace.status
    return GitView(view, made.source, request.directory, head_of, status)


def _kind(found: ResolvedRef) -> str:
    if found.kind is RefKind.BRANCH:
        return "branch"
    return "tag" if found.kind is RefKind.TAG else "commit"
