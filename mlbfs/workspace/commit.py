"""Records the changes of a workspace as a commit of its branch.

Owns: the commit point, and what the workspace notes of a commit.
Layer: workspace.

Invariants:
  C1. Order: packs durable, index durable, Git objects durable, the overlay's note of the new commit
      durable, then the branch moves by compare-and-swap. The move is the commit point. A kill
      before it leaves the changes as they were; after it, the next open reads the note and
      counts the changes as committed.
  C2. The changes are those of one moment, the begin (recording.py).
  C3. A file whose content comes out as it was is no change.

Concurrency: one commit at a time. The workspace's lock is held to collect the changes and to mark
them as committed, not in between.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbfs.errors import ConflictError, ErrorKind, InvalidInputError, StorageError
from mlbfs.ids import short_hex
from mlbfs.workspace import content
from mlbfs.workspace.diff import ChangeKind, diff_entries
from mlbfs.workspace.recording import NothingToCommitError, Recorded, Recording
from mlbfs.workspace.selection import EVERYTHING
from mlbfs.workspace.snapshot import Snapshot
from mlbfs.workspace.tagging import note_tag
from mlbfs.workspace.vfs_errors import VfsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlbfs.git.commits import Commit, Signature
    from mlbfs.ids import ObjectId
    from mlbfs.workspace.core import Core
    from mlbfs.workspace.datafiles import DataKey
    from mlbfs.workspace.dirty import Item
    from mlbfs.workspace.overlay import Overlay
    from mlbfs.workspace.rows import Entry
    from mlbfs.workspace.selection import Selection
    from mlbfs.workspace.storing import Captured, Stored

__all__ = ["CommitRequest", "CommitResult", "Committer", "NothingToCommitError", "finish_commit"]

PENDING = "pending_commit"
PENDING_GENERATION = "pending_generation"


@dataclass(frozen=True, slots=True)
class CommitRequest:
    """What to record, and what with it.

    Attributes:
        selection: The paths to record; what changed elsewhere stays changed.
        tag: Name of the annotated tag that the commit is to get.
        check: Raises if the commit has been given up; asked until the commit point.
        progress: Called with the bytes that were stored and those that there are.
    """

    message: str
    author: Signature
    committer: Signature
    selection: Selection = EVERYTHING
    tag: str | None = None
    check: Callable[[], None] = lambda: None
    progress: Callable[[int, int], None] = lambda _done, _total: None


@dataclass(frozen=True, slots=True)
class CommitResult:
    """What a commit recorded.

    Attributes:
        commit: The new head of the branch.
        added: Number of files that are new.
        modified: Number of files with other content, mode or type.
        deleted: Number of files that are gone.
        skipped_empty: Folders that Git cannot keep because they are empty.
        skipped_special: FIFOs, sockets and devices.
        skipped_refused: Names that Git refuses, such as `.git`.
        hardlinks_split: Names that were one file here and are several files in Git; their content
            is stored once.
        new_bytes: Bytes that the chunk store did not have.
        carried_from: The commit that the workspace stood on, if the branch had moved on and the
            changes were put on top of that.
    """

    commit: Commit
    added: int
    modified: int
    deleted: int
    skipped_empty: list[bytes]
    skipped_special: list[bytes]
    skipped_refused: list[bytes]
    hardlinks_split: list[bytes]
    new_bytes: int
    carried_from: Commit | None = None


class Committer:
    """Commits of one workspace."""

    def __init__(self, core: Core, ref: str, read_file: Callable[[bytes], bytes | None]) -> None:
        self._core = core
        self._source = core.source
        self._ref = ref
        self._read_file = read_file

    def run(self, base: Commit, request: CommitRequest) -> CommitResult:
        """Commits on top of `base`.

        Raises:
            ConflictError: The branch is not at `base` any more (REF_MOVED), or a Git work tree has
                it checked out (BRANCH_CHECKED_OUT); nothing changed.
            NothingToCommitError: There is nothing that Git could keep.
            StorageError: The device refused; nothing changed.
        """
        if not request.message.strip():
            raise InvalidInputError("the commit message is empty", hint="say what changed, and why")
        self._check_branch(base)
        with Recording(
            self._core,
            base,
            self._read_file,
            selection=request.selection,
            check=request.check,
            progress=request.progress,
            ends=True,
        ) as recording:
            recorded = recording.write(
                request.message,
                request.author,
                request.committer,
                lambda commit_id: self._publish(base, commit_id, recording.captured, request),
            )
            result = self._result(base, recorded, recording.captured)
            self._mark_committed(recording, result)
        return result

    # Beginning and end

    def _check_branch(self, base: Commit) -> None:
        """Refuses at once what compare-and-swap would refuse after all the work.

        It would not refuse to move a branch under a work tree of Git.
        """
        name = self._ref.removeprefix("refs/heads/")
        self._source.git.check_not_checked_out(name)
        found = self._source.git.refs.read(self._ref)
        if found is None:
            bring_back = f"mlbfs branch {shlex.quote(name)} {short_hex(base.id)}"
            raise ConflictError(
                f"branch {name!r} does not exist any more",
                kind=ErrorKind.REF_MOVED,
                hint=f"bring it back and commit again: {bring_back}",
            )
        if found != base.id:
            raise ConflictError(
                f"branch {name!r} has moved away from {short_hex(base.id)}, "
                "which the changes were made on",
                kind=ErrorKind.REF_MOVED,
                hint="commit again: nothing is lost",
            )

    def _mark_committed(self, recording: Recording, result: CommitResult) -> None:
        core, captured = self._core, recording.captured
        # One turn of the lock: a writer must not see a row from before and its file gone.
        with core.lock:
            try:
                unused = core.freeing(lambda: self._note(recording, result))
            except VfsError as err:
                raise StorageError(
                    f"{short_hex(result.commit.id)} was committed, "
                    f"but the workspace cannot note it: {err}",
                    hint="unmount and mount it again",
                ) from err
            core.committed = captured.generation
            core.forget_nodes()
            for key in unused:
                core.doom(key)

    def _note(self, recording: Recording, result: CommitResult) -> list[DataKey]:
        """Stores what is committed; returns the data files that are not needed any more."""
        core, captured = self._core, recording.captured
        unused: list[DataKey] = []
        with core.changing():
            recording.keep_contents()
            for ino, stored in captured.stored.items():
                unused += self._let_go(ino, stored, captured.generation)
            for entry in self._kept_back(captured, result):
                core.overlay.renew_entry(entry, core.generation)
            finish_commit(core.overlay, result.commit.id, captured.generation)
        return unused

    def _let_go(self, ino: int, stored: Stored, generation: int) -> Iterator[DataKey]:
        """Makes a large file read from the store, if it did not change since it was captured.

        Yields its data file, which is not needed any more: otherwise what is written to a mount
        would lie on the disk twice until it is mounted again.
        """
        core = self._core
        node = core.overlay.node(ino)
        if node is None or not node.data or node.gen > generation or core.writers[ino]:
            return
        seen = core.node_attributes(node)
        if stored.size <= content.COPY_LIMIT or seen.size != stored.size:
            return
        yield ino, node.data
        node.atime, node.mtime, node.ctime = seen.atime_ns, seen.mtime_ns, seen.ctime_ns
        node.data, node.base, node.base_size = 0, stored.content, stored.size
        core.overlay.clip_extents(ino, 0)
        core.overlay.update_node(node)

    def _kept_back(self, captured: Captured, result: CommitResult) -> Iterator[Entry]:
        """Yields the names that the commit could not take, to be told of again.

        Folders that are empty are not among them: they live on, and become a change when they get
        content.
        """
        paths = {*result.skipped_special, *result.skipped_refused}
        for item in captured.items:
            if item.path in paths:
                yield item.entry

    # Recording

    def _publish(
        self, base: Commit, commit_id: ObjectId, captured: Captured, request: CommitRequest
    ) -> None:
        overlay = self._core.overlay
        with self._core.changing():
            overlay.set(PENDING, commit_id)
            overlay.set(PENDING_GENERATION, captured.generation)
            note_tag(overlay, commit_id, request.tag)
        with self._core.lock:
            overlay.sync()  # C1
        subject = request.message.strip().partition("\n")[0]
        self._source.git.refs.compare_and_swap(
            self._ref,
            base.id,
            commit_id,
            identity=request.committer,
            message=f"commit: {subject}",
        )

    def _result(self, base: Commit, recorded: Recorded, captured: Captured) -> CommitResult:
        commit = self._source.git.read_commit(recorded.commit_id)
        kinds = list(self._changes(base, commit, captured))
        added, deleted = kinds.count(ChangeKind.ADDED), kinds.count(ChangeKind.DELETED)
        return CommitResult(
            commit,
            added,
            len(kinds) - added - deleted,
            deleted,
            recorded.dropped_empty,
            [item.path for item in recorded.skipped if not item.is_hostile],
            [item.path for item in recorded.skipped if item.is_hostile],
            _split_links(captured.items),
            recorded.new_bytes,
        )

    def _changes(self, base: Commit, commit: Commit, captured: Captured) -> Iterator[ChangeKind]:
        """Yields how each path changed; looks only where something may have."""
        old, new = Snapshot(self._source, base), Snapshot(self._source, commit)
        paths = [item.path for item in captured.items if not item.inside]
        for path in (*paths, *captured.above):
            for change in diff_entries(self._source, path, old.get(path), new.get(path)):
                yield change.kind


def _split_links(items: list[Item]) -> list[bytes]:
    """Returns the paths of files that have another name in the workspace."""
    return [
        item.path
        for item in items
        if item.is_regular and item.node is not None and item.node.nlink > 1
    ]


def finish_commit(overlay: Overlay, commit_id: bytes, generation: int) -> None:
    """Notes that everything up to a generation is committed; in a transaction."""
    overlay.set("base", commit_id)
    overlay.set("committed", generation)
    overlay.delete(PENDING)
    overlay.delete(PENDING_GENERATION)
