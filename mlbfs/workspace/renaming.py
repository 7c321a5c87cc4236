"""Moves and exchanges of names.

Owns: what may be moved where, and what becomes of what was there.
Layer: workspace.

Concurrency: each operation holds the workspace's lock and is one transaction.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from mlbfs.workspace.attributes import RenameFlags
from mlbfs.workspace.clock import now_ns
from mlbfs.workspace.inodes import ROOT_INODE
from mlbfs.workspace.names import Found, check_length
from mlbfs.workspace.vfs_errors import Exists, Invalid, IsDirectory, NoEntry, NotDirectory

if TYPE_CHECKING:
    from mlbfs.workspace.core import Core
    from mlbfs.workspace.names import Names
    from mlbfs.workspace.rows import Node

_KNOWN_FLAGS = int(RenameFlags.NOREPLACE | RenameFlags.EXCHANGE)


class Renaming:
    """Renames in one workspace."""

    def __init__(self, core: Core, names: Names) -> None:
        self._core = core
        self._names = names

    def rename(
        self,
        parent: int,
        name: bytes,
        new_parent: int,
        new_name: bytes,
        flags: RenameFlags = RenameFlags.NONE,
    ) -> None:
        """Moves a name, over what is at the new one, or exchanges two names."""
        if int(flags) & ~_KNOWN_FLAGS:
            raise Invalid(flags)
        if name in (b".", b"..") or new_name in (b".", b".."):
            raise Invalid(name)
        replaced = self._core.freeing(
            lambda: self._rename((parent, name), (new_parent, new_name), flags)
        )
        if replaced:
            self._core.drop_if_unused(replaced)

    def _rename(
        self, source: tuple[int, bytes], target: tuple[int, bytes], flags: RenameFlags
    ) -> int:
        """Does it, and returns the inode that was replaced, or 0."""
        core = self._core
        (parent, name), (new_parent, new_name) = source, target
        with core.changing():
            old = self._names.existing(parent, name)
            check_length(new_name)
            new = self._names.find(core.folder(new_parent), new_name)
            if flags & RenameFlags.EXCHANGE:
                if not new.ino:
                    raise NoEntry(new_name)
                self._exchange((parent, name, old), (new_parent, new_name, new))
            elif new.ino and flags & RenameFlags.NOREPLACE:
                raise Exists(new_name)
            elif new.ino != old.ino:
                self._move((parent, name, old), (new_parent, new_name, new))
                return new.ino
        return 0

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
        source = self._names.find(core.folder(parent), name)
        now = now_ns()
        self._names.point(below, new_name, target, node.ino)
        self._names.hide(above, name, source)
        links = 1 if is_folder else 0
        gained = 0 if target.ino else links
        core.touch(above, now, links=-links)
        core.touch(below, now, links=gained)
        if target.ino:
            self._names.release(target.ino, now)
            if node.data:  # what it replaces is gone for good once the rows are durable
                core.note_unsynced(node.ino)
                core.data.begin_writing((node.ino, node.data))
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
        self._names.point(above, name, self._names.find(core.folder(parent), name), right.ino)
        self._names.point(
            below, new_name, self._names.find(core.folder(new_parent), new_name), left.ino
        )
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
        self._names.check_empty(target)

    def _check_no_loop(self, ino: int, new_parent: int) -> None:
        at = new_parent
        while at != ROOT_INODE:
            if at == ino:
                raise Invalid(ino)
            at = self._core.parent(at)
