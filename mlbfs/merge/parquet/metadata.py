"""What a merged table says of itself by key: the notes of its writers.

Owns: the merge of these notes, and how those that describe the columns follow them.
Layer: merge. Needs pyarrow.

Two keys describe the columns. `ARROW:schema` has types that Parquet does not know, and is written
anew if the columns are other than those of ours. `pandas` says which columns are its index; its
list of columns follows those of the table, and the length of a counted index that of the table.
Every other key merges three ways.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mlbfs.merge.conflicts import Conflict, ConflictKind
from mlbfs.merge.parquet.columns import are_of_ours
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlbfs.merge.parquet.columns import MergedColumn
    from mlbfs.merge.parquet.table import Table

ARROW_SCHEMA = b"ARROW:schema"
PANDAS = b"pandas"
_MAX_SHOWN = 200

Notes = dict[bytes, bytes | None]
"""Values by key; a key may have none."""


def merge_notes(
    path: bytes,
    tables: Mapping[Side, Table],
    columns: list[MergedColumn],
    rows: int,
    policy: Side | None,
) -> tuple[Notes, list[Conflict]]:
    """Returns the notes of the merged table, and what the sides disagree about.

    Args:
        path: The file.
        tables: The versions.
        columns: Those of the merged table.
        rows: How many rows that has.
        policy: The side that settles conflicts, or None.
    """
    base, ours, theirs = (tables[side].footer.metadata for side in Side)
    found: Notes = {}
    conflicts = []
    for key in dict.fromkeys([*ours, *theirs]):
        sides = [[one[key]] if key in one else None for one in (base, ours, theirs)]
        before, mine, other = sides
        if key in (ARROW_SCHEMA, PANDAS):
            chosen = mine or other
        elif other in (mine, before):
            chosen = mine
        elif mine == before:
            chosen = other
        else:
            conflicts.append(_conflict(path, key, sides, policy))
            chosen = other if policy is Side.THEIRS else mine
        if chosen is not None:
            found[key] = chosen[0]
    if PANDAS in found:
        # A table that was cut may say another length than its own; as long as nothing comes of it.
        length = None if rows == tables[Side.OURS].footer.rows else rows
        found[PANDAS] = _pandas(found[PANDAS], theirs.get(PANDAS), columns, length)
    is_of_ours = are_of_ours(tables[Side.OURS], columns) and found == ours
    if ARROW_SCHEMA in found and not is_of_ours:
        found[ARROW_SCHEMA] = _arrow_schema(found, tables, columns)
    return found, conflicts


def _conflict(
    path: bytes, key: bytes, sides: list[list[bytes | None] | None], policy: Side | None
) -> Conflict:
    base, ours, theirs = (
        None if one is None else (one[0] or b"").decode(errors="backslashreplace")[:_MAX_SHOWN]
        for one in sides
    )
    return Conflict(
        path,
        ConflictKind.VALUE,
        "both sides changed this note of the file, each in its own way",
        where=f"metadata {key.decode(errors='backslashreplace')}",
        base=base,
        ours=ours,
        theirs=theirs,
        settled=policy,
    )


def _arrow_schema(
    found: Notes, tables: Mapping[Side, Table], columns: Sequence[MergedColumn]
) -> bytes:
    """Returns the columns as Arrow writes them down, with the types that the sides gave them."""
    fields = [
        tables[one.side].schema.field(one.name).with_nullable(one.field.nullable) for one in columns
    ]
    notes = {key: value or b"" for key, value in found.items() if key != ARROW_SCHEMA}
    schema = pa.schema(fields, metadata=notes or None)
    return base64.b64encode(schema.serialize().to_pybytes())


def _pandas(
    ours: bytes | None, theirs: bytes | None, columns: Sequence[MergedColumn], rows: int | None
) -> bytes | None:
    """Returns what pandas is told of the merged table; as it was if it cannot be understood."""
    value = _object(ours)
    if value is None:
        return ours
    described = {
        Side.OURS: _described(value),
        Side.THEIRS: _described(_object(theirs) or {}),
    }
    wanted = [described[one.side].get(one.name) for one in columns]
    names = {one.name for one in columns}
    index = value.get("index_columns")
    merged = value | {"columns": [one for one in wanted if one is not None]}
    if isinstance(index, list):
        merged["index_columns"] = [
            _counted(one, rows)
            for one in index
            if isinstance(one, dict) or (isinstance(one, str) and one in names)
        ]
    return ours if merged == value else json.dumps(merged).encode()


def _object(data: bytes | None) -> dict[str, Any] | None:
    try:
        value = json.loads(data or b"")
    except (ValueError, RecursionError):  # a note that pandas did not write: nothing follows it
        return None
    return value if isinstance(value, dict) else None


def _described(value: dict[str, Any]) -> dict[str, Any]:
    """Returns what pandas says of each column, by its name in the file."""
    columns = value.get("columns")
    return {
        one["field_name"]: one
        for one in (columns if isinstance(columns, list) else [])
        if isinstance(one, dict) and isinstance(one.get("field_name"), str)
    }


def _counted(index: Any, rows: int | None) -> Any:  # noqa: ANN401 - any JSON
    """Returns an index that is counted and not stored, with the length of the table."""
    if rows is None or not isinstance(index, dict) or index.get("kind") != "range":
        return index
    start, step = index.get("start"), index.get("step")
    if not isinstance(start, int) or not isinstance(step, int):
        return index
    return index | {"stop": start + step * rows}
