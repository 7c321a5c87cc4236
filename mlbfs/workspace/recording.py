"""Records what changed in a workspace as Git objects: for a commit, or for a savepoint.

Owns: the moment whose state is recorded, and the order in which its parts become durable.
Layer: workspace.

Invariants:
  C1. Order: packs durable, index durable, Git objects durable; then whoever records publishes them.
  C2. The changes are those of one moment, the begin: files that are written afterwards get a new
      data file (W8) and stay changed for the next recording (W6).
  C6. What a commit does not take is marked for the next one before it is published: it is changed
      afterwards whatever happens.

Concurrency: one recording at a time. The workspace's lock is held to collect the changes, not
while they are stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from mlbfs.errors import ConflictError, ErrorKind, UserError
from mlbfs.git.paths import ancestors
from mlbfs.workspace.dirty import Item, collect_items, folder_paths
from mlbfs.workspace.extents import Extents
from mlbfs.workspace.selection import EVERYTHING, Selection
from mlbfs.workspace.snapshot import NS_PER_S
from mlbfs.workspace.status import known_content
from mlbfs.workspace.storing import Captured, FileStoring, has_content
from mlbfs.workspace.treechanges import TreeChanges
from mlbfs.workspace.treeedit import TreeEdit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlbfs.git.commits import Commit, Signature
    from mlbfs.ids import ObjectId
    from mlbfs.workspace.core import Core
    from mlbfs.workspace.rows import Node


class NothingToCommitError(UserError):
    """The tree would be the one that the branch has."""

    default_kind = ErrorKind.NOTHING_TO_COMMIT


class GaveWayError(ConflictError):
    """A recording that gives way to programs came to nothing; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was recorded.

    Attributes:
        commit_id: The new commit.
        dropped_empty: Folders that were left out because nothing is in them.
        skipped: What Git cannot keep.
        new_bytes: Bytes that the chunk store did not have.
    """

    commit_id: ObjectId
    dropped_empty: list[bytes]
    skipped: list[Item]
    new_bytes: int


class Recording:
    """One moment of a workspace; a context manager that holds the files of that moment still.

    Attributes:
        captured: The changes of the moment.
        reads: The files whose bytes have to be read for it.
    """

    captured: Captured
    reads: set[int]

    def __init__(
        self,
        core: Core,
        base: Commit,
        read_file: Callable[[bytes], bytes | None],
        *,
        selection: Selection = EVERYTHING,
        check: Callable[[], None] = lambda: None,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
        gives_way: bool = False,
        ends: bool = False,
    ) -> None:
        """Prepares it.

        Args:
            core: The workspace.
            base: The commit that it stands on.
            read_file: Returns the content of a file by path, as it is now.
            selection: The paths to record.
            check: Raises if the recording has been given up; asked between files.
            progress: Called with the bytes that were stored and those that there are.
            ends: What is recorded stops being a change; what is not has to be marked (C6).
            gives_way: A write to a large file that is being recorded does not wait; the recording
                comes to nothing.
        """
        self._core = core
        self._source = core.source
        self._base = base
        self._read_file = read_file
        self._selection = selection
        self._check = check
        self._progress = progress
        self._gives_way = gives_way
        self._ends = ends

    def __enter__(self) -> Self:
        core = self._core
        with core.lock:
            with core.changing():
                items = collect_items(core)
                self.captured = self._choose(items)
                core.overlay.set("generation", core.generation + 1)
                if self._ends:
                    self._leave(items)
                self.reads = {node.ino for node in self._changed_files()}
            core.generation += 1
            core.frozen |= self.reads
            core.gives_way, core.gave_way = self._gives_way, False
        return self

    def __exit__(self, *_: object) -> None:
        """Lets files be written again, and drops versions that only the recording needed."""
        core = self._core
        with core.lock:
            core.gives_way = False
            core.frozen.clear()
            core.idle.notify_all()
            for key in core.retired:
                node = core.overlay.node(key[0])
                if node is None or node.data != key[1]:
                    core.doom(key)
            core.retired.clear()
            for item in self.captured.items:
                if item.node is not None:
                    core.drop_if_unused(item.node.ino)

    # The moment

    def _choose(self, items: list[Item]) -> Captured:
        """Returns the items that are recorded, and what stands above the paths they lie in."""
        ignored = Selection(item.path for item in items if item.ignored)
        if self._selection.is_all:
            chosen = [item for item in items if not item.ignored]
            return Captured(self._core.generation, chosen, ignored=ignored)
        by_path = {item.path: item for item in items}
        above = {}
        for path in self._selection:
            found = next((by_path[up] for up in ancestors(path) if up in by_path), None)
            if found is not None:
                above[path] = found
        chosen = [item for item in items if self._is_chosen(item)]
        return Captured(self._core.generation, chosen, above, ignored=ignored)

    def _is_chosen(self, item: Item) -> bool:
        return not item.ignored and self._selection.covers(item.path)

    def _leave(self, items: list[Item]) -> None:
        """Marks what is not recorded as changed in the next generation (C6)."""
        core = self._core
        for item in items:
            if item.ignored or not (item.inside or self._selection.covers(item.path)):
                core.overlay.renew_entry(item.entry, core.generation + 1)
        for node, path in folder_paths(core):
            if not self._selection.covers(path):
                core.renew(node, core.generation + 1)

    def _changed_files(self) -> Iterator[Node]:
        """Notes length and extents of the captured files; yields those that will be read."""
        core, captured = self._core, self.captured
        for item in captured.items:
            node = item.node
            if node is None or not item.is_regular:
                continue
            captured.sizes[node.ino] = core.node_attributes(node).size
            if item.is_keepable and not self._is_stored(node):
                if node.base_size:
                    captured.extents[node.ino] = Extents(core.extents(node))
                yield node

    def _is_stored(self, node: Node) -> bool:
        """Returns whether the bytes of a file are in the store.

        What only savepoints had is gone with them; a note of it outlives that for a file that no
        later one could take.
        """
        known = known_content(node)
        if known is None or not node.data or has_content(self._source, known):
            return known is not None
        node.content = None
        self._core.overlay.set_content(node.ino, None)
        self._core.forget_nodes()
        return False

    def _thawed(self, ino: int) -> None:
        with self._core.lock:
            self._core.frozen.discard(ino)
            self._core.idle.notify_all()
        self._check_on()

    def _tell(self, done: int, total: int) -> None:
        self._check_on()
        self._progress(done, total)

    def _check_on(self) -> None:
        """Checks that the recording is still wanted and still of one moment."""
        self._check()
        if self._core.gave_way:
            raise GaveWayError("a program wrote to a file that was being recorded")

    # Writing

    def write(
        self,
        message: str,
        author: Signature,
        committer: Signature,
        publish: Callable[[ObjectId], None],
    ) -> Recorded:
        """Writes content, trees and a commit on top of the base.

        Args:
            message: What it says.
            author: Who wrote it.
            committer: Who records it; the time goes into new trees.
            publish: Makes a ref lead to the commit. gc stays away until it returns.

        Raises:
            NothingToCommitError: There is nothing that Git could keep.
            StorageError: The device refused.
        """
        edit = TreeEdit(self._source, self._base.tree)
        with (
            self._source.store.writer() as writer,
            self._source.git.objects() as objects,
        ):
            attributes = self._source.git.attributes_of(self._read_file)
            FileStoring(self._core, self.captured, attributes, writer, objects).run(
                self._thawed, self._tell
            )
            skipped = TreeChanges(self._core, self.captured, objects).apply(edit)
            tree = edit.write(objects, time_ns=committer.time * NS_PER_S)
            if tree == self._base.tree:
                raise NothingToCommitError(self._nothing())
            commit_id = objects.put_commit(
                tree=tree,
                parents=[self._base.id],
                author=author,
                committer=committer,
                message=message,
            )
            new_bytes = writer.statistics().new_bytes
            objects.prepare()  # what finds no room then has added nothing to the index
            writer.commit(edit.directories)
            objects.commit()
            self._check_on()
            publish(commit_id)
        empty = [path for path in edit.dropped_empty if not self.captured.ignored.is_below(path)]
        return Recorded(commit_id, empty, skipped, new_bytes)

    def _nothing(self) -> str:
        if self._selection.is_all:
            return "nothing to commit: the workspace is as its branch"
        for path in self._selection:
            if self.captured.ignored.covers(path):
                return f"nothing to commit: {path.decode(errors='backslashreplace')!r} is ignored"
        shown = [repr(path.decode(errors="backslashreplace")) for path in self._selection]
        more = " ..." if shown[3:] else ""
        return f"nothing to commit: nothing changed at {', '.join(shown[:3])}{more}"

    def keep_contents(self) -> None:
        """Notes under which ids the captured files are in the store; in a transaction.

        What was written meanwhile is left out, and so is what is being written.
        """
        core = self._core
        for ino, stored in self.captured.stored.items():
            node = core.overlay.node(ino)
            if node is None or node.gen > self.captured.generation or core.writers[ino]:
                continue
            core.overlay.set_content(ino, stored.content)
