"""Which rows of three tables are the same row.

Owns: the row groups that need no look, and the numbers of rows that belong together.
Layer: merge. Needs pyarrow and NumPy.

Rows are the same if they have the same in the columns that tell rows apart. Rows of one side that
nothing tells apart are numbered: the second of them is the same row as the second of another side.
So whatever a side removes or adds of equal rows comes to as many as with `csv` and `jsonl`.

Row groups that all three versions have, byte for byte, are not looked at: their rows are there as
often on every side. With a key only its columns are read, to see that no other row has it.

Memory: a few numbers for each row that is looked at, and one column of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mlbfs.merge.parquet.values import codes, joined_codes, numbered, shown
from mlbfs.merge.unmergeable import UnmergeableError
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mlbfs.merge.parquet.chunks import ChunkIds
    from mlbfs.merge.parquet.places import Groups, Places
    from mlbfs.merge.parquet.table import Table
    from mlbfs.merge.parquet.values import Array


@dataclass(frozen=True, slots=True)
class Matching:
    """Rows that are the same, by place in three arrays; -1 where a side has none.

    Attributes:
        base: Numbers of rows of the base.
        ours: Of ours.
        theirs: Of theirs.
    """

    base: NDArray[np.int64]
    ours: NDArray[np.int64]
    theirs: NDArray[np.int64]

    def of(self, side: Side) -> NDArray[np.int64]:
        """Returns the numbers of a side."""
        return {Side.BASE: self.base, Side.OURS: self.ours, Side.THEIRS: self.theirs}[side]


def shared_groups(ids: ChunkIds) -> Groups:
    """Returns the row groups that all versions have, byte for byte, in pairs by their place.

    The tables have to have the same columns, in the same order.
    """
    groups = {side: list(zip(*columns.values(), strict=True)) for side, columns in ids.items()}
    counts = [Counter(found) for found in groups.values()]
    shared = counts[0] & counts[1] & counts[2]
    return {side: _first_of_each(found, shared) for side, found in groups.items()}


def _first_of_each(
    groups: Sequence[tuple[int, ...]], wanted: Counter[tuple[int, ...]]
) -> list[int]:
    left = wanted.copy()
    found = []
    for number, identity in enumerate(groups):
        if left[identity]:
            left[identity] -= 1
            found.append(number)
    return found


def other_groups(tables: Mapping[Side, Table], shared: Groups) -> Groups:
    """Returns the row groups that are looked at."""
    return {
        side: sorted(set(range(len(table.footer.groups))) - set(shared[side]))
        for side, table in tables.items()
    }


class Matcher:
    """Finds rows again.

    Args:
        tables: The versions.
        places: Where the rows lie that are looked at.
        columns: The columns that tell rows apart, with the types in which they are compared.
    """

    def __init__(
        self,
        tables: Mapping[Side, Table],
        places: Places,
        columns: Sequence[tuple[str, pa.DataType]],
    ) -> None:
        self._tables = tables
        self._places = places
        self._columns = columns

    def by_content(self) -> Matching:
        """Returns which rows are the same, where several may be."""
        found = self._codes()
        parts = self._split(found)
        numbers = np.concatenate([numbered(parts[side]) for side in Side])
        return self._matching(joined_codes([found, numbers], len(found)))

    def by_key(self, shared: Groups) -> Matching:
        """Returns which rows are the same by a key, which every row has for itself.

        Args:
            shared: The row groups that are not looked at otherwise.

        Raises:
            UnmergeableError: Two rows of a side have the same key.
        """
        found = self._codes(shared[Side.OURS])
        count = sum(map(self._places.count, Side))
        is_shared = np.zeros(int(found.max()) + 1 if len(found) else 0, np.bool_)
        is_shared[found[count:]] = True
        for side, part in self._split(found[:count]).items():
            is_twice = (numbered(part) > 0) | is_shared[part]
            if is_twice.any():
                row = self.shown(side, np.flatnonzero(is_twice)[:1])[0]
                raise UnmergeableError("two rows have this key", f"{side}, {row}")
        return self._matching(found[:count])

    def shown(self, side: Side, rows: NDArray[np.int64]) -> list[str]:
        """Returns what tells some rows of a side apart, as text for people."""
        found = [""] * len(rows)
        for name, kind in self._columns:
            values = (
                self._tables[side].read(name, self._places.groups[side], kind).take(pa.array(rows))
            )
            found = [
                f"{text}, {name}={shown(value)}" if text else f"{name}={shown(value)}"
                for text, value in zip(found, values, strict=True)
            ]
        return found

    def _codes(self, more: Sequence[int] = ()) -> NDArray[np.int64]:
        """Returns what tells the rows apart: of one side behind the other, then of more of ours."""
        found = []
        for name, kind in self._columns:
            arrays = [
                self._tables[side].read(name, self._places.groups[side], kind) for side in Side
            ]
            arrays.append(self._tables[Side.OURS].read(name, more, kind))
            found.append(codes(pa.concat_arrays(arrays)))
        return joined_codes(found, len(found[0]))

    def _read(self, side: Side, name: str, kind: pa.DataType) -> Array:
        return self._tables[side].read(name, self._places.groups[side], kind)

    def _split(self, found: NDArray[np.int64]) -> dict[Side, NDArray[np.int64]]:
        ends = np.cumsum([self._places.count(side) for side in Side])
        return dict(zip(Side, np.split(found, ends[:-1]), strict=True))

    def _matching(self, found: NDArray[np.int64]) -> Matching:
        count = int(found.max()) + 1 if len(found) else 0
        rows = {}
        for side, part in self._split(found).items():
            rows[side] = np.full(count, -1, np.int64)
            rows[side][part] = np.arange(len(part))
        return Matching(rows[Side.BASE], rows[Side.OURS], rows[Side.THEIRS])
