"""What a name in a directory means when the overlay and the base both have a say.

Owns: how a name is found, pointed to an inode, and hidden.
Layer: workspace.

A name is looked up in the overlay's rows first: a row points to an inode, or is a whiteout that
hides a name of the base. Only without a row the base answers. A directory that is not
materialized has no rows, so it is renamed, with all that is in it, by one row at its new name.

Concurrency: the caller holds the workspace's lock; changes are made in a transaction.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.ids import ObjectId
from mlbfs.limits import MAX_NAME_LENGTH
from mlbfs.workspace.overlay import FIRST_NEW_OFFSET, OFFSET_COUNTER, WHITEOUT
from mlbfs.workspace.vfs_errors import Exists, Invalid, NameTooLong, NoEntry, NotEmpty

if TYPE_CHECKING:
    from mlbfs.workspace.core import Core
    from mlbfs.workspace.nodes import Folder
    from mlbfs.workspace.rows import Entry, Node


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


class Names:
    """The names of one workspace."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def find(self, folder: Folder, name: bytes) -> Found:
        """Returns what a name means now."""
        core = self._core
        if folder.node is not None:
            row = core.overlay.entry(folder.ino, name)
            if row is not None:
                return Found(row.ino, row, None)
        position = None if folder.tree is None else core.index(folder.tree).find(name)
        if position is None:
            return Found(0, None, None)
        return Found(core.child_inode(folder, position), None, position)

    def existing(self, parent: int, name: bytes) -> Found:
        """Returns what a name means.

        Raises:
            NoEntry: It means nothing.
        """
        check_length(name)
        found = self.find(self._core.folder(parent), name)
        if not found.ino:
            raise NoEntry(name)
        return found

    def hide(self, above: Node, name: bytes, found: Found) -> None:
        """Takes a name away.

        The row goes only if nothing else knows the name: neither the base nor any commit, also
        one that is running. Otherwise it becomes a whiteout.
        """
        core = self._core
        row = found.row
        if row is not None and row.born == core.generation and not is_in_base(core, above, row):
            core.overlay.delete_entry(above.ino, name)
            return
        offset = core.table.offset(found.ino) if row is None else row.off
        core.overlay.put_entry(above.ino, name, WHITEOUT, offset, core.generation)

    def release(self, ino: int, now: int) -> None:
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

    def check_empty(self, ino: int) -> None:
        """Checks that a directory has no entries.

        Raises:
            NotEmpty: It has.
        """
        core = self._core
        folder = core.folder(ino)
        below = 0 if folder.tree is None else len(core.index(folder.tree))
        if folder.node is None:
            if below:
                raise NotEmpty(ino)
        elif core.overlay.has_names(ino) or below > self._count_hidden(folder):
            raise NotEmpty(ino)

    def _count_hidden(self, folder: Folder) -> int:
        """Returns how many names of its base a directory has rows for."""
        core = self._core
        if core.table.numbering(folder.ino) is None or folder.tree is None:
            return core.overlay.count_base_rows(folder.ino)
        index = core.index(folder.tree)
        rows = core.overlay.entries(folder.ino)
        return sum(index.find(row.name) is not None for row in rows)

    def point(self, above: Node, name: bytes, found: Found, ino: int) -> None:
        """Points a name to an inode."""
        core = self._core
        if found.row is not None:
            offset = found.row.off
        elif found.position is not None:
            offset = core.table.offset(found.ino)
        else:
            offset = FIRST_NEW_OFFSET + core.overlay.take(OFFSET_COUNTER)
        core.overlay.put_entry(above.ino, name, ino, offset, core.generation)


def is_in_base(core: Core, above: Node, row: Entry) -> bool:
    """Returns whether the name of a row would show again without it."""
    if row.off < FIRST_NEW_OFFSET:
        return True
    if core.table.numbering(above.ino) is None or above.base is None:
        return False
    return core.index(ObjectId(above.base)).find(row.name) is not None


def check_length(name: bytes) -> None:
    """Checks the length of a name that is looked up."""
    if len(name) > MAX_NAME_LENGTH:
        raise NameTooLong(name[:16])


def check_new(name: bytes) -> None:
    """Checks a name that is to be made."""
    check_length(name)
    if name in (b".", b".."):
        raise Exists(name)
    if not name or b"/" in name or b"\0" in name:
        raise Invalid(name)
