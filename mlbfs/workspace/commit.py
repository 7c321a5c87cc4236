"""Records the changes of a workspace as a commit of its branch.

Owns: the order of a commit, and what of an overlay becomes part of a tree.
Layer: workspace.

Invariants:
  C1. Order: packs durable, index durable, Git objects durable, the overlay's note of the new commit
      durable, then the branch moves by compare-and-swap. The move is the commit point. A kill
      before it leaves the changes as they were; after it, the next open reads the note and
      counts the changes as committed.
  C2. The changes are those of one moment, the begin: files that are written afterwards get a new
      data file (W8) and stay changed for the next commit (W6).
  C3. A file whose content comes out as it was is no change.

Concurrency: one commit at a time. The workspace's lock is held to collect the changes and to mark
them as committed, not in between.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbfs.errors import ConflictError, ErrorKind, StorageError, UserError
from mlbfs.ids import ObjectId, short_hex
from mlbfs.store.dirindex import EntryKind
from mlbfs.workspace import content
from mlbfs.workspace.diff import ChangeKind, diff_entries
from mlbfs.workspace.dirty import Item, collect_items
from mlbfs.workspace.extents import Extents
from mlbfs.workspace.inodes import ROOT_INODE
from mlbfs.workspace.snapshot import NS_PER_S, Snapshot
from mlbfs.workspace.status import known_content
from mlbfs.workspace.storing import Captured, FileStoring, Stored
from mlbfs.workspace.treeedit import NewEntry, TreeEdit
from mlbfs.workspace.vfs_errors import VfsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlbfs.git.commits import Commit, Signature
    from mlbfs.git.objects import ObjectWriter
    from mlbfs.workspace.core import Core
    from mlbfs.workspace.datafiles import DataKey
    from mlbfs.workspace.overlay import Overlay
    from mlbfs.workspace.rows import Entry, Node

PENDING = "pending_commit"
PENDING_GENERATION = "pending_generation"

GATHER_LIMIT = 8 << 20
"""Files up to this that stand on a base are gathered in memory, so that a policy can send them to
Git; longer ones are streamed to the chunk store."""


_STREAM_STEP = 1 << 20


class NothingToCommitError(UserError):
    """The tree would be the one that the branch has."""

    default_kind = ErrorKind.NOTHING_TO_COMMIT


@dataclass(frozen=True, slots=True)
class CommitRequest:
    """What to record with the changes."""

    message: str
    author: Signature
    committer: Signature


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
        self._check_branch(base)
        captured = self._capture()
        try:
            result = self._record(base, request, captured)
            self._mark_committed(captured, result)
        finally:
            self._release(captured)
        return result

    # Beginning and end

    def _check_branch(self, base: Commit) -> None:
        """Refuses at once what compare-and-swap would refuse after all the work.

        It would not refuse to move a branch under a work tree of Git.
        """
        name = self._ref.removeprefix("refs/heads/")
        self._source.git.check_not_checked_out(name)
        found = self._source.git.refs.read(self._ref)
        if found != base.id:
            raise ConflictError(
                f"branch {name!r} has moved away from {short_hex(base.id)}, "
                "which the changes were made on",
                kind=ErrorKind.REF_MOVED,
                hint="unmount and mount again: changes at other paths are carried over; "
                "nothing is lost",
            )

    def _capture(self) -> Captured:
        core = self._core
        with core.lock:
            with core.changing():
                captured = Captured(core.generation, collect_items(core))
                core.overlay.set("generation", core.generation + 1)
                frozen = {node.ino for node in self._changed_files(captured)}
            core.generation += 1
            core.frozen |= frozen
        return captured

    def _changed_files(self, captured: Captured) -> Iterator[Node]:
        """Notes length and extents of the captured files; yields those that will be read."""
        core = self._core
        for item in captured.items:
            node = item.node
            if node is None or not item.is_regular:
                continue
            captured.sizes[node.ino] = core.node_attributes(node).size
            if item.is_keepable and known_content(node, core.committed) is None:
                if node.base_size:
                    captured.extents[node.ino] = Extents(core.extents(node))
                yield node

    def _mark_committed(self, captured: Captured, result: CommitResult) -> None:
        core = self._core
        # One turn of the lock: a writer must not see a row from before and its file gone.
        with core.lock:
            try:
                unused = core.freeing(lambda: self._note(captured, result))
            except VfsError as err:
                raise StorageError(
                    f"{short_hex(result.commit.id)} was committed, "
                    f"but the workspace cannot note it: {err}",
                    hint="unmount and mount it again",
                ) from err
            core.committed = captured.generation
            core.forget_nodes()
            for key in unused:
                core.data.remove(key)

    def _note(self, captured: Captured, result: CommitResult) -> list[DataKey]:
        """Stores what is committed; returns the data files that are not needed any more."""
        core = self._core
        unused: list[DataKey] = []
        with core.changing():
            for ino, stored in captured.stored.items():
                core.overlay.set_content(ino, stored.content)
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
        """Yields the names that the commit could not take: they are still only here."""
        paths = {*result.skipped_empty, *result.skipped_special, *result.skipped_refused}
        for item in captured.items:
            if item.path in paths:
                paths.discard(item.path)
                yield item.entry
        for path in paths:  # folders that were emptied are no items; they have rows, though
            entry = self._core.overlay.entry_at(ROOT_INODE, path)
            if entry is not None:
                yield entry

    def _release(self, captured: Captured) -> None:
        """Lets files be written again, and drops versions of them that only the commit needed."""
        core = self._core
        with core.lock:
            core.frozen.clear()
            core.idle.notify_all()
            for key in core.retired:
                node = core.overlay.node(key[0])
                if node is None or node.data != key[1]:
                    core.data.remove(key)
            core.retired.clear()
            for item in captured.items:
                if item.node is not None:
                    core.drop_if_unused(item.node.ino)

    def _thawed(self, ino: int) -> None:
        with self._core.lock:
            self._core.frozen.discard(ino)
            self._core.idle.notify_all()

    # Recording

    def _record(self, base: Commit, request: CommitRequest, captured: Captured) -> CommitResult:
        time_ns = request.committer.time * NS_PER_S
        edit = TreeEdit(self._source, base.tree)
        with (
            self._source.store.writer() as writer,
            self._source.git.objects() as objects,
        ):
            attributes = self._source.git.attributes_of(self._read_file)
            storing = FileStoring(self._core, captured, attributes, writer, objects)
            storing.run(self._thawed)
            skipped = self._edit(edit, captured, objects)
            tree = edit.write(objects, time_ns=time_ns)
            if tree == base.tree:
                raise NothingToCommitError("nothing to commit: the workspace is as its branch")
            commit_id = objects.put_commit(
                tree=tree,
                parents=[base.id],
                author=request.author,
                committer=request.committer,
                message=request.message,
            )
            new_bytes = writer.statistics().new_bytes
            writer.commit(edit.directories)
            objects.commit()
            # Before the writer ends: until then gc stays away from what no ref names yet.
            self._publish(base, commit_id, captured, request)
        return self._result(base, commit_id, captured, edit, skipped, new_bytes)

    def _publish(
        self, base: Commit, commit_id: ObjectId, captured: Captured, request: CommitRequest
    ) -> None:
        overlay = self._core.overlay
        with self._core.changing():
            overlay.set(PENDING, commit_id)
            overlay.set(PENDING_GENERATION, captured.generation)
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

    def _result(
        self,
        base: Commit,
        commit_id: ObjectId,
        captured: Captured,
        edit: TreeEdit,
        skipped: list[Item],
        new_bytes: int,
    ) -> CommitResult:
        commit = self._source.git.read_commit(commit_id)
        kinds = list(self._changes(base, commit, captured.items))
        added, deleted = kinds.count(ChangeKind.ADDED), kinds.count(ChangeKind.DELETED)
        return CommitResult(
            commit,
            added,
            len(kinds) - added - deleted,
            deleted,
            edit.dropped_empty,
            [item.path for item in skipped if not item.is_hostile],
            [item.path for item in skipped if item.is_hostile],
            _split_links(captured.items),
            new_bytes,
        )

    def _changes(self, base: Commit, commit: Commit, items: list[Item]) -> Iterator[ChangeKind]:
        """Yields how each path changed; looks only where something may have."""
        old, new = Snapshot(self._source, base), Snapshot(self._source, commit)
        for item in items:
            if not item.inside:
                before, after = old.get(item.path), new.get(item.path)
                for change in diff_entries(self._source, item.path, before, after):
                    yield change.kind

    def _edit(self, edit: TreeEdit, captured: Captured, objects: ObjectWriter) -> list[Item]:
        """Applies the items to the tree; returns those that cannot be kept."""
        skipped = []
        for item in captured.items:
            node = item.node
            if node is None or not item.is_keepable:
                edit.remove(item.path)
                if node is not None:
                    skipped.append(item)
            elif item.is_folder:
                if node.base is None:
                    edit.clear(item.path)
                else:
                    edit.graft(item.path, ObjectId(node.base))
            elif item.is_symlink:
                assert node.target is not None, "a symbolic link has a target"
                blob = objects.put_blob(node.target)
                edit.put(item.path, NewEntry(EntryKind.SYMLINK, len(node.target), blob))
            else:
                stored = captured.stored[node.ino]
                kind = EntryKind.EXECUTABLE if node.mode & stat.S_IXUSR else EntryKind.FILE
                edit.put(item.path, NewEntry(kind, stored.size, stored.object_id, stored.file_id))
        return skipped


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
