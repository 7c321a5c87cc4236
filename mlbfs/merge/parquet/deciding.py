"""What becomes of each row and cell of a table that both sides changed.

Owns: the rules of a three-way merge by row and by cell, as `csv` and `sqlite` have them.
Layer: merge. Needs pyarrow and NumPy.

A cell that one side set is set. A row that one side removed goes, if the other left it as it was. A
cell that both set, each to another value, and a row that one side removed and the other changed are
conflicts, which a policy settles. A column that one side removed goes; that the other side changed
it is a conflict that no policy settles, because no row would show its values.

Memory: one column of the rows that are looked at, three times.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mlbfs.merge.conflicts import Conflict, ConflictKind
from mlbfs.merge.parquet.cells import Cells
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from mlbfs.merge.parquet.chunks import ChunkIds
    from mlbfs.merge.parquet.columns import MergedColumn
    from mlbfs.merge.parquet.matching import Matcher, Matching
    from mlbfs.merge.parquet.places import Places
    from mlbfs.merge.parquet.table import Table

_BOTH = (Side.OURS, Side.THEIRS)
_OTHER = {Side.OURS: Side.THEIRS, Side.THEIRS: Side.OURS}


@dataclass(frozen=True, slots=True)
class CellsTaken:
    """Cells of one column that come from theirs.

    Attributes:
        ours: Rows of ours that they replace.
        theirs: Rows of theirs that have them, in the same order.
    """

    ours: NDArray[np.int64]
    theirs: NDArray[np.int64]


@dataclass(slots=True)
class Decision:
    """What a merged table is made of. Rows are numbered among those that are looked at.

    Attributes:
        removed: Rows of ours that go, ascending.
        added: Rows of theirs that come in, ascending.
        cells: Cells that come from theirs, by column; none where there are none.
        conflicts: What the sides disagree about.
    """

    removed: NDArray[np.int64]
    added: NDArray[np.int64]
    cells: dict[str, CellsTaken] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)

    @property
    def is_ours(self) -> bool:
        """Whether no row and cell comes from theirs, and none goes."""
        return not (len(self.removed) or len(self.added) or self.cells)


class Decider:
    """Decides about the rows and cells of one merge.

    Args:
        path: The file.
        tables: The versions.
        places: Where the rows lie that are looked at.
        ids: Which column chunks are the same.
        matching: Which of their rows are the same.
        matcher: Says what tells rows apart.
        policy: The side that settles conflicts, or None.
    """

    def __init__(
        self,
        path: bytes,
        tables: Mapping[Side, Table],
        places: Places,
        ids: ChunkIds,
        matching: Matching,
        matcher: Matcher,
        policy: Side | None,
    ) -> None:
        self._path = path
        self._tables = tables
        self._ids = ids
        self._places = places
        self._matching = matching
        self._matcher = matcher
        self._policy = policy
        self._conflicts: list[Conflict] = []
        base, ours, theirs = matching.base >= 0, matching.ours >= 0, matching.theirs >= 0
        self._has_base = base
        self._in_both = ours & theirs
        self._is_new = ~base & ~ours & theirs
        self._left = {Side.OURS: base & ours & ~theirs, Side.THEIRS: base & ~ours & theirs}
        self._is_left_changed = {side: np.zeros(len(base), np.bool_) for side in _BOTH}

    def decide(self, columns: Sequence[MergedColumn], compared: Sequence[str]) -> Decision:
        """Decides.

        Args:
            columns: Those of the merged table.
            compared: Names of those that do not tell rows apart.

        Raises:
            UnmergeableError: A version cannot be read.
        """
        cells = {}
        for column in columns:
            if column.name in compared:
                taken = self._decide_cells(column)
                if len(taken.ours):
                    cells[column.name] = taken
        self._look_at_removed_columns({column.name for column in columns})
        removed, added = self._decide_rows()
        return Decision(removed, added, cells, self._conflicts)

    # Cells

    def _decide_cells(self, column: MergedColumn) -> CellsTaken:
        cells = self._cells(column.name, column.field.type)
        if Side.THEIRS not in cells:
            return self._taken(np.zeros(0, np.int64))
        if Side.OURS not in cells:  # theirs added the column
            return self._taken(np.flatnonzero(self._in_both))
        has_base = self._has_base & (Side.BASE in cells)
        wins = clash = np.zeros_like(has_base)
        if Side.BASE in cells:
            both = self._in_both & has_base
            other = self._differ(cells, Side.BASE, Side.THEIRS, both | self._left[Side.THEIRS])
            mine = self._differ(cells, Side.BASE, Side.OURS, both & other | self._left[Side.OURS])
            for side, changed in ((Side.OURS, mine), (Side.THEIRS, other)):
                self._is_left_changed[side] |= changed & self._left[side]
            wins, clash = both & other & ~mine, both & other & mine
        clash = self._differ(cells, Side.OURS, Side.THEIRS, clash | self._in_both & ~has_base)
        self._tell_cells(column.name, cells, np.flatnonzero(clash))
        return self._taken(np.flatnonzero(wins | (clash & (self._policy is Side.THEIRS))))

    def _cells(self, name: str, kind: pa.DataType) -> Cells:
        return Cells(self._tables, self._places, self._ids, name, kind)

    def _differ(
        self, cells: Cells, one: Side, other: Side, rows: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Returns which of some rows, which two sides have, have other values there."""
        places = np.flatnonzero(rows)
        pairs = (self._matching.of(side)[places] for side in (one, other))
        found = np.zeros(len(rows), np.bool_)
        found[places] = cells.differ(one, next(pairs), other, next(pairs))
        return found

    def _taken(self, places: NDArray[np.int64]) -> CellsTaken:
        return CellsTaken(self._matching.ours[places], self._matching.theirs[places])

    def _tell_cells(self, name: str, cells: Cells, places: NDArray[np.int64]) -> None:
        if not len(places):
            return
        keys = self._matcher.shown(Side.OURS, self._matching.ours[places])
        texts = [cells.shown(side, self._matching.of(side)[places]) for side in Side]
        for key, base, ours, theirs in zip(keys, *texts, strict=True):
            self._conflicts.append(
                Conflict(
                    self._path,
                    ConflictKind.CELL,
                    "both sides changed this cell, each in its own way",
                    where=f"{key}, column {name}",
                    base=base,
                    ours=ours,
                    theirs=theirs,
                    settled=self._policy,
                )
            )

    # Columns and rows

    def _look_at_removed_columns(self, kept: set[str]) -> None:
        base = self._tables[Side.BASE]
        for side in _BOTH:
            for name in self._tables[side].fields:
                if name not in kept and name in base:
                    self._look_at_removed_column(name, side)

    def _look_at_removed_column(self, name: str, side: Side) -> None:
        """Tells of what a side did in a column that the other one removed."""
        cells = self._cells(name, self._tables[side].fields[name].type)
        rows = self._has_base & (self._matching.of(side) >= 0)
        changed = self._differ(cells, Side.BASE, side, rows)
        self._is_left_changed[side] |= changed & self._left[side]
        count = int((changed & self._in_both).sum())
        if count:
            message = f"{_OTHER[side]} removed this column, {side} changed {count} of its cells"
            where = f"column {name}"
            self._conflicts.append(Conflict(self._path, ConflictKind.SCHEMA, message, where=where))

    def _decide_rows(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        goes, comes = self._left[Side.OURS].copy(), self._is_new.copy()
        for side in _BOTH:
            clash = self._left[side] & self._is_left_changed[side]
            self._tell_rows(side, np.flatnonzero(clash))
            is_kept = self._policy in (None, side)
            if side is Side.OURS:
                goes &= ~(clash & is_kept)
            else:
                comes |= clash & is_kept
        return (
            np.sort(self._matching.ours[np.flatnonzero(goes)]),
            np.sort(self._matching.theirs[np.flatnonzero(comes)]),
        )

    def _tell_rows(self, side: Side, places: NDArray[np.int64]) -> None:
        if not len(places):
            return
        for key in self._matcher.shown(side, self._matching.of(side)[places]):
            self._conflicts.append(
                Conflict(
                    self._path,
                    ConflictKind.RECORD,
                    f"{_OTHER[side]} removed this row, {side} changed it",
                    where=key,
                    settled=self._policy,
                )
            )
