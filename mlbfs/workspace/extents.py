"""Which byte ranges of a file were written: sorted, disjoint, touching ranges joined.

Owns: the arithmetic of ranges.
Layer: workspace. Pure.

Concurrency: none; the caller holds a lock.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Edit(NamedTuple):
    """What changed in the set: starts of ranges that went, and ranges that came."""

    removed: list[int]
    added: list[tuple[int, int]]


class Extents:
    """A set of byte ranges [start, end)."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(ranges):
            self.add(start, end)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._starts, self._ends, strict=True))

    def __len__(self) -> int:
        return len(self._starts)

    def covers(self, start: int, end: int) -> bool:
        """Returns whether every byte of [start, end) is in the set."""
        at = bisect_right(self._starts, start) - 1
        return start >= end or (at >= 0 and self._ends[at] >= end)

    def add(self, start: int, end: int) -> Edit:
        """Adds a range, joined with those it touches; an empty range adds nothing."""
        if start >= end or self.covers(start, end):
            return Edit([], [])
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        removed = self._starts[first:last]
        if removed:
            start = min(start, removed[0])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]
        return Edit(removed, [(start, end)])

    def clip(self, size: int) -> None:
        """Drops everything from `size` on."""
        keep = bisect_left(self._starts, size)
        del self._starts[keep:], self._ends[keep:]
        if self._ends and self._ends[-1] > size:
            self._ends[-1] = size

    def pieces(self, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
        """Yields [start, end) in order as pieces that are all in the set or all outside."""
        at = bisect_right(self._ends, start)
        while start < end:
            if at == len(self._starts) or self._starts[at] >= end:
                yield start, end, False
                return
            if self._starts[at] > start:
                yield start, self._starts[at], False
                start = self._starts[at]
            stop = min(end, self._ends[at])
            yield start, stop, True
            start = stop
            at += 1
