"""The column chunks of a merged table that no version has.

Owns: which chunks can be taken from a version as they are, and writing the others through pyarrow,
each column into a file of its own in the scratch folder.
Layer: merge. Needs pyarrow and NumPy.

A chunk is taken as it is if its row group is, no cell of it changes, and its column has the same
form there as in the merged table. The form is that of the side that defines the column, if pyarrow
writes that form; else the whole column is written anew.

Memory: one column of what is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlbfs.merge.conflicts import ConflictKind
from mlbfs.merge.parquet.footer import Element, Meta
from mlbfs.merge.parquet.table import Table
from mlbfs.merge.parquet.values import same
from mlbfs.merge.parts import PathReader
from mlbfs.merge.unmergeable import UnmergeableError
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mlbfs.merge.parquet.columns import MergedColumn
    from mlbfs.merge.parquet.deciding import CellsTaken
    from mlbfs.merge.parquet.footer import Column
    from mlbfs.merge.parquet.groups import OutGroup
    from mlbfs.merge.parquet.places import Groups
    from mlbfs.merge.parquet.thrift import Struct
    from mlbfs.merge.parquet.values import Array

_CODECS = {0: "none", 1: "snappy", 2: "gzip", 4: "brotli", 5: "lz4", 6: "zstd", 7: "lz4"}
_INT32, _INT64, _INT96 = 1, 2, 3


@dataclass(frozen=True, slots=True)
class OutColumn:
    """A column of the merged table.

    Attributes:
        name: Its name.
        elements: Its part of the schema.
        path: The file with the chunks that were written.
        table: That file.
        written: Number of the row group there, by number of the merged one.
    """

    name: str
    elements: tuple[Struct, ...]
    path: Path
    table: Table
    written: dict[int, int]

    @property
    def leaves(self) -> range:
        """The leaves of it that the file has: as many as everywhere."""
        return self.table.footer.columns[self.name].leaves


class ColumnWriter:
    """Writes what is new of each column.

    Args:
        tables: The versions.
        looked_at: The row groups that are looked at.
        out: The row groups of the merged table.
        scratch: A folder for files.
    """

    def __init__(
        self,
        tables: Mapping[Side, Table],
        looked_at: Groups,
        out: Sequence[OutGroup],
        scratch: Path,
    ) -> None:
        self._tables = tables
        self._looked_at = looked_at
        self._out = out
        self._scratch = scratch

    def write(self, number: int, column: MergedColumn, cells: CellsTaken | None) -> OutColumn:
        """Writes the chunks of a column that no version has.

        Args:
            number: Which of the columns it is.
            column: The column.
            cells: Its cells that come from theirs.

        Raises:
            UnmergeableError: A version cannot be read, or the column would hold what it must not.
        """
        defined = self._tables[column.side].footer.columns[column.name]
        options = _options(self._tables[column.side], defined)
        form = self._form(number, column, options)
        fitting = {side for side in Side if self._has_form(side, column, form)}
        wanted = [
            place for place, group in enumerate(self._out) if not _is_kept(group, fitting, cells)
        ]
        path = self._scratch / f"column-{number}"
        table = self._write(path, column, options, [self._out[place] for place in wanted], cells)
        is_same = _skeleton(defined.elements) == _skeleton(form.elements)
        elements = defined.elements if is_same else form.elements
        written = {place: row_group for row_group, place in enumerate(wanted)}
        return OutColumn(column.name, elements, path, table, written)

    def _form(self, number: int, column: MergedColumn, options: dict[str, Any]) -> Column:
        """Returns the form in which pyarrow writes a column."""
        path = self._scratch / f"form-{number}"
        return self._write(path, column, options, [], None).footer.columns[column.name]

    def _has_form(self, side: Side, column: MergedColumn, form: Column) -> bool:
        """Whether chunks of a side can be taken as they are."""
        table = self._tables[side]
        if column.name not in table:
            return False
        has_form = _skeleton(table.footer.columns[column.name].elements) == _skeleton(form.elements)
        return has_form and table.fields[column.name].type == column.field.type

    def _write(
        self,
        path: Path,
        column: MergedColumn,
        options: dict[str, Any],
        groups: Sequence[OutGroup],
        cells: CellsTaken | None,
    ) -> Table:
        schema = pa.schema([column.field.remove_metadata()])
        theirs = self._theirs(column) if any(_takes_theirs(one, cells) for one in groups) else None
        arrays = [self._values(group, column, theirs, cells) for group in groups]
        with pq.ParquetWriter(path, schema, **options) as writer:
            for array in arrays:
                if array.null_count and not column.field.nullable:
                    raise UnmergeableError(
                        f"{column.side} has no nulls in this column, the other side has",
                        f"column {column.name!r}",
                        ConflictKind.CONSTRAINT,
                    )
                writer.write_table(pa.table([array], schema=schema), row_group_size=len(array))
        table = Table(PathReader(path), f"column {column.name!r}")
        for number, array in enumerate(arrays):
            check_written(table, column.name, number, array)
        return table

    def _theirs(self, column: MergedColumn) -> Array:
        return self._column(Side.THEIRS, self._looked_at[Side.THEIRS], column)

    def _column(self, side: Side, groups: Sequence[int], column: MergedColumn) -> Array:
        """Returns a column of some row groups of a side; nulls where the side has none."""
        table = self._tables[side]
        if column.name in table:
            return table.read(column.name, groups, column.field.type)
        return pa.nulls(sum(table.footer.groups[one].rows for one in groups), column.field.type)

    def _values(
        self,
        group: OutGroup,
        column: MergedColumn,
        theirs: Array | None,
        cells: CellsTaken | None,
    ) -> Array:
        own = pa.array([], column.field.type)
        if group.source is not None:
            own = self._column(group.source[0], [group.source[1]], column)
        if theirs is None:
            return own.take(pa.array(np.delete(np.arange(len(own)), group.removed)))
        places = np.arange(len(own))
        replaced = _replaced(group, cells)
        if cells is not None and len(replaced):
            places[cells.ours[replaced] - (group.first or 0)] = len(own) + cells.theirs[replaced]
        places = np.r_[np.delete(places, group.removed), len(own) + group.added]
        return pa.concat_arrays([own, theirs]).take(pa.array(places))


def check_written(table: Table, name: str, number: int, array: Array) -> None:
    """Checks that a row group has the values that it should have.

    Raises:
        UnmergeableError: It has others.
    """
    found = table.read(name, [number])
    if found.type != array.type or len(found) != len(array) or not same(found, array).all():
        raise UnmergeableError(
            f"pyarrow does not write values of type {array.type} so that they stay as they are",
            f"column {name!r}",
            ConflictKind.BINARY,
        )


def _is_kept(group: OutGroup, fitting: set[Side], cells: CellsTaken | None) -> bool:
    """Whether a chunk can be taken as it is, of sides whose chunks have the form."""
    if group.source is None or not group.is_whole:
        return False
    return group.source[0] in fitting and not len(_replaced(group, cells))


def _replaced(group: OutGroup, cells: CellsTaken | None) -> NDArray[np.int64]:
    """Returns which of some cells lie in a row group."""
    if cells is None or group.first is None or group.source is None:
        return np.zeros(0, np.int64)
    if group.source[0] is not Side.OURS:
        return np.zeros(0, np.int64)
    inside = (cells.ours >= group.first) & (cells.ours < group.first + group.rows)
    return np.flatnonzero(inside)


def _takes_theirs(group: OutGroup, cells: CellsTaken | None) -> bool:
    return bool(len(group.added) or len(_replaced(group, cells)))


def _options(table: Table, column: Column) -> dict[str, Any]:
    """Returns how to write a column so that it has the form that it has in a file."""
    types = {one.integer(Element.TYPE) for one in column.elements}
    groups = table.footer.groups
    codec = groups[0].chunks[column.leaves[0]].meta.integer(Meta.CODEC) if groups else None
    names = {one.binary(Element.NAME) for one in column.elements[1:]}
    return {
        "compression": _CODECS.get(codec if codec is not None else 1, "snappy"),
        "use_deprecated_int96_timestamps": _INT96 in types,
        "store_decimal_as_integer": bool(types & {_INT32, _INT64}),
        "use_compliant_nested_type": b"item" not in names,
    }


def _skeleton(elements: Sequence[Struct]) -> list[tuple[object, ...]]:
    """Returns what decides how values lie in the bytes of a column."""
    numbers = (Element.TYPE, Element.LENGTH, Element.REPETITION, Element.CHILDREN)
    return [
        (one.binary(Element.NAME), *(one.integer(number) or 0 for number in numbers))
        for one in elements
    ]
