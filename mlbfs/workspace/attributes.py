"""Values that file operations take and give.

Owns: how an entry of a snapshot looks as a file (mode, links, blocks).
Layer: workspace. Pure.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.store.dirindex import EntryKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

BLOCK_SIZE = 512
"""Unit of `blocks`, as in stat(2)."""

FILE_MODE = stat.S_IFREG | 0o644
EXECUTABLE_MODE = stat.S_IFREG | 0o755
SYMLINK_MODE = stat.S_IFLNK | 0o777
DIRECTORY_MODE = stat.S_IFDIR | 0o755

SNAPSHOT_MODES = {
    EntryKind.FILE: FILE_MODE,
    EntryKind.EXECUTABLE: EXECUTABLE_MODE,
    EntryKind.SYMLINK: SYMLINK_MODE,
    EntryKind.DIRECTORY: DIRECTORY_MODE,
    EntryKind.SUBMODULE: DIRECTORY_MODE,  # shown as an empty folder, as Git does
}


class Attributes(NamedTuple):
    """What stat(2) tells about an inode.

    A named tuple, not a dataclass: a listing makes one per entry, and this is four times faster.

    Attributes:
        mode: Type and permission bits.
        immutable: The inode is a file, link or directory of the snapshot that nothing has
            changed; its bytes and attributes stay as they are until it is written to.
    """

    ino: int
    mode: int
    nlink: int
    uid: int
    gid: int
    rdev: int
    size: int
    blocks: int
    atime_ns: int
    mtime_ns: int
    ctime_ns: int
    immutable: bool

    @property
    def kind(self) -> int:
        """Type bits of the mode (`stat.S_IFREG` and so on)."""
        return stat.S_IFMT(self.mode)

    @property
    def is_directory(self) -> bool:
        """Whether this is a directory."""
        return stat.S_ISDIR(self.mode)


class Caller(NamedTuple):
    """Who asks for a change.

    Attributes:
        further_groups: Asked only where it matters, because it is slow to find out.
    """

    uid: int
    gid: int
    further_groups: Callable[[], Collection[int]]

    def is_in(self, gid: int) -> bool:
        """Returns whether the caller belongs to a group."""
        return gid == self.gid or gid in self.further_groups()


@dataclass(frozen=True, slots=True)
class SetAttr:
    """Attributes to set; None leaves one as it is. Times are nanoseconds since 1970.

    Attributes:
        caller: Who changes length or owner, and so may take away the bits that lend the rights of
            owner and group; None takes none away.
    """

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    atime_ns: int | None = None
    mtime_ns: int | None = None
    caller: Caller | None = None


class RenameFlags(IntFlag):
    """Flags of renameat2(2) that are understood; the values are the kernel's."""

    NONE = 0
    NOREPLACE = 1
    EXCHANGE = 2


def without_lent_rights(mode: int, gid: int, caller: Caller) -> int:
    """Returns the mode of a regular file after somebody has changed its length or owner.

    As Linux has it: what others can write to must not run with the rights of its owner. Root keeps
    the bits. Without the execute bit of the group, set-group-id lends nothing, and members of the
    group keep it.
    """
    if caller.uid == 0:
        return mode
    mode &= ~stat.S_ISUID
    if mode & stat.S_ISGID and (mode & stat.S_IXGRP or not caller.is_in(gid)):
        mode &= ~stat.S_ISGID
    return mode


def limit_time(time_ns: int) -> int:
    """Returns the nearest time that can be kept: the years 1678 to 2262."""
    return max(-_MAX_TIME - 1, min(_MAX_TIME, time_ns))


_MAX_TIME = (1 << 63) - 1
"""Nanoseconds since 1970 in a column of the database."""


def blocks_of(size: int) -> int:
    """Returns the blocks that a file without holes takes."""
    return (size + BLOCK_SIZE - 1) // BLOCK_SIZE
