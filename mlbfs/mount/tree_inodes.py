"""Inodes for immutable trees: how folders and files of snapshots are numbered and answered.

Owns: the inode numbers of snapshots and the lookup counts of their folders.
Layer: mount. Imports workspace and store.

Numbers:
    file       bit 62 clear: tree number << 24 | position + 1. Tree numbers begin at 1, so that no
               file has the number of the root. They are a table of this process, so a file needs
               no state, and one tree seen at two places (two branches, say) has the same file
               inodes and shares its page cache.
    folder     bit 62 set, the rest hashed from the place (folder above, name): the kernel allows a
               folder one place. The same number comes back after a forget and after a remount.

Invariants:
  T1. A folder is known from its first lookup until its last is forgotten; its number is not given
      to another folder meanwhile.
  T2. A tree number, once given, means that tree until the process ends.

Concurrency: tables are guarded by one lock that is never held while the disk is read.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbfs.ids import ObjectId
from mlbfs.mount.view import ROOT_INODE
from mlbfs.store.dirindex import DirectoryEntry, DirectoryIndex, EntryKind
from mlbfs.workspace.attributes import (
    DIRECTORY_MODE,
    SNAPSHOT_MODES,
    Attributes,
    blocks_of,
)
from mlbfs.workspace.vfs_errors import Invalid, Stale

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlbfs.workspace.source import Reader, SnapshotSource

DIRECTORY_BIT = 1 << 62
_POSITION_BITS = 24
_POSITION_MASK = (1 << _POSITION_BITS) - 1
_DIRECTORY_KINDS = (EntryKind.DIRECTORY, EntryKind.SUBMODULE)


@dataclass(slots=True)
class Directory:
    """A folder that the kernel knows.

    Attributes:
        inode: Its number.
        parent: Number of the folder above.
        name: Its name there.
        tree: Its Git tree; None for a submodule, which shows as an empty folder.
        time_ns: The time that it shows, and that its index gets if it has to be built.
        lookups: How many lookups the kernel has not taken back (T1).
    """

    inode: int
    parent: int
    name: bytes
    tree: ObjectId | None
    time_ns: int
    lookups: int = 0


class TreeInodes:
    """Folders and files below any number of trees."""

    def __init__(self, source: SnapshotSource, *, uid: int, gid: int) -> None:
        self._source = source
        self._uid = uid
        self._gid = gid
        self._lock = threading.Lock()
        self._directories: dict[int, Directory] = {}
        self._tree_numbers: dict[ObjectId, int] = {}
        self._trees: list[tuple[ObjectId, int]] = []

    # Folders

    def directory(self, inode: int) -> Directory | None:
        """Returns a known folder, or None."""
        return self._directories.get(inode)

    def enter(self, parent: int, name: bytes, tree: ObjectId | None, time_ns: int) -> Directory:
        """Returns the folder at a place and counts a lookup; it is known from now on (T1).

        Args:
            parent: The folder above.
            name: What tells it from the other folders there.
            tree: Its tree; one place has one tree as long as it is known.
            time_ns: The time that it shows, and that its index gets if it has to be built.
        """
        with self._lock:
            inode = self._place(parent, name)
            found = self._directories.get(inode)
            if found is None:
                found = self._directories[inode] = Directory(inode, parent, name, tree, time_ns)
            found.lookups += 1
            return found

    def forget(self, inode: int, count: int) -> None:
        """Takes back lookups; drops a folder that has none left."""
        with self._lock:
            found = self._directories.get(inode)
            if found is not None:
                found.lookups -= count
                if found.lookups <= 0 and inode != ROOT_INODE:
                    del self._directories[inode]

    def add_root(self, tree: ObjectId | None, time_ns: int) -> None:
        """Makes `tree` the root of the mount."""
        self._directories[ROOT_INODE] = Directory(ROOT_INODE, ROOT_INODE, b"", tree, time_ns)

    def _place(self, parent: int, name: bytes) -> int:
        digest = hashlib.blake2b(parent.to_bytes(8, "little") + name, digest_size=8).digest()
        inode = int.from_bytes(digest, "little") & (DIRECTORY_BIT - 1) | DIRECTORY_BIT
        while (taken := self._directories.get(inode)) is not None:
            if taken.parent == parent and taken.name == name:
                break
            inode = (inode + 1) & (DIRECTORY_BIT - 1) | DIRECTORY_BIT  # T1
        return inode

    # Files

    def _number(self, tree: ObjectId, time_ns: int) -> int:
        number = self._tree_numbers.get(tree)
        if number is None:
            with self._lock:
                number = self._tree_numbers.setdefault(tree, len(self._trees) + 1)
                if number > len(self._trees):
                    self._trees.append((tree, time_ns))  # T2
        return number

    def index(self, directory: Directory) -> DirectoryIndex | None:
        """Returns the index of a folder; None for a submodule."""
        if directory.tree is None:
            return None
        return self._source.directory(directory.tree, time_ns=directory.time_ns)

    @staticmethod
    def is_file(inode: int) -> bool:
        """Returns whether a number is that of a file or link, known or not."""
        return not inode & DIRECTORY_BIT and inode != ROOT_INODE

    def is_ready(self, inode: int) -> bool:
        """Returns whether the index that `inode` is answered from is in memory."""
        if not self.is_file(inode):
            found = self._directories.get(inode)
            tree = None if found is None else found.tree
        else:
            tree = self._tree_of(inode)[0]
        return tree is None or self._source.is_loaded(tree)

    def _tree_of(self, inode: int) -> tuple[ObjectId, int]:
        number = inode >> _POSITION_BITS
        if not 0 < number <= len(self._trees):
            raise Stale(inode)
        return self._trees[number - 1]

    def file_entry(self, inode: int) -> tuple[DirectoryEntry, int]:
        """Returns the entry of a file and its time."""
        tree, time_ns = self._tree_of(inode)
        index = self._source.directory(tree, time_ns=time_ns)
        try:
            return index.entry((inode & _POSITION_MASK) - 1), index.time_ns
        except IndexError:
            raise Stale(inode) from None

    def open(self, inode: int) -> Reader:
        """Opens the content of a file or symbolic link."""
        return self._source.open(self.file_entry(inode)[0])

    def readlink(self, inode: int) -> bytes:
        """Returns the target of a symbolic link.

        Raises:
            Invalid: The inode is something else.
        """
        entry, _ = self.file_entry(inode)
        if not entry.is_symlink:
            raise Invalid(inode)
        return self.open(inode).read(0, entry.size)

    def read_nowait(self, inode: int, offset: int, length: int) -> bytes | None:
        """Returns bytes of a file, or None if that would wait for the disk."""
        tree, time_ns = self._tree_of(inode)
        if not self._source.is_loaded(tree):
            return None
        entry = self._source.directory(tree, time_ns=time_ns).entry((inode & _POSITION_MASK) - 1)
        if entry.file_id is None:
            return None  # a Git blob is read whole, from disk
        return self._source.open(entry).read_nowait(offset, length)

    # Paths

    def path_of(self, inode: int, tops: Mapping[int, bytes] | None = None) -> bytes | None:
        """Returns a path that leads to an inode, None if the folder is not known any more.

        Args:
            inode: A folder, file or link. One tree may stand at several places; this is one.
            tops: Folders whose path is known, whatever stands above them.
        """
        names: list[bytes] = []
        if self.is_file(inode):
            tree = self._tree_of(inode)[0]
            names.append(self.file_entry(inode)[0].name)
            places = [place for place in list(self._directories.values()) if place.tree == tree]
            if not places:
                return None
            inode = places[0].inode
        while inode != ROOT_INODE and inode not in (tops or {}):
            found = self._directories.get(inode)
            if found is None:
                return None
            names.append(found.name)
            inode = found.parent
        if tops and inode in tops:
            names.append(tops[inode])
        return b"/".join(reversed(names))

    # Attributes

    def attributes(self, inode: int) -> Attributes:
        """Returns the attributes of a folder or file."""
        if not self.is_file(inode):
            found = self._directories.get(inode)
            if found is None:
                raise Stale(inode)
            return self.folder(found)
        entry, time_ns = self.file_entry(inode)
        return self._file_attributes(inode, entry, time_ns)

    def folder(self, directory: Directory, *, immutable: bool = True) -> Attributes:
        """Returns the attributes of a folder, without reading it.

        The link count is 1, which tells programs like find that it does not count subfolders.
        """
        time_ns = directory.time_ns
        return Attributes(
            ino=directory.inode,
            mode=DIRECTORY_MODE,
            nlink=1,
            uid=self._uid,
            gid=self._gid,
            rdev=0,
            size=0,
            blocks=0,
            atime_ns=time_ns,
            mtime_ns=time_ns,
            ctime_ns=time_ns,
            immutable=immutable,
        )

    def _file_attributes(self, inode: int, entry: DirectoryEntry, time_ns: int) -> Attributes:
        return Attributes(
            ino=inode,
            mode=SNAPSHOT_MODES[entry.kind],
            nlink=1,
            uid=self._uid,
            gid=self._gid,
            rdev=0,
            size=entry.size,
            blocks=blocks_of(entry.size),
            atime_ns=time_ns,
            mtime_ns=time_ns,
            ctime_ns=time_ns,
            immutable=True,
        )

    # Entries

    def lookup(self, parent: Directory, name: bytes) -> Attributes | None:
        """Returns an entry of a folder and counts a lookup; None when there is none."""
        index = self.index(parent)
        position = None if index is None else index.find(name)
        if index is None or position is None:
            return None
        return self._entry(parent, index, position)

    def entries(self, parent: Directory, offset: int) -> Iterator[tuple[bytes, Attributes, int]]:
        """Yields what is in a folder from a position on.

        Each entry is counted as it is made, so that a forget cannot fall in between (V2).
        """
        index = self.index(parent)
        if index is None:
            return
        for position in range(offset, len(index)):
            attributes = self._entry(parent, index, position)
            yield index.name(position), attributes, position + 1

    def _entry(self, parent: Directory, index: DirectoryIndex, position: int) -> Attributes:
        entry = index.entry(position)
        if entry.kind in _DIRECTORY_KINDS:
            tree = ObjectId(entry.content) if entry.kind is EntryKind.DIRECTORY else None
            found = self.enter(parent.inode, entry.name, tree, index.time_ns)
            return self.folder(found)
        assert parent.tree is not None, "a submodule has no entries"
        number = self._number(parent.tree, parent.time_ns)
        inode = number << _POSITION_BITS | (position + 1)
        return self._file_attributes(inode, entry, index.time_ns)
