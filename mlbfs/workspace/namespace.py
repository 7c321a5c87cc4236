"""Names: look up, list, make, remove, rename, link.

Owns: what a name in a directory means when the overlay and the base both have a say.
Layer: workspace.

A name is looked up in the overlay's rows first: a row points to an inode, or is a whiteout that
hides a name of the base. Only without a row the base answers. A directory that is not
materialized has no rows, so it is renamed, with all that is in it, by one row at its new name.

Listing offsets: a name of the base has its position there, whatever happens to it; a name of ours
has a number of its own, from 2^32 on. So a listing that is continued neither skips nor repeats
what was there all the time.

Concurrency: each operation holds the workspace's lock; a listing holds it for one batch at a time.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.limits import MAX_NAME_LENGTH
from mlbfs.store.dirindex import EntryKind
from mlbfs.workspace.attributes import Attributes, RenameFlags
from mlbfs.workspace.core import Core, Folder, now_ns
from mlbfs.workspace.inodes import ROOT_INODE
from mlbfs.workspace.overlay import FIRST_NEW_OFFSET, OFFSET_COUNTER, WHITEOUT, Entry, Node
from mlbfs.workspace.vfs_errors import (
    Exists,
    Invalid,
    IsDirectory,
    NameTooLong,
    NoEntry,
    NotDirectory,
    NotEmpty,
    NotPermitted,
    TooManyLinks,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINKS = 65_000
"""As on ext4."""

_KNOWN_FLAGS = int(RenameFlags.NOREPLACE | RenameFlags.EXCHANGE)

_BATCH = 128
"""Entries of a listing per turn of the lock; about what one request of the kernel takes."""


class Found(NamedTuple):
    """What a name means now.

    Attributes:
        ino: The inode, 0 when there is none.
        row: The overlay's row, a whiteout too, or None.
        position: Position in the base, known only when there is no row.
    """

    ino: int
    row: Entry | None
    position: int | None


class Listed(NamedTuple):
    """One entry of a listing, and the offset that goes on behind it."""

    name: bytes
    attributes: Attributes
    next_offset: int


class Namespace:
    """Operations on the names of one workspace."""

    def __init__(self, core: Core) -> None:
        self._core = core

    # Reading

    def lookup(self, parent: int, name: bytes) -> Attributes:
        """Returns the attributes of a name and counts a lookup."""
        core = self._core
        _check_length(name)
        with core.reading():
            ino = self._find(core.folder(parent), name).ino
            if not ino:
                raise NoEntry(name)
            attributes = core.attributes(ino)
            core.count_lookup(ino)
            return attributes

    def readdir(self, ino: int, offset: int) -> Iterator[Listed]:
        """Yields the entries of a directory from an offset on; counts nothing."""
        at = offset
        while True:
            batch = self._list_batch(ino, at)
            yield from batch
            if not batch:
                return
            at = batch[-1].next_offset

    def _list_batch(self, ino: int, at: int) -> list[Listed]:
        """Returns some entries from an offset on; empty only at the end."""
        core = self._core
        with core.reading():
            folder = core.folder(ino)
            while True:
                rows = [] if folder.node is None else core.overlay.entries_from(ino, at, _BATCH)
                batch, at = self._merge(folder, rows, at)
                if batch or (len(rows) < _BATCH and at >= FIRST_NEW_OFFSET):
                    return batch

    def _merge(self, folder: Folder, rows: list[Entry], at: int) -> tuple[list[Listed], int]:
        """Merges names of the base with rows, from `at` on; returns where it stopped."""
        core = self._core
        known = {row.off: row for row in rows}
        batch: list[Listed] = []
        size = 0 if folder.tree is None else len(core.index(folder.tree))
        # Rows beyond the last one fetched are not known, so the base is told only up to there.
        limit = rows[-1].off + 1 if len(rows) == _BATCH else size
        stop = min(size, limit, at + _BATCH)
        for position in range(at, stop):
            row = known.get(position)
            if row is None:
                batch.append(self._base_entry(folder, position))
            elif row.ino != WHITEOUT:
                batch.append(Listed(row.name, core.attributes(row.ino), position + 1))
        at = max(at, stop)
        if at < size:
            return batch, at
        for row in rows:
            if row.off >= max(at, FIRST_NEW_OFFSET):
                at = row.off + 1
                if row.ino != WHITEOUT:
                    batch.append(Listed(row.name, core.attributes(row.ino), at))
        return batch, max(at, FIRST_NEW_OFFSET)

    def _base_entry(self, folder: Folder, position: int) -> Listed:
        assert folder.tree is not None, "a position belongs to a base"
        core = self._core
        index = core.index(folder.tree)
        entry = index.entry(position)
        ino = core.child_inode(folder, position)
        attributes = core.snapshot_attributes(ino, entry, index.time_ns)
        return Listed(entry.name, attributes, position + 1)

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
                ino = self._find(core.folder(ino), name).ino
                if not ino:
                    return None
        return ino

    def _find(self, folder: Folder, name: bytes) -> Found:
        core = self._core
        if folder.node is not None:
            row = core.overlay.entry(folder.ino, name)
            if row is not None:
                return Found(row.ino, row, None)
        position = None if folder.tree is None else core.index(folder.tree).find(name)
        if position is None:
            return Found(0, None, None)
        return Found(core.child_inode(folder, position), None, position)

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
        _check_new(name)
        with core.changing():
            found = self._find(core.folder(parent), name)
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
                core.data.create((node.ino, node.data))  # W5
            core.overlay.insert_node(node)
            self._point(above, name, found, node.ino)
            core.touch(above, now, links=1 if is_folder else 0)
            core.remember_node(node)
            core.count_lookup(node.ino)
            return core.node_attributes(node)

    def link(self, ino: int, parent: int, name: bytes) -> Attributes:
        """Gives a file another name and counts a lookup of it."""
        core = self._core
        _check_new(name)
        with core.changing():
            if stat.S_ISDIR(core.mode_of(ino)):
                raise NotPermitted(ino)
            found = self._find(core.folder(parent), name)
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
            self._point(above, name, found, ino)
            core.touch(above, now)
            core.count_lookup(ino)
            return core.node_attributes(node)

    def _point(self, above: Node, name: bytes, found: Found, ino: int) -> None:
        """Points a name to an inode."""
        core = self._core
        if found.row is not None:
            offset = found.row.off
        elif found.position is not None:
            offset = found.position
        else:
            offset = FIRST_NEW_OFFSET + core.overlay.take(OFFSET_COUNTER)
        core.overlay.put_entry(above.ino, name, ino, offset, core.generation)

    # Removing

    def unlink(self, parent: int, name: bytes) -> None:
        """Removes the name of anything but a directory."""
        core = self._core
        with core.changing():
            found = self._existing(parent, name)
            if stat.S_ISDIR(core.mode_of(found.ino)):
                raise IsDirectory(name)
            above = core.materialize_folder(parent)
            now = now_ns()
            self._hide(above, name, found)
            core.touch(above, now)
            self._release(found.ino, now)
        core.drop_if_unused(found.ino)

    def rmdir(self, parent: int, name: bytes) -> None:
        """Removes an empty directory."""
        core = self._core
        if name == b".":
            raise Invalid(name)
        with core.changing():
            found = self._existing(parent, name)
            if not stat.S_ISDIR(core.mode_of(found.ino)):
                raise NotDirectory(name)
            self._check_empty(found.ino)
            above = core.materialize_folder(parent)
            now = now_ns()
            self._hide(above, name, found)
            core.touch(above, now, links=-1)
            self._release(found.ino, now)
        core.drop_if_unused(found.ino)

    def _existing(self, parent: int, name: bytes) -> Found:
        _check_length(name)
        found = self._find(self._core.folder(parent), name)
        if not found.ino:
            raise NoEntry(name)
        return found

    def _hide(self, above: Node, name: bytes, found: Found) -> None:
        """Takes a name away.

        The row goes only if nothing else knows the name: neither the base nor any commit, also
        one that is running. Otherwise it becomes a whiteout.
        """
        core = self._core
        row = found.row
        if row is not None and row.off >= FIRST_NEW_OFFSET and row.born == core.generation:
            core.overlay.delete_entry(above.ino, name)
            return
        offset = found.position if row is None else row.off
        assert offset is not None, "a name that exists has a row or a position"
        core.overlay.put_entry(above.ino, name, WHITEOUT, offset, core.generation)

    def _release(self, ino: int, now: int) -> None:
        """Takes one link from an inode that lost a name; it lives on until it is forgotten."""
        core = self._core
        node = core.node(ino)
        if node is None:
            core.note(core.unlinked, ino)
            return
        node.nlink = 0 if stat.S_ISDIR(node.mode) else node.nlink - 1
        node.ctime = now
        core.overlay.update_node(node)
        if node.nlink == 0:
            core.note(core.orphans, ino)

    def _check_empty(self, ino: int) -> None:
        core = self._core
        folder = core.folder(ino)
        below = 0 if folder.tree is None else len(core.index(folder.tree))
        if folder.node is None:
            if below:
                raise NotEmpty(ino)
        elif core.overlay.has_names(ino) or below > core.overlay.count_base_rows(ino):
            raise NotEmpty(ino)

    # Renaming

    def rename(
        self,
        parent: int,
        name: bytes,
        new_parent: int,
        new_name: bytes,
        flags: RenameFlags = RenameFlags.NONE,
    ) -> None:
        """Moves a name, over what is at the new one, or exchanges two names."""
        core = self._core
        if int(flags) & ~_KNOWN_FLAGS:
            raise Invalid(flags)
        if name in (b".", b"..") or new_name in (b".", b".."):
            raise Invalid(name)
        replaced = 0
        with core.changing():
            old = self._existing(parent, name)
            _check_length(new_name)
            new = self._find(core.folder(new_parent), new_name)
            if flags & RenameFlags.EXCHANGE:
                if not new.ino:
                    raise NoEntry(new_name)
                self._exchange((parent, name, old), (new_parent, new_name, new))
            elif new.ino and flags & RenameFlags.NOREPLACE:
                raise Exists(new_name)
            elif new.ino != old.ino:
                replaced = new.ino
                self._move((parent, name, old), (new_parent, new_name, new))
        if replaced:
            core.drop_if_unused(replaced)

    def _move(self, old: tuple[int, bytes, Found], new: tuple[int, bytes, Found]) -> None:
        core = self._core
        (parent, name, source), (new_parent, new_name, target) = old, new
        is_folder = stat.S_ISDIR(core.mode_of(source.ino))
        if is_folder:
            self._check_no_loop(source.ino, new_parent)
        if target.ino:
            self._check_replaceable(is_folder, target.ino)
        node = core.materialize(source.ino)
        above, below = core.materialize_folder(parent), core.materialize_folder(new_parent)
        # The row of the name may have come with materializing.
        source = self._find(core.folder(parent), name)
        now = now_ns()
        self._point(below, new_name, target, node.ino)
        self._hide(above, name, source)
        links = 1 if is_folder else 0
        gained = 0 if target.ino else links
        core.touch(above, now, links=-links)
        core.touch(below, now, links=gained)
        if target.ino:
            self._release(target.ino, now)
        self._settle(node, new_parent, now)

    def _exchange(self, one: tuple[int, bytes, Found], two: tuple[int, bytes, Found]) -> None:
        core = self._core
        (parent, name, first), (new_parent, new_name, second) = one, two
        if first.ino == second.ino:
            return
        for ino, place in ((first.ino, new_parent), (second.ino, parent)):
            if stat.S_ISDIR(core.mode_of(ino)):
                self._check_no_loop(ino, place)
        left, right = core.materialize(first.ino), core.materialize(second.ino)
        above, below = core.materialize_folder(parent), core.materialize_folder(new_parent)
        now = now_ns()
        self._point(above, name, self._find(core.folder(parent), name), right.ino)
        self._point(below, new_name, self._find(core.folder(new_parent), new_name), left.ino)
        change = int(stat.S_ISDIR(left.mode)) - int(stat.S_ISDIR(right.mode))
        core.touch(above, now, links=-change)
        core.touch(below, now, links=change)
        self._settle(left, new_parent, now)
        self._settle(right, parent, now)

    def _settle(self, node: Node, parent: int, now: int) -> None:
        """Notes the new place of an inode that was moved."""
        node.ctime = now
        if stat.S_ISDIR(node.mode):
            node.parent = parent
        self._core.overlay.update_node(node)

    def _check_replaceable(self, is_folder: bool, target: int) -> None:
        if not stat.S_ISDIR(self._core.mode_of(target)):
            if is_folder:
                raise NotDirectory(target)
            return
        if not is_folder:
            raise IsDirectory(target)
        self._check_empty(target)

    def _check_no_loop(self, ino: int, new_parent: int) -> None:
        at = new_parent
        while at != ROOT_INODE:
            if at == ino:
                raise Invalid(ino)
            at = self._core.parent(at)


def _check_length(name: bytes) -> None:
    if len(name) > MAX_NAME_LENGTH:
        raise NameTooLong(name[:16])


def _check_new(name: bytes) -> None:
    _check_length(name)
    if name in (b".", b".."):
        raise Exists(name)
    if not name or b"/" in name or b"\0" in name:
        raise Invalid(name)
