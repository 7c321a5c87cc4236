"""The columns of a merged table.

Owns: which columns of the sides are in it, in which order, with which types, and in whose form.
Layer: merge. Needs pyarrow.

The columns are those of ours without those that theirs removed, then those that theirs added. A
column whose type one side changed has that type; one whose type both changed, each to another, is a
conflict.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlbfs.merge.conflicts import ConflictKind
from mlbfs.merge.unmergeable import UnmergeableError
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from mlbfs.merge.parquet.table import Table

_BOTH = (Side.OURS, Side.THEIRS)


@dataclass(frozen=True, slots=True)
class MergedColumn:
    """A column of the merged table.

    Attributes:
        name: Its name.
        field: Name and type in Arrow, and whether it may hold nulls.
        side: The side whose definition it has.
    """

    name: str
    field: pa.Field
    side: Side


def merge_columns(tables: Mapping[Side, Table]) -> list[MergedColumn]:
    """Returns the columns of the merged table.

    Raises:
        UnmergeableError: Both sides gave one column a type, each another.
    """
    base, ours, theirs = (tables[side] for side in Side)
    names = [name for name in ours.fields if name in theirs or name not in base]
    names += [name for name in theirs.fields if name not in ours and name not in base]
    return [_merged(tables, name) for name in names]


def are_of_ours(ours: Table, columns: list[MergedColumn]) -> bool:
    """Whether the columns of the merged table are those of ours, and none is defined by theirs."""
    is_defined = all(one.side is Side.OURS for one in columns)
    return is_defined and [one.field for one in columns] == list(ours.fields.values())


def as_in_ours(tables: Mapping[Side, Table], columns: list[MergedColumn]) -> list[MergedColumn]:
    """Returns the columns as they are if no row of theirs comes in: those of ours need no nulls."""
    theirs = tables[Side.THEIRS]
    return [
        one if one.name in theirs else replace(one, field=tables[Side.OURS].fields[one.name])
        for one in columns
    ]


def common_columns(tables: Mapping[Side, Table], columns: list[MergedColumn]) -> list[str]:
    """Returns the columns that every version has."""
    present = [table for table in tables.values() if table.exists]
    return [one.name for one in columns if all(one.name in table for table in present)]


def have_same_columns(tables: Mapping[Side, Table]) -> bool:
    """Whether all versions have the same columns in the same form and order."""
    forms = [
        [(name, column.form) for name, column in table.footer.columns.items()]
        for table in tables.values()
        if table.exists
    ]
    return all(form == forms[0] for form in forms)


def _merged(tables: Mapping[Side, Table], name: str) -> MergedColumn:
    having = [side for side in _BOTH if name in tables[side]]
    side = having[0] if len(having) == 1 else _defining_side(tables, name)
    field = tables[side].fields[name]
    lacks = len(having) < len(_BOTH)  # rows of the other side have nothing in it
    return MergedColumn(name, field.with_nullable(field.nullable or lacks), side)


def _defining_side(tables: Mapping[Side, Table], name: str) -> Side:
    forms = {
        side: table.footer.columns[name].form for side, table in tables.items() if name in table
    }
    base, ours, theirs = (forms.get(side) for side in Side)
    if theirs in (ours, base):
        return Side.OURS
    if ours == base:
        return Side.THEIRS
    mine, other = (tables[side].fields[name] for side in _BOTH)
    if mine.type == other.type:
        return Side.OURS
    raise UnmergeableError(
        f"both sides gave this column a type: {mine.type} and {other.type}",
        f"column {name!r}",
        ConflictKind.SCHEMA,
    )
