"""The row groups of a merged table.

Owns: which rows come to lie in which row group, and which row groups stay as they are.
Layer: merge. Needs NumPy.

Row groups of ours stay in their places, so that little of a long file is new. Rows that come in are
added behind them: to the last row group of ours while it is short, so that many small merges do not
leave many small row groups, and then in row groups of their own. A row group of theirs of which
every row comes in is taken as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from mlbfs.merge.parquet.deciding import Decision
    from mlbfs.merge.parquet.places import Places
    from mlbfs.merge.parquet.table import Table

SHORT = 1 << 16
"""A row group of fewer rows is written again rather than followed by another one."""

LONGEST = 1 << 20
"""Most rows of a row group that is written; the same as of pyarrow."""


def _none() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class OutGroup:
    """A row group of the merged table.

    Attributes:
        source: Side and number of the row group that it begins with, or None.
        rows: How many rows that has.
        first: Number of its first row among those that are looked at; None if it is not.
        removed: Rows of it that go, counted from its first one.
        added: Rows of theirs that follow, among those that are looked at.
    """

    source: tuple[Side, int] | None
    rows: int = 0
    first: int | None = None
    removed: NDArray[np.int64] = field(default_factory=_none)
    added: NDArray[np.int64] = field(default_factory=_none)

    @property
    def is_whole(self) -> bool:
        """Whether its rows are those of a row group of a side."""
        return self.source is not None and not (len(self.removed) or len(self.added))

    @property
    def count(self) -> int:
        """Number of rows that it has."""
        return self.rows - len(self.removed) + len(self.added)


def plan_groups(tables: Mapping[Side, Table], places: Places, decision: Decision) -> list[OutGroup]:
    """Returns the row groups of the merged table, none of them empty."""
    kept = list(_kept(tables[Side.OURS], places.firsts(Side.OURS), decision.removed))
    runs = list(_runs(tables[Side.THEIRS], places.firsts(Side.THEIRS), decision.added))
    if kept and runs and runs[0].source is None and kept[-1].count < SHORT:
        last = kept.pop()
        room = LONGEST - last.count
        first, rest = runs[0].added[:room], runs[0].added[room:]
        kept.append(OutGroup(last.source, last.rows, last.first, last.removed, first))
        runs[0] = OutGroup(None, added=rest)
    found = [*kept, *(part for run in runs for part in _parts(run))]
    return [group for group in found if group.count]


def _kept(
    table: Table, firsts: Mapping[int, int], removed: NDArray[np.int64]
) -> Iterator[OutGroup]:
    """Yields the row groups of ours without the rows that go."""
    for number, group in enumerate(table.footer.groups):
        first = firsts.get(number)
        gone = _none()
        if first is not None:
            low, high = np.searchsorted(removed, [first, first + group.rows])
            gone = removed[low:high] - first
        yield OutGroup((Side.OURS, number), group.rows, first, gone)


def _runs(table: Table, firsts: Mapping[int, int], added: NDArray[np.int64]) -> Iterator[OutGroup]:
    """Yields what comes in: row groups of theirs that come in whole, and the rows between them."""
    done = 0
    for number, first in firsts.items():
        rows = table.footer.groups[number].rows
        low, high = np.searchsorted(added, [first, first + rows])
        if rows < SHORT or high - low < rows:
            continue
        if low > done:
            yield OutGroup(None, added=added[done:low])
        yield OutGroup((Side.THEIRS, number), rows, first)
        done = int(high)
    if len(added) > done:
        yield OutGroup(None, added=added[done:])


def _parts(run: OutGroup) -> Iterator[OutGroup]:
    if run.source is not None:
        yield run
        return
    for start in range(0, len(run.added), LONGEST):
        yield OutGroup(None, added=run.added[start : start + LONGEST])
