"""The cells of one column on three sides, read as far as they are asked for.

Owns: which cells of two sides differ, and that no chunk is read to see that it is the same.
Layer: merge. Needs pyarrow and NumPy.

Memory: the row groups of one column that were asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mlbfs.merge.parquet.values import same, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mlbfs.merge.parquet.chunks import ChunkIds
    from mlbfs.merge.parquet.places import Places
    from mlbfs.merge.parquet.table import Table
    from mlbfs.merge.parquet.values import Array
    from mlbfs.merge.versions import Side


class Cells:
    """One column.

    Args:
        tables: The versions.
        places: Where their rows lie.
        ids: Which chunks are the same.
        name: The column.
        kind: The type in which its values are compared.
    """

    def __init__(
        self,
        tables: Mapping[Side, Table],
        places: Places,
        ids: ChunkIds,
        name: str,
        kind: pa.DataType,
    ) -> None:
        self._tables = tables
        self._places = places
        self._name = name
        self._kind = kind
        self._ids = {
            side: np.array([ids[side][name][one] for one in places.groups[side]], np.int64)
            for side, table in tables.items()
            if name in table
        }
        self._read: dict[tuple[Side, int], Array] = {}

    def __contains__(self, side: object) -> bool:
        return side in self._ids

    def differ(
        self, one: Side, rows: NDArray[np.int64], other: Side, others: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Returns for pairs of rows of two sides whether they have other values."""
        group, place = self._places.find(one, rows)
        other_group, other_place = self._places.find(other, others)
        is_one = (self._ids[one][group] == self._ids[other][other_group]) & (place == other_place)
        open_pairs = np.flatnonzero(~is_one)
        found = np.zeros(len(rows), np.bool_)
        if len(open_pairs):
            taken = self.take(one, rows[open_pairs]), self.take(other, others[open_pairs])
            found[open_pairs] = ~same(*taken)
        return found

    def take(self, side: Side, rows: NDArray[np.int64]) -> Array:
        """Returns the values of some rows.

        Raises:
            UnmergeableError: They cannot be read.
        """
        groups, places = self._places.find(side, rows)
        wanted = np.unique(groups)
        arrays = [self._group(side, int(one)) for one in wanted]
        firsts = np.cumsum([0, *map(len, arrays)])
        if not arrays:
            return pa.array([], self._kind)
        numbers = firsts[np.searchsorted(wanted, groups)] + places
        return pa.concat_arrays(arrays).take(pa.array(numbers))

    def shown(self, side: Side, rows: NDArray[np.int64]) -> list[str | None]:
        """Returns the values of some rows as text for people; None for those that there are not."""
        if side not in self:
            return [None] * len(rows)
        found: list[str | None] = [None] * len(rows)
        there = np.flatnonzero(rows >= 0)
        for place, value in zip(there, self.take(side, rows[there]), strict=True):
            found[place] = shown(value)
        return found

    def _group(self, side: Side, number: int) -> Array:
        key = (side, number)
        if key not in self._read:
            group = self._places.groups[side][number]
            self._read[key] = self._tables[side].read(self._name, [group], self._kind)
        return self._read[key]
