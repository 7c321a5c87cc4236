"""The state of an open workspace, and the steps that several operations share.

Two models meet here: entries of the snapshot, which are derived from their inode number and cost
nothing, and *materialized* inodes, which have a row in the overlay. An inode is materialized when
it, or something in it, is changed; then so are the directories above it, up to the root.

Owns: the workspace's lock, the caches of rows, which inodes are materialized, frozen or orphaned.
Layer: workspace. docs/workspace.md numbers the invariants.

Invariants:
  W4. A materialized inode has materialized directories above it.
  W5. A row of a regular file that says there is a data file is written after that file exists.
  W6. A change of content is marked with the current generation before and after it is made, so
      that a commit which begins in between leaves it marked for the next one.

Concurrency: everything but `place_of` and `snapshot_entry` needs the lock. The lock is not held
while the snapshot is read for a read, nor while bytes of a data file are read or written.
"""

from __future__ import annotations

import stat
import threading
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.ids import ObjectId
from mlbfs.store.dirindex import DirectoryEntry, DirectoryIndex, EntryKind
from mlbfs.workspace.attributes import SNAPSHOT_MODES, Attributes, blocks_of
from mlbfs.workspace.extents import Extents
from mlbfs.workspace.inodes import (
    CREATED_BIT,
    ROOT_INODE,
    DirectoryTable,
    LookupCounts,
    Place,
    derive_inode,
)
from mlbfs.workspace.overlay import (
    DIRECTORY_COUNTER,
    INODE_COUNTER,
    DatabaseError,
    Overlay,
    from_database_error,
)
from mlbfs.workspace.rows import Node
from mlbfs.workspace.vfs_errors import (
    NoEntry,
    NotDirectory,
    NotPermitted,
    Stale,
    VfsError,
    from_os_error,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    from mlbfs.workspace.datafiles import DataFiles, DataKey, Handle
    from mlbfs.workspace.reserve import Reserve
    from mlbfs.workspace.source import SnapshotSource

    R = TypeVar("R")

MAX_NODES = 32768
"""Rows kept in memory; about 20 MB."""


class Folder(NamedTuple):
    """A directory as operations on names need it.

    Attributes:
        tree: The tree it stands on, or None.
        node: Its row, or None while it is not materialized.
    """

    ino: int
    tree: ObjectId | None
    node: Node | None


class Core:
    """State of one workspace."""

    def __init__(
        self,
        source: SnapshotSource,
        overlay: Overlay,
        data: DataFiles,
        reserve: Reserve,
        *,
        time_ns: int,
        uid: int,
        gid: int,
    ) -> None:
        self.source = source
        self.overlay = overlay
        self.data = data
        self._reserve = reserve
        self.time_ns = time_ns
        self.uid = uid
        self.gid = gid
        self.lock = threading.RLock()
        self.idle = threading.Condition(self.lock)
        self.generation = overlay.get_int("generation", 1)
        self.committed = overlay.get_int("committed", 0)
        self.table = DirectoryTable(lambda: overlay.take(DIRECTORY_COUNTER))
        self.lookups = LookupCounts()
        self.materialized: set[int] = set()
        self.unlinked: set[int] = set()
        self.orphans: set[int] = set()
        self.frozen: set[int] = set()
        self.writers: Counter[int] = Counter()
        self.retired: list[DataKey] = []
        self.unsynced: set[int] = set()
        self._nodes: dict[int, Node] = {}
        self._extents: dict[int, Extents] = {}
        self._undo: list[Callable[[], object]] = []

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Holds the lock; errors of the database and of the system become answers."""
        with self.lock:
            try:
                yield
            except DatabaseError as err:
                raise from_database_error(err) from err
            except OSError as err:
                raise from_os_error(err) from err

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Holds the lock and makes one transaction; on any error all is as before."""
        with self.lock:
            if self.overlay.in_transaction:
                yield
                return
            before = self.overlay.changes
            try:
                with self.overlay.transaction():
                    yield
            except BaseException as err:
                while self._undo:
                    self._undo.pop()()
                # An answer that was given before anything changed is everyday: no need to forget.
                answer = isinstance(err, VfsError) and err.__cause__ is None
                if not answer or self.overlay.changes != before:
                    self.forget_nodes()
                if isinstance(err, OSError):
                    raise from_os_error(err) from err
                raise
            finally:
                self._undo.clear()

    def undo(self, step: Callable[[], object]) -> None:
        """Has a step done if the transaction comes to nothing; the last one goes first."""
        self._undo.append(step)

    def note(self, group: set[int], ino: int) -> None:
        """Adds an inode to one of the groups, unless the transaction comes to nothing."""
        group.add(ino)
        self.undo(lambda: group.discard(ino))

    def freeing(self, operation: Callable[[], R]) -> R:
        """Runs an operation that gives space back, which works on a full device too.

        Args:
            operation: Does all or nothing.
        """
        with self.lock:
            if self.overlay.in_transaction:
                return operation()
            return self._reserve.spend(self.overlay, operation)

    def forget_nodes(self) -> None:
        """Drops the cached rows; they are read again when they are needed."""
        self._nodes.clear()
        self._extents.clear()

    # Inodes

    def place_of(self, ino: int) -> Place | None:
        """Returns where a snapshot entry stands, or None when the inode is materialized."""
        if ino in self.table and ino not in self.materialized:
            return self.table.locate(ino)
        return None

    def snapshot_entry(self, place: Place) -> DirectoryEntry:
        """Returns the entry at a place."""
        try:
            return self.index(place.tree).entry(place.position)
        except IndexError:
            raise Stale(place.position) from None

    def index(self, tree: ObjectId) -> DirectoryIndex:
        """Returns the index of a tree."""
        return self.source.directory(tree, time_ns=self.time_ns)

    def node(self, ino: int) -> Node | None:
        """Returns the row of an inode, or None when it is not materialized.

        Raises:
            Stale: The number means nothing.
        """
        found = self._nodes.get(ino)
        if found is not None:
            return found
        if ino in self.table and ino not in self.materialized:
            return None
        found = self.overlay.node(ino)
        if found is None:
            raise Stale(ino)
        return self.remember_node(found)

    def remember_node(self, node: Node) -> Node:
        """Caches a row that was read or written just now."""
        if len(self._nodes) >= MAX_NODES:
            self._nodes.clear()
            self._extents.clear()
        self._nodes[node.ino] = node
        return node

    def new_inode(self) -> int:
        """Returns a number that no inode ever had."""
        return CREATED_BIT | self.overlay.take(INODE_COUNTER)

    def mode_of(self, ino: int) -> int:
        """Returns the mode of an inode."""
        node = self.node(ino)
        if node is not None:
            return node.mode
        return SNAPSHOT_MODES[self.snapshot_entry(self.table.locate(ino)).kind]

    def folder(self, ino: int) -> Folder:
        """Returns a directory.

        Raises:
            NotDirectory: The inode is something else.
        """
        node = self.node(ino)
        if node is not None:
            if not stat.S_ISDIR(node.mode):
                raise NotDirectory(ino)
            return Folder(ino, None if node.base is None else ObjectId(node.base), node)
        entry = self.snapshot_entry(self.table.locate(ino))
        if entry.kind is EntryKind.SUBMODULE:
            return Folder(ino, None, None)
        if not entry.is_directory:
            raise NotDirectory(ino)
        return Folder(ino, ObjectId(entry.content), None)

    def parent(self, ino: int) -> int:
        """Returns the directory that a directory lies in; the root is its own."""
        if ino == ROOT_INODE:
            return ROOT_INODE
        node = self.node(ino)
        return self.table.locate(ino).directory if node is None else node.parent

    def child_inode(self, folder: Folder, position: int) -> int:
        """Returns the derived inode number of an entry of a folder's base."""
        assert folder.tree is not None, "a position belongs to a base"
        return derive_inode(self.table.number(folder.ino, folder.tree), position)

    def count_lookup(self, ino: int) -> None:
        """Notes that the kernel was told of an inode once more."""
        self.lookups.add(ino, dense=ino in self.table or bool(ino & CREATED_BIT))

    def count_made(self, ino: int) -> None:
        """Notes, in a transaction, that the kernel will be told of an inode once more."""
        self.count_lookup(ino)
        self.undo(lambda: self.lookups.forget(ino, 1))

    # Materializing

    def materialize_folder(self, ino: int) -> Node:
        """Gives a directory a row, so that names in it can change.

        Raises:
            NotDirectory: The inode is something else.
            NoEntry: The directory was removed.
        """
        node = self.materialize(ino)
        if not stat.S_ISDIR(node.mode):
            raise NotDirectory(ino)
        if node.nlink == 0:
            raise NoEntry(ino)
        return node

    def materialize(self, ino: int) -> Node:
        """Gives an inode a row, and the directories above it (W4); in a transaction.

        Raises:
            NotPermitted: The inode is a submodule, which Git alone may change.
        """
        chain: list[int] = []  # a loop, not recursion: paths may be 2,000 folders deep
        node = self.node(ino)
        while node is None:
            chain.append(ino)
            if ino in self.unlinked:
                break
            ino = self.table.locate(ino).directory
            node = self.node(ino)
        for below in reversed(chain):
            node = self._materialize_one(below)
        assert node is not None, "the root has a row"
        return node

    def _materialize_one(self, ino: int) -> Node:
        place = self.table.locate(ino)
        entry = self.snapshot_entry(place)
        if entry.kind is EntryKind.SUBMODULE:
            raise NotPermitted(entry.name)
        time_ns = self.index(place.tree).time_ns
        linked = ino not in self.unlinked
        node = Node(
            *(ino, SNAPSHOT_MODES[entry.kind], 1 if linked else 0, self.uid, self.gid, 0),
            *(time_ns, time_ns, time_ns, 0),
            parent=place.directory if entry.is_directory else 0,
            base=entry.content,
            base_size=entry.size,
            target=self._target(entry),
        )
        self.overlay.insert_node(node)
        if linked:
            self.overlay.put_entry(place.directory, entry.name, ino, place.position, 0)
        else:
            self.note(self.orphans, ino)
        self.note(self.materialized, ino)
        return self.remember_node(node)

    def _target(self, entry: DirectoryEntry) -> bytes | None:
        if not entry.is_symlink:
            return None
        reader = self.source.open(entry)
        return reader.read(0, reader.size)

    def mark(self, node: Node) -> None:
        """Marks an inode as changed in this generation (W6); in a transaction.

        Attributes that no commit keeps are marked too, so that they live until one was made.
        """
        if node.gen != self.generation:
            node.gen = self.generation
            self.overlay.set_gen(node.ino, node.gen)

    def touch(self, node: Node, now: int, *, links: int = 0) -> None:
        """Sets the times of a directory whose names changed, and its link count.

        A count of 1 says that subdirectories are not counted (the directory came from a snapshot).
        """
        node.mtime = node.ctime = now
        if links and node.nlink > 1:
            node.nlink += links
            self.overlay.update_node(node)
        else:
            self.overlay.touch(node)

    def extents(self, node: Node) -> Extents:
        """Returns the written ranges of a file that stands on a base."""
        found = self._extents.get(node.ino)
        if found is None:
            found = Extents(self.overlay.extents(node.ino))
            self._extents[node.ino] = found
        return found

    def create_data(self, key: DataKey) -> Handle:
        """Makes a data file, unless the transaction comes to nothing (W5)."""
        self.undo(lambda: self.data.remove(key))
        return self.data.create(key)

    def drop_if_unused(self, ino: int) -> None:
        """Removes an inode without names once the kernel has forgotten it and no commit reads it.

        Order: the row goes first; a data file without a row is dropped at the next open.
        """
        with self.lock:
            if ino not in self.orphans or self.lookups[ino] or ino in self.frozen:
                return
            with self.reading():
                self.freeing(lambda: self._drop(ino))

    def _drop(self, ino: int) -> None:
        node = self.node(ino)
        with self.changing():
            self.overlay.delete_node(ino)
        self.orphans.discard(ino)
        self._nodes.pop(ino, None)
        self._extents.pop(ino, None)
        if node is not None and node.data:
            self.data.remove((ino, node.data))

    def forget(self, ino: int, count: int) -> None:
        """Takes lookups back; an inode without names goes with the last of them."""
        with self.lock:
            if self.lookups.forget(ino, count):
                return
            self.unlinked.discard(ino)
            self.drop_if_unused(ino)

    # Attributes

    def attributes(self, ino: int) -> Attributes:
        """Returns the attributes of an inode."""
        node = self.node(ino)
        if node is not None:
            return self.node_attributes(node)
        place = self.table.locate(ino)
        index = self.index(place.tree)
        try:
            entry = index.entry(place.position)
        except IndexError:
            raise Stale(ino) from None
        return self.snapshot_attributes(ino, entry, index.time_ns)

    def base_attributes(self, folder: Folder, position: int) -> tuple[bytes, Attributes]:
        """Returns name and attributes of an entry of a folder's base that is not materialized."""
        assert folder.tree is not None, "a position belongs to a base"
        index = self.index(folder.tree)
        entry = index.entry(position)
        ino = self.child_inode(folder, position)
        return entry.name, self.snapshot_attributes(ino, entry, index.time_ns)

    def snapshot_attributes(self, ino: int, entry: DirectoryEntry, time_ns: int) -> Attributes:
        """Returns the attributes of a snapshot entry."""
        head = (ino, SNAPSHOT_MODES[entry.kind], 0 if ino in self.unlinked else 1)
        owner = (self.uid, self.gid, 0)
        times = (time_ns, time_ns, time_ns)
        size = entry.size
        return Attributes(*head, *owner, size, blocks_of(size), *times, immutable=True)

    def node_attributes(self, node: Node) -> Attributes:
        """Returns the attributes of a materialized inode.

        With a data file, its length and times are the inode's.
        """
        head = (node.ino, node.mode, node.nlink, node.uid, node.gid, node.rdev)
        own = (node.atime, node.mtime, node.ctime)
        if not node.data:
            size = len(node.target) if node.target is not None else node.base_size
            return Attributes(*head, size, blocks_of(size), *own, immutable=False)
        try:
            status = self.data.stat((node.ino, node.data))
        except FileNotFoundError:
            # Somebody has deleted it. The file can be listed and removed like any other; as it is
            # not empty, a read comes here and is told.
            return Attributes(*head, max(1, node.base_size), 0, *own, immutable=False)
        except OSError as err:
            raise from_os_error(err) from err
        size = status.st_size
        blocks = blocks_of(size) if node.base_size else status.st_blocks
        times = (
            status.st_atime_ns,
            status.st_mtime_ns,
            max(node.ctime, status.st_ctime_ns),
        )
        return Attributes(*head, size, blocks, *times, immutable=False)


_FILE_CLOCK = 5
"""CLOCK_REALTIME_COARSE, which the time module has no name for: the clock that the kernel stamps
files with. With a finer one a directory would be younger than a file made in it a moment later."""


def now_ns() -> int:
    """Returns the time for a change, as the host's file system would."""
    return time.clock_gettime_ns(_FILE_CLOCK)
