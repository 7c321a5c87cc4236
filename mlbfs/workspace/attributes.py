"""Values that file operations take and give.

Owns: how an entry of a snapshot looks as a file (mode, links, blocks).
Layer: workspace. Pure.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from enum import IntFlag
from typing import NamedTuple

from mlbfs.store.dirindex import EntryKind

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


@dataclass(frozen=True, slots=True)
class SetAttr:
    """Attributes to set; None leaves one as it is. Times are nanoseconds since 1970."""

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    atime_ns: int | None = None
    mtime_ns: int | None = None


class RenameFlags(IntFlag):
    """Flags of renameat2(2) that are understood; the values are the kernel's."""

    NONE = 0
    NOREPLACE = 1
    EXCHANGE = 2


def blocks_of(size: int) -> int:
    """Returns the blocks that a file without holes takes."""
    return (size + BLOCK_SIZE - 1) // BLOCK_SIZE
