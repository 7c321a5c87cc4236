"""Operations on names: look up, make, link, remove.

Owns: what becomes of inodes when names come and go.
Layer: workspace.

Concurrency: each operation holds the workspace's lock; one that changes something is a transaction.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from mlbfs.store.dirindex import EntryKind
from mlbfs.workspace.clock import now_ns
from mlbfs.workspace.inodes import ROOT_INODE
from mlbfs.workspace.listing import Listing
from mlbfs.workspace.names import Names, check_length, check_new
from mlbfs.workspace.renaming import Renaming
from mlbfs.workspace.rows import Node
from mlbfs.workspace.vfs_errors import (
    Exists,
    Invalid,
    IsDirectory,
    NoEntry,
    NotDirectory,
    NotPermitted,
    TooManyLinks,
)

if TYPE_CHECKING:
    from mlbfs.workspace.attributes import Attributes
    from mlbfs.workspace.core import Core
    from mlbfs.workspace.names import Found


MAX_LINKS = 65_000
"""As on ext4."""


class Namespace:
    """Operations on the names of one workspace."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._names = Names(core)
        self._listing = Listing(core)
        self._renaming = Renaming(core, self._names)
        self.readdir = self._listing.readdir
        self.rename = self._renaming.rename

    # Reading

    def lookup(self, parent: int, name: bytes) -> Attributes:
        """Returns the attributes of a name and counts a lookup."""
        core = self._core
        check_length(name)
        with core.reading():
            folder = core.folder(parent)
            found = self._names.find(folder, name)
            if not found.ino:
                raise NoEntry(name)
            if found.position is None:
                attributes = core.attributes(found.ino)
            else:
                _, attributes = core.base_attributes(folder, found.position)
            core.count_lookup(found.ino)
            return attributes

    def readlink(self, ino: int) -> bytes:
        """Returns the target of a symbolic link."""
        core = self._core
        with core.reading():
            node = core.node(ino)
            if node is not None:
                if node.target is None:
                    raise Invalid(ino)
                return node.target
            entry = core.snapshot_entry(core.table.locate(ino))
        if entry.kind is not EntryKind.SYMLINK:
            raise Invalid(ino)
        reader = core.source.open(entry)
        return reader.read(0, reader.size)

    def resolve(self, path: bytes) -> int | None:
        """Returns the inode at a path, or None; follows no links and counts nothing."""
        core = self._core
        ino = ROOT_INODE
        with core.reading():
            for name in path.split(b"/") if path else ():
                if not stat.S_ISDIR(core.mode_of(ino)):
                    return None
                ino = self._names.find(core.folder(ino), name).ino
                if not ino:
                    return None
        return ino

    def path_of(self, ino: int) -> bytes | None:
        """Returns a path of an inode, None when it has none any more; for words to people."""
        names: list[bytes] = []
        with self._core.reading():
            while ino != ROOT_INODE:
                above = self._above(ino)
                if above is None:
                    return None
                ino, name = above
                names.append(name)
        return b"/".join(reversed(names))

    def _above(self, ino: int) -> tuple[int, bytes] | None:
        core = self._core
        if core.node(ino) is None:
            place = core.table.locate(ino)
            return place.directory, core.snapshot_entry(place).name
        rows = core.overlay.names(ino)
        return (rows[0].parent, rows[0].name) if rows else None

    # Making

    def make(
        self,
        parent: int,
        name: bytes,
        mode: int,
        *,
        uid: int,
        gid: int,
        rdev: int = 0,
        target: bytes | None = None,
    ) -> Attributes:
        """Makes an inode of any kind and counts a lookup of it.

        In a directory with the set-group-id bit the group is the directory's, and a new directory
        has the bit too.
        """
        core = self._core
        check_new(name)
        with core.changing():
            found = self._names.find(core.folder(parent), name)
            if found.ino:
                raise Exists(name)
            above = core.materialize_folder(parent)
            if above.mode & stat.S_ISGID:
                gid = above.gid
                mode |= stat.S_ISGID if stat.S_ISDIR(mode) else 0
            now = now_ns()
            is_folder = stat.S_ISDIR(mode)
            node = Node(
                *(core.new_inode(), mode, 2 if is_folder else 1, uid, gid, rdev),
                *(now, now, now, core.generation),
                data=1 if stat.S_ISREG(mode) else 0,
                parent=parent if is_folder else 0,
                target=target,
            )
            if node.data:
                core.create_data((node.ino, node.data))
            core.overlay.insert_node(node)
            self._names.point(above, name, found, node.ino)
            core.touch(above, now, links=1 if is_folder else 0)
            core.remember_node(node)
            core.count_made(node.ino)
            return core.node_attributes(node)

    def link(self, ino: int, parent: int, name: bytes) -> Attributes:
        """Gives a file another name and counts a lookup of it."""
        core = self._core
        check_new(name)
        with core.changing():
            if stat.S_ISDIR(core.mode_of(ino)):
                raise NotPermitted(ino)
            found = self._names.find(core.folder(parent), name)
            if found.ino:
                raise Exists(name)
            if ino in core.unlinked or core.attributes(ino).nlink == 0:
                raise NoEntry(ino)
            node = core.materialize(ino)
            if node.nlink >= MAX_LINKS:
                raise TooManyLinks(ino)
            above = core.materialize_folder(parent)
            now = now_ns()
            node.nlink += 1
            node.ctime = now
            core.overlay.update_node(node)
            self._names.point(above, name, found, ino)
            core.touch(above, now)
            core.count_made(ino)
            return core.node_attributes(node)

    # Removing

    def unlink(self, parent: int, name: bytes) -> None:
        """Removes the name of anything but a directory."""
        ino = self._core.freeing(lambda: self._unlink(parent, name))
        self._core.drop_if_unused(ino)

    def _unlink(self, parent: int, name: bytes) -> int:
        core = self._core
        with core.changing():
            found = self._names.existing(parent, name)
            if stat.S_ISDIR(core.mode_of(found.ino)):
                raise IsDirectory(name)
            self._remove(parent, name, found, links=0)
        return found.ino

    def rmdir(self, parent: int, name: bytes) -> None:
        """Removes an empty directory."""
        if name == b".":
            raise Invalid(name)
        ino = self._core.freeing(lambda: self._rmdir(parent, name))
        self._core.drop_if_unused(ino)

    def _rmdir(self, parent: int, name: bytes) -> int:
        core = self._core
        with core.changing():
            found = self._names.existing(parent, name)
            if not stat.S_ISDIR(core.mode_of(found.ino)):
                raise NotDirectory(name)
            self._names.check_empty(found.ino)
            self._remove(parent, name, found, links=-1)
        return found.ino

    def _remove(self, parent: int, name: bytes, found: Found, *, links: int) -> None:
        core = self._core
        above = core.materialize_folder(parent)
        now = now_ns()
        self._names.hide(above, name, found)
        core.touch(above, now, links=links)
        self._names.release(found.ino, now)
