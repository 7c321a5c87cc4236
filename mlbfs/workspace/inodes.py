"""Inode numbers of snapshot entries, derived instead of remembered.

A directory that the kernel has been shown gets a *directory number*; its entry at position `p` of
the directory index has the inode number `number << 24 | p + 1`. So a folder of a million files
needs one row here, not a million. Directories are told apart by path (the same tree at two paths
is two directories), because a write that comes with an inode number alone must mean one path.

An inode that is materialized keeps its number: the number becomes the key of its row in the
overlay. Directory numbers are therefore never used twice in the life of a workspace.

Owns: the tables number -> directory and inode -> lookup count.
Layer: workspace. Pure, but for the counter that is handed in.

Concurrency: the caller holds the workspace's lock to change; `locate` is safe without.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.workspace.vfs_errors import NoEntry, Stale

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlbfs.ids import ObjectId

ROOT_INODE = 1

POSITION_BITS = 24
"""Entries per directory: 16 million. Directory numbers take the 38 bits above."""

POSITION_MASK = (1 << POSITION_BITS) - 1

CREATED_BIT = 1 << 62
"""Set in the numbers of inodes that were made in the overlay, so they never meet derived ones."""

_STICKY_COUNT = 0xFFFF
"""A count that reached this is not exact any more; its inode is kept until the end."""


class Place(NamedTuple):
    """Where a snapshot entry stands: its directory's inode and tree, and its position."""

    directory: int
    tree: ObjectId
    position: int


class DirectoryTable:
    """Numbers of the directories that were shown."""

    def __init__(self, take_number: Callable[[], int]) -> None:
        self._take_number = take_number
        self._numbers: dict[int, int] = {}
        self._rows: dict[int, tuple[int, ObjectId]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def number(self, directory: int, tree: ObjectId) -> int:
        """Returns the number of a directory, and gives it one if it has none."""
        found = self._numbers.get(directory)
        if found is None:
            found = self._take_number()
            self._rows[found] = (directory, tree)
            self._numbers[directory] = found
        return found

    def locate(self, ino: int) -> Place:
        """Returns the place of a derived inode number.

        Raises:
            Stale: The number was not given out by this table.
        """
        row = self._rows.get(ino >> POSITION_BITS)
        position = (ino & POSITION_MASK) - 1
        if row is None or position < 0:
            raise Stale(ino)
        return Place(row[0], row[1], position)

    def __contains__(self, ino: int) -> bool:
        return ino >> POSITION_BITS in self._rows


def derive_inode(number: int, position: int) -> int:
    """Returns the inode number of the entry at `position` of a directory.

    Raises:
        NoEntry: The position is beyond what an inode number can hold.
    """
    if position >= POSITION_MASK:
        raise NoEntry(position)
    return number << POSITION_BITS | position + 1


class LookupCounts:
    """How often the kernel was told of each inode, less what it has forgotten.

    Two bytes for most inodes, in arrays of 16 million numbers at most that grow as needed: one for
    each directory number, and one for the inodes that were made here.
    """

    def __init__(self) -> None:
        self._arrays: dict[int, array[int]] = {}
        self._others: dict[int, int] = {}

    def __getitem__(self, ino: int) -> int:
        counts = self._arrays.get(ino >> POSITION_BITS)
        if counts is None:
            return self._others.get(ino, 0)
        slot = ino & POSITION_MASK
        return counts[slot] if slot < len(counts) else 0

    def add(self, ino: int, *, dense: bool) -> None:
        """Counts one more lookup.

        Args:
            ino: The inode.
            dense: Its neighbours in number are in use too, so an array is the smaller table.
        """
        if not dense:
            self._others[ino] = self._others.get(ino, 0) + 1
            return
        counts = self._arrays.setdefault(ino >> POSITION_BITS, array("H"))
        slot = ino & POSITION_MASK
        if slot >= len(counts):
            counts.frombytes(bytes(2 * (slot + 1 + slot // 8 - len(counts))))
        if counts[slot] < _STICKY_COUNT:
            counts[slot] += 1

    def forget(self, ino: int, count: int) -> int:
        """Takes lookups back; returns how many are left."""
        counts = self._arrays.get(ino >> POSITION_BITS)
        if counts is None:
            left = max(0, self._others.get(ino, 0) - count)
            if left:
                self._others[ino] = left
            else:
                self._others.pop(ino, None)
            return left
        slot = ino & POSITION_MASK
        if slot >= len(counts):
            return 0
        if counts[slot] != _STICKY_COUNT:
            counts[slot] = max(0, counts[slot] - count)
        return counts[slot]
