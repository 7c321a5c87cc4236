"""Inode numbers of snapshot entries, derived instead of remembered.

A directory that the kernel has been shown gets a *directory number*; its entry at position `p` of
the directory index has the inode number `number << 24 | p + 1`. So a folder of a million files
needs one row here, not a million. Directories are told apart by path (the same tree at two paths
is two directories), because a write that comes with an inode number alone must mean one path.

An inode that is materialized keeps its number: the number becomes the key of its row in the
overlay. Directory numbers are therefore never used twice in the life of a workspace.

When a directory comes to stand on another tree (checkout.py), entries that are the same in both
keep their inode: a `Numbering` says which runs of the new tree have which old number. What is new
gets a number of its own, and what is gone is still read from the tree that its number belongs to.

Owns: the tables number -> directory and inode -> lookup count.
Layer: workspace. Pure, but for the counter that is handed in.

Concurrency: the caller holds the workspace's lock to change; `locate` is safe without.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.workspace.vfs_errors import NoEntry, Stale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlbfs.ids import ObjectId

ROOT_INODE = 1

POSITION_BITS = 24
"""Entries per directory: 16 million. Directory numbers take the 38 bits above."""

POSITION_MASK = (1 << POSITION_BITS) - 1

MOVE_SHIFT = 40
"""What a directory gains when it changes its tree for the n-th time has listing offsets from
n * 2^40 on; below are its first tree, and names that were made here (overlay.FIRST_NEW_OFFSET)."""

CREATED_BIT = 1 << 62
"""Set in the numbers of inodes that were made in the overlay, so they never meet derived ones."""

_STICKY_COUNT = 0xFFFF
"""A count that reached this is not exact any more; its inode is kept until the end."""


class Place(NamedTuple):
    """Where a snapshot entry stands: its directory's inode and tree, and its position."""

    directory: int
    tree: ObjectId
    position: int


class Run(NamedTuple):
    """Entries of a tree, side by side, whose inodes and listing offsets go on from one to the next.

    Attributes:
        start: Position of the first one in the tree.
        stop: Position behind the last one.
        inode: Inode of the first one.
        offset: Listing offset of the first one.
    """

    start: int
    stop: int
    inode: int
    offset: int

    def part(self, start: int, stop: int) -> Run:
        """Returns the entries between two positions of the tree."""
        skip = start - self.start
        return Run(start, stop, self.inode + skip, self.offset + skip)


class Numbering:
    """Inodes and listing offsets of a directory that stands on another tree than it did first.

    An entry keeps its listing offset as long as its name is there; what is new comes behind all
    that was there before.

    Attributes:
        tree: The tree that the directory stands on.
        runs: All positions of the tree, in order.
        times: Every number that the directory has had, with the time that entries of it show.
        moves: How often the directory has changed its tree.
    """

    def __init__(self, tree: ObjectId, runs: list[Run], times: dict[int, int], moves: int) -> None:
        self.tree = tree
        self.runs = runs
        self.times = times
        self.moves = moves
        self._starts = [run.start for run in runs]
        self._numbered = sorted(runs, key=lambda run: run.inode)
        self._inodes = [run.inode for run in self._numbered]
        self._listed = sorted(runs, key=lambda run: run.offset)
        self._offsets = [run.offset for run in self._listed]

    def runs_between(self, start: int, stop: int) -> Iterator[Run]:
        """Yields the runs of a part of the tree, cut at its ends."""
        at = bisect_right(self._starts, start) - 1
        while at < len(self.runs) and self.runs[at].start < stop:
            run = self.runs[at]
            yield run.part(max(start, run.start), min(stop, run.stop))
            at += 1

    def at(self, position: int) -> Run:
        """Returns the run that begins at a position of the tree, or is cut there."""
        run = self.runs[bisect_right(self._starts, position) - 1]
        return run.part(position, run.stop)

    def find(self, ino: int) -> Run | None:
        """Returns the run that begins with an inode; None when it is there no more."""
        at = bisect_right(self._inodes, ino) - 1
        if at < 0:
            return None
        run = self._numbered[at]
        position = run.start + ino - run.inode
        return run.part(position, run.stop) if position < run.stop else None

    def listing(self, offset: int) -> Iterator[Run]:
        """Yields the runs from a listing offset on, by offset."""
        at = max(0, bisect_right(self._offsets, offset) - 1)
        for run in self._listed[at:]:
            start = run.start + max(0, offset - run.offset)
            if start < run.stop:
                yield run.part(start, run.stop)


