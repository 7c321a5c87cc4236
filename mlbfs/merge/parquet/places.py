"""Where the rows that are looked at lie.

Owns: the row groups that are looked at, and how their rows are numbered: of one row group behind
the other.
Layer: merge. Needs NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mlbfs.merge.parquet.table import Table

Groups = dict[Side, list[int]]
"""Numbers of row groups of each side."""


class Places:
    """Where rows lie.

    Attributes:
        groups: The row groups that are looked at.
    """

    def __init__(self, tables: Mapping[Side, Table], groups: Groups) -> None:
        self.groups = groups
        self._firsts = {}
        for side, table in tables.items():
            rows = [table.footer.groups[one].rows for one in groups[side]]
            self._firsts[side] = np.cumsum([0, *rows])

    def count(self, side: Side) -> int:
        """Returns how many rows of a side are looked at."""
        return int(self._firsts[side][-1])

    def firsts(self, side: Side) -> dict[int, int]:
        """Returns the number of the first row of each row group that is looked at."""
        return dict(zip(self.groups[side], self._firsts[side].tolist(), strict=False))

    def find(
        self, side: Side, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns, for some rows, which of the row groups they are in, and where in it."""
        firsts = self._firsts[side]
        within = np.searchsorted(firsts, rows, side="right") - 1
        return within, rows - firsts[within]
