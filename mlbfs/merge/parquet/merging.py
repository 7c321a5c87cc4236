"""Merges three versions of a table.

Owns: the order of the steps.
Layer: merge. Needs pyarrow and NumPy.

The file is ours with what theirs did. What nobody touched is read once, to see that, and is not
written again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from mlbfs.merge.conflicts import ConflictKind
from mlbfs.merge.driver import MergeResult, Take
from mlbfs.merge.parquet.assembling import Assembler
from mlbfs.merge.parquet.chunks import chunk_ids
from mlbfs.merge.parquet.columns import (
    are_of_ours,
    as_in_ours,
    common_columns,
    have_same_columns,
    merge_columns,
)
from mlbfs.merge.parquet.deciding import Decider
from mlbfs.merge.parquet.groups import plan_groups
from mlbfs.merge.parquet.matching import Matcher, other_groups, shared_groups
from mlbfs.merge.parquet.metadata import merge_notes
from mlbfs.merge.parquet.places import Places
from mlbfs.merge.parquet.table import Table
from mlbfs.merge.parquet.writing import ColumnWriter, check_written
from mlbfs.merge.parts import PiecedContent
from mlbfs.merge.recordcount import came_in
from mlbfs.merge.unmergeable import UnmergeableError
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlbfs.merge.driver import MergeCall, Pieces
    from mlbfs.merge.parquet.columns import MergedColumn
    from mlbfs.merge.parquet.deciding import Decision
    from mlbfs.merge.parquet.places import Groups
    from mlbfs.merge.parquet.writing import OutColumn


def merge_tables(call: MergeCall, key: Sequence[str] | None) -> MergeResult:
    """Merges the versions of a table.

    Args:
        call: What is merged.
        key: The columns that tell rows apart; None for all that every version has.

    Raises:
        UnmergeableError: A version is malformed, the sides' columns do not go together, or it is of
            a kind that pyarrow cannot do this with.
    """
    try:
        return _merge(call, key)
    except pa.ArrowException as err:
        message = f"pyarrow cannot merge it: {str(err).splitlines()[0]}"
        raise UnmergeableError(message, "", ConflictKind.BINARY) from err


def _merge(call: MergeCall, key: Sequence[str] | None) -> MergeResult:
    tables = {side: _table(call, side) for side in Side}
    columns = merge_columns(tables)
    names = _identity(tables, columns, key)
    types = {column.name: column.field.type for column in columns}
    ids = chunk_ids(tables)
    shared: Groups = {side: [] for side in Side}
    if have_same_columns(tables):
        shared = shared_groups(ids)
    places = Places(tables, other_groups(tables, shared))
    matcher = Matcher(tables, places, [(name, types[name]) for name in names])
    matching = matcher.by_content() if key is None else matcher.by_key(shared)
    decider = Decider(call.path, tables, places, ids, matching, matcher, call.choice.policy())
    decision = decider.decide(columns, [name for name in types if name not in names])
    if not len(decision.added):
        columns = as_in_ours(tables, columns)
    return _result(call, tables, columns, places, decision)


def _table(call: MergeCall, side: Side) -> Table:
    exists = side is not Side.BASE or bool(call.base and call.base.size)
    return Table(call.open(side), str(side), exists=exists)


def _identity(
    tables: Mapping[Side, Table], columns: list[MergedColumn], key: Sequence[str] | None
) -> list[str]:
    """Returns the columns that tell rows apart."""
    common = common_columns(tables, columns)
    if key is None:
        if not common:
            raise UnmergeableError("the sides have no column in common", "", ConflictKind.SCHEMA)
        return common
    for name in key:
        for side, table in tables.items():
            if table.exists and name not in table:
                raise UnmergeableError(f"there is no column {name!r}", str(side))
    return list(key)


def _result(
    call: MergeCall,
    tables: Mapping[Side, Table],
    columns: list[MergedColumn],
    places: Places,
    decision: Decision,
) -> MergeResult:
    ours = tables[Side.OURS]
    out = plan_groups(tables, places, decision)
    rows = sum(group.count for group in out)
    notes, more = merge_notes(call.path, tables, columns, rows, call.choice.policy())
    conflicts = (*decision.conflicts, *more)
    if decision.is_ours and are_of_ours(ours, columns) and notes == ours.footer.metadata:
        return MergeResult(Take(Side.OURS), conflicts)
    writer = ColumnWriter(tables, places.groups, out, call.scratch)
    written = [
        writer.write(number, column, decision.cells.get(column.name))
        for number, column in enumerate(columns)
    ]
    content = Assembler(tables, written, out).assemble(notes)
    _read_again(call, content, columns, written)
    return MergeResult(content, conflicts, note=came_in(len(decision.added)))


def _read_again(
    call: MergeCall,
    content: Pieces,
    columns: Sequence[MergedColumn],
    written: Sequence[OutColumn],
) -> None:
    """Checks that the merged file has in it what was written for it.

    Raises:
        UnmergeableError: It has not.
    """
    merged = Table(PiecedContent(content.parts, call), "the merged file")
    for column, out in zip(columns, written, strict=True):
        if merged.fields[column.name].type != column.field.type:
            message = f"it would be read as {merged.fields[column.name].type}"
            raise UnmergeableError(message, f"column {column.name!r}", ConflictKind.SCHEMA)
        for place, number in out.written.items():
            check_written(merged, column.name, place, out.table.read(column.name, [number]))
