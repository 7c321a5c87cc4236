"""Driver `jsonl`: one JSON record on a line, appended by both sides.

    *.jsonl   merge=jsonl
    *.jsonl   merge=jsonl:key=id

What all three versions begin with is not looked at. Behind it, the merged file is ours without the
records that theirs took away, then the records that theirs added, in its order; a record that both
added is there once. Records are told apart by the bytes of their line. With `key=NAME` that member
tells them apart: a record that both changed merges like a JSON object, and what cannot be merged is
a conflict with its key, which `conflict=ours` or `conflict=theirs` settles.

The result is made of pieces of the versions, so a long file of which little is new is neither read
into memory nor cut into chunks again. Without a key, memory is bounded: records are counted in a
database in the scratch folder. With one, the records behind the common front are in memory.

Layer: merge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.merge.conflicts import Conflict, ConflictKind
from mlbfs.merge.jsonmerge import MISSING, merge_documents
from mlbfs.merge.jsontext import MalformedJsonError, parse_json, render_json, style_of
from mlbfs.merge.lines import common_prefix, iter_lines, newline_of
from mlbfs.merge.pieces import PieceWriter
from mlbfs.merge.versions import Side
from mlbfs.merge.wholerecords import merge_records

if TYPE_CHECKING:
    from mlbfs.merge.driver import MergeCall, MergeResult
    from mlbfs.merge.jsontext import JsonValue
    from mlbfs.merge.lines import Line

_MAX_SHOWN = 200


class JsonLines:
    """Merges files of JSON records."""

    name = "jsonl"

    def merge(self, call: MergeCall) -> MergeResult:
        """Merges by record; a line that is no JSON is a conflict with its number."""
        call.choice.check_options("key", "conflict")
        call.choice.policy()  # a wrong one is told before anything is read
        front = common_prefix(call)
        try:
            key = call.choice.option("key")
            if key is None:
                return merge_records(call, parse_json, front)
            return _merge_keyed(call, front, key)
        except MalformedJsonError as err:
            return err.result(call)


# By a key


def _merge_keyed(call: MergeCall, front: int, key: str) -> MergeResult:
    base, ours, theirs = (_by_key(call, side, front, key) for side in Side)
    writer = PieceWriter(call, front, newline_of(call, Side.OURS))
    conflicts = list[Conflict]()
    for line in iter_lines(call, Side.OURS, front):
        if not line.data.strip():
            writer.add(Side.OURS, line)
    for name in [*ours, *(name for name in theirs if name not in ours)]:
        _merge_record(
            call, writer, conflicts, name, (base.get(name), ours.get(name), theirs.get(name))
        )
    return writer.result(conflicts)


def _by_key(call: MergeCall, side: Side, front: int, key: str) -> dict[bytes, Line]:
    """Returns the records of a side by the value of their key.

    Raises:
        MalformedJsonError: A record has no such key, or two have the same.
    """
    found: dict[bytes, Line] = {}
    for number, line in enumerate(iter_lines(call, side, front), 1):
        if not line.data.strip():
            continue
        where = f"{side}, record {number} behind byte {front}"
        value = parse_json(line.data, where)
        if not isinstance(value, dict) or key not in value:
            raise MalformedJsonError(f"a record without the key {key!r}", where)
        name = render_json(value[key], style_of(b""))
        if name in found:
            raise MalformedJsonError(f"the key {key!r} has one value twice", where)
        found[name] = line
    return found


def _merge_record(
    call: MergeCall,
    writer: PieceWriter,
    conflicts: list[Conflict],
    name: bytes,
    lines: tuple[Line | None, Line | None, Line | None],
) -> None:
    base, ours, theirs = lines
    before, mine, other = (None if line is None else line.data for line in lines)
    if mine == other or other == before:
        side = Side.OURS if ours is not None else None
    elif mine == before:
        side = Side.THEIRS if theirs is not None else None
    else:
        merged = _merge_members(base, ours, theirs)
        if merged is not None:
            writer.add_bytes(merged)
            return
        policy = call.choice.policy()
        conflicts.append(_conflict(call, name, (before, mine, other), policy))
        side = policy or (Side.OURS if ours is not None else Side.THEIRS)
    line = {Side.OURS: ours, Side.THEIRS: theirs}.get(side) if side is not None else None
    if side is not None and line is not None:
        writer.add(side, line)


def _merge_members(base: Line | None, ours: Line | None, theirs: Line | None) -> bytes | None:
    """Returns a record that both sides changed in different members, or None."""
    if ours is None or theirs is None:
        return None
    values: list[JsonValue] = [
        MISSING if line is None else parse_json(line.data, "a record")
        for line in (base, ours, theirs)
    ]
    merged, conflicts = merge_documents(*values)
    return None if conflicts else render_json(merged, style_of(ours.data))


def _conflict(
    call: MergeCall,
    name: bytes,
    data: tuple[bytes | None, bytes | None, bytes | None],
    policy: Side | None,
) -> Conflict:
    base, ours, theirs = (
        None if one is None else one.decode(errors="backslashreplace")[:_MAX_SHOWN] for one in data
    )
    return Conflict(
        call.path,
        ConflictKind.RECORD,
        "both sides changed this record, each in its own way",
        where=f"{call.choice.option('key')}={name.decode(errors='backslashreplace').strip()}",
        base=base,
        ours=ours,
        theirs=theirs,
        settled=policy,
    )
