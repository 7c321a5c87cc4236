"""Driver `jsonl`: one JSON record on a line, appended by both sides.

    *.jsonl   merge=jsonl
    *.jsonl   merge=jsonl:key=id

What all three versions have is not looked at. The merged file is ours without the records that
theirs took away, then the records that theirs added, in its order; a record that both added is
there once. Records are told apart by the bytes of their line. With `key=NAME` that member tells
them apart: a record that both changed merges like a JSON object, and what cannot be merged is a
conflict with its key, which `conflict=ours` or `conflict=theirs` settles.

The result is made of pieces of the versions, so a long file of which little is new is neither read
into memory nor cut into chunks again. Records that all three versions have are not parsed, and
memory is bounded: what differs is counted, or found again by its key, in a database in the scratch
folder.

Layer: merge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.merge.conflicts import Conflict, ConflictKind
from mlbfs.merge.jsonmerge import merge_documents
from mlbfs.merge.jsonspans import Document
from mlbfs.merge.jsontext import MalformedJsonError, parse_json, render_json, style_of
from mlbfs.merge.jsonwriting import write_document
from mlbfs.merge.lines import common_prefix, iter_blocks, newline_of
from mlbfs.merge.pieces import PieceWriter
from mlbfs.merge.recordcount import RecordCount
from mlbfs.merge.rowtable import Place, RowTable, read_line
from mlbfs.merge.versions import Side
from mlbfs.merge.wholerecords import merge_records, record_of

if TYPE_CHECKING:
    from mlbfs.merge.driver import MergeCall, MergeResult
    from mlbfs.merge.lines import Line

_MAX_SHOWN = 200


class JsonLines:
    """Merges files of JSON records."""

    name = "jsonl"

    def merge(self, call: MergeCall) -> MergeResult:
        """Merges by record; a line that is no JSON is a conflict with its byte."""
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
    writer = PieceWriter(call, front, newline_of(call, Side.OURS))
    conflicts = list[Conflict]()
    readers = {side: call.open(side) for side in Side}
    with RowTable(call.scratch / "places") as table:
        _find_places(call, front, key, table)
        for places in table.rows():
            writer.keep_around(places.get(Side.OURS))
            lines = {side: read_line(readers[side], place) for side, place in places.items()}
            _merge_record(call, writer, conflicts, key, lines)
        writer.keep_rest()
    return writer.result(conflicts)


def _find_places(call: MergeCall, front: int, key: str, table: RowTable) -> None:
    """Finds the records that not all versions have, by the value of their key.

    Raises:
        MalformedJsonError: A record has no such key, or two have the same.
    """
    path = call.scratch / "records"
    with RecordCount(path, lambda side: iter_blocks(call, side, front), record_of) as count:
        count.compare()
        for side in Side:
            for line in count.differing(side):
                if record_of(line.data) is None:
                    continue
                where = f"{side}, byte {line.start}"
                name = _key_of(line.data, key, where)
                if table.add(side, name, Place(line.start, line.stop)):
                    raise MalformedJsonError(f"the key {key!r} has one value twice", where)


def _key_of(record: bytes, key: str, where: str) -> bytes:
    value = parse_json(record, where)
    if not isinstance(value, dict) or key not in value:
        raise MalformedJsonError(f"a record without the key {key!r}", where)
    return render_json(value[key], style_of(b""))


def _merge_record(
    call: MergeCall,
    writer: PieceWriter,
    conflicts: list[Conflict],
    key: str,
    lines: dict[Side, Line],
) -> None:
    base, ours, theirs = (lines.get(side) for side in Side)
    before, mine, other = (None if line is None else line.data for line in (base, ours, theirs))
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
        conflicts.append(_conflict(call, key, (before, mine, other), policy))
        side = policy or (Side.OURS if ours is not None else Side.THEIRS)
    if side in lines:
        writer.add(side, lines[side])


def _merge_members(base: Line | None, ours: Line | None, theirs: Line | None) -> bytes | None:
    """Returns a record that both sides changed in different members, or None."""
    if ours is None or theirs is None:
        return None
    mine, other = Document(ours.data, "a record"), Document(theirs.data, "a record")
    before = None if base is None else Document(base.data, "a record").root
    merged, conflicts = merge_documents(before, mine.root, other.root)
    return None if conflicts else write_document(merged, mine)


def _conflict(
    call: MergeCall,
    key: str,
    data: tuple[bytes | None, bytes | None, bytes | None],
    policy: Side | None,
) -> Conflict:
    name = _key_of(next(one for one in data if one is not None), key, "a record")
    base, ours, theirs = (
        None if one is None else one.decode(errors="backslashreplace")[:_MAX_SHOWN] for one in data
    )
    return Conflict(
        call.path,
        ConflictKind.RECORD,
        "both sides changed this record, each in its own way",
        where=f"{key}={name.decode(errors='backslashreplace').strip()}",
        base=base,
        ours=ours,
        theirs=theirs,
        settled=policy,
    )