class DirectoryTable:
    """Numbers of the directories that were shown."""

    def __init__(self, take_number: Callable[[], int]) -> None:
        self._take_number = take_number
        self._numbers: dict[int, int] = {}
        self._rows: dict[int, tuple[int, ObjectId]] = {}
        self._numberings: dict[int, Numbering] = {}
        self._sparse: set[int] = set()
        self._detached: set[int] = set()

    def __len__(self) -> int:
        return len(self._numbers)

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

    def child(self, directory: int, tree: ObjectId, position: int) -> int:
        """Returns the inode at a position of the tree that a directory stands on."""
        numbering = self._numberings.get(directory)
        if numbering is None:
            return derive_inode(self.number(directory, tree), position)
        assert numbering.tree == tree, "a directory stands on the tree of its numbering"
        return numbering.at(position).inode

    def offset(self, ino: int) -> int:
        """Returns the listing offset of an entry of the tree that its directory stands on."""
        row = self._rows[ino >> POSITION_BITS]
        numbering = self._numberings.get(row[0])
        if numbering is None:
            return (ino & POSITION_MASK) - 1
        run = numbering.find(ino)
        assert run is not None, "the entry is there"
        return run.offset

    def time_ns(self, directory: int, ino: int, time_ns: int) -> int:
        """Returns when an entry of a directory was made; `time_ns` is what the tree says."""
        numbering = self._numberings.get(directory)
        return time_ns if numbering is None else numbering.times[ino >> POSITION_BITS]

    def is_dense(self, ino: int) -> bool:
        """Returns whether the neighbours of an inode are likely to be known too."""
        number = ino >> POSITION_BITS
        return number in self._rows and number not in self._sparse

    # Directories that came to stand on another tree

    def is_numbered(self, directory: int) -> bool:
        """Returns whether entries of a directory were given inode numbers."""
        return directory in self._numbers

    def numbering(self, directory: int) -> Numbering | None:
        """Returns the numbering of a directory; None while it stands on its first tree."""
        return self._numberings.get(directory)

    def numbers(self, directory: int) -> list[int]:
        """Returns every number that a directory has had."""
        numbering = self._numberings.get(directory)
        if numbering is not None:
            return list(numbering.times)
        number = self._numbers.get(directory)
        return [] if number is None else [number]

    def take_number(self) -> int:
        """Returns a number that no directory ever had; not in a transaction."""
        return self._take_number()

    def move(self, directory: int, numbering: Numbering) -> None:
        """Notes the numbering of a directory on its new tree."""
        for number in numbering.times:
            if number not in self._rows:
                self._rows[number] = (directory, numbering.tree)
                self._sparse.add(number)
            self._numbers[directory] = number
        self._numberings[directory] = numbering

    def detach(self, directory: int) -> None:
        """Notes that a directory is gone, and so is all that is in it."""
        self._detached.update(self.numbers(directory))

    def is_gone(self, ino: int) -> bool:
        """Returns whether the tree that its directory came to stand on has an entry no more."""
        number = ino >> POSITION_BITS
        if number in self._detached:
            return True
        if not self._numberings:
            return False
        row = self._rows.get(number)
        numbering = None if row is None else self._numberings.get(row[0])
        return numbering is not None and numbering.find(ino) is None


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
