"""Inodes of an open workspace, whether they have a row or stand on the snapshot.

Two models meet here: entries of the snapshot, which are derived from their inode number and cost
nothing, and *materialized* inodes, which have a row in the overlay.

Owns: the caches of rows, which inodes are materialized, frozen or orphaned.
Layer: workspace.

Concurrency: everything but `place_of` and `snapshot_entry` needs the workspace's lock.
"""

from __future__ import annotations

import stat
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.ids import ObjectId
from mlbfs.store.dirindex import DirectoryEntry, DirectoryIndex, EntryKind
from mlbfs.workspace.attributes import SNAPSHOT_MODES
from mlbfs.workspace.extents import Extents
from mlbfs.workspace.inodes import (
    CREATED_BIT,
    ROOT_INODE,
    DirectoryTable,
    LookupCounts,
    Place,
)
from mlbfs.workspace.overlay import DIRECTORY_COUNTER, INODE_COUNTER, Overlay
from mlbfs.workspace.transactions import Transactions
from mlbfs.workspace.vfs_errors import NotDirectory, Stale

if TYPE_CHECKING:
    from mlbfs.workspace.datafiles import DataFiles, DataKey
    from mlbfs.workspace.reserve import Reserve
    from mlbfs.workspace.rows import Node
    from mlbfs.workspace.source import SnapshotSource

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


class Standing(NamedTuple):
    """What a directory without a row shows, when it is not what its entry says.

    Attributes:
        tree: The tree that it came to stand on.
        time_ns: When it did.
    """

    tree: ObjectId
    time_ns: int


class Nodes(Transactions):
    """Rows and snapshot entries by inode number."""

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
        super().__init__(overlay, reserve)
        self.source = source
        self.data = data
        self.time_ns = time_ns
        self.uid = uid
        self.gid = gid
        self.generation = overlay.get_int("generation", 1)
        self.committed = overlay.get_int("committed", 0)
        self.table = DirectoryTable(lambda: overlay.take(DIRECTORY_COUNTER))
        self.standing: dict[int, Standing] = {}
        self.lookups = LookupCounts()
        self.materialized: set[int] = set()
        self.unlinked: set[int] = set()
        self.orphans: set[int] = set()
        self.replaced: set[int] = set()
        self.frozen: set[int] = set()
        self.gives_way = False
        self.gave_way = False
        self.writes = 0
        self.writers: Counter[int] = Counter()
        self.retired: list[DataKey] = []
        self.unsynced = set(overlay.unsynced())
        self._nodes: dict[int, Node] = {}
        self._extents: dict[int, Extents] = {}

    def forget_nodes(self) -> None:
        """Drops the cached rows; they are read again when they are needed."""
        self._nodes.clear()
        self._extents.clear()

    def forget_extents(self, ino: int) -> None:
        """Drops the cached ranges of a file, because its rows change."""
        self._extents.pop(ino, None)

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
        if self.table.is_gone(ino):
            return Folder(ino, None, None)
        standing = self.standing.get(ino)
        return Folder(ino, ObjectId(entry.content) if standing is None else standing.tree, None)

    def parent(self, ino: int) -> int:
        """Returns the directory that a directory lies in; the root is its own."""
        if ino == ROOT_INODE:
            return ROOT_INODE
        node = self.node(ino)
        return self.table.locate(ino).directory if node is None else node.parent

    def child_inode(self, folder: Folder, position: int) -> int:
        """Returns the derived inode number of an entry of a folder's base."""
        assert folder.tree is not None, "a position belongs to a base"
        return self.table.child(folder.ino, folder.tree, position)

    def is_unlinked(self, ino: int) -> bool:
        """Returns whether an inode without a row has lost its name."""
        return ino in self.unlinked or self.table.is_gone(ino)

    def extents(self, node: Node) -> Extents:
        """Returns the written ranges of a file that stands on a base."""
        found = self._extents.get(node.ino)
        if found is None:
            found = Extents(self.overlay.extents(node.ino))
            self._extents[node.ino] = found
        return found
