"""Driver `json`: JSON documents, merged by key and by list.

    metrics.json   merge=json
    runs.json      merge=json:key=run_id

Objects merge key by key. Lists append: what a side added is added, what it took away goes, and what
both added is there once. Elements are told apart by their whole value, or with `key=NAME` by the
value of one of their members; an element that both changed then merges like any object. A list of
which only some elements have it, or two the same, is a conflict: they are told apart by their whole
value then. Two values
that both sides changed in different ways are a conflict, told by its path; `conflict=ours` or
`conflict=theirs` settles them.

The document comes out in the form that ours has: indentation, spaces, escapes and the last newline.
Numbers keep the digits that they were written with.

Layer: merge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.merge.conflicts import Conflict, ConflictKind
from mlbfs.merge.driver import Data, MergeResult, Take
from mlbfs.merge.drivers.sides import Binary
from mlbfs.merge.jsonmerge import MISSING, ValueConflict, merge_documents
from mlbfs.merge.jsontext import MalformedJsonError, parse_json, render_json, style_of
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from mlbfs.merge.driver import MergeCall
    from mlbfs.merge.jsontext import JsonValue

MAX_SIZE = 64 << 20
"""Bytes of a version; three of them are in memory at once, as values."""


class Json:
    """Merges JSON documents."""

    name = "json"

    def merge(self, call: MergeCall) -> MergeResult:
        """Merges by key and list; a version that cannot be parsed is a conflict."""
        call.choice.check_options("key", "conflict")
        policy = call.choice.policy()
        if any(v is not None and v.size > MAX_SIZE for v in (call.base, call.ours, call.theirs)):
            return Binary().merge(call)
        try:
            base, ours, theirs = (_parse(call, side) for side in Side)
        except MalformedJsonError as err:
            return err.result(call)
        merged, found = merge_documents(
            base, ours, theirs, key=call.choice.option("key"), policy=policy
        )
        conflicts = tuple(_conflict(call, one, policy) for one in found)
        if merged == ours:
            return MergeResult(Take(Side.OURS), conflicts)
        if merged == theirs:
            return MergeResult(Take(Side.THEIRS), conflicts)
        style = style_of(call.read(Side.OURS))
        return MergeResult(Data(render_json(merged, style)), conflicts)


def _parse(call: MergeCall, side: Side) -> JsonValue:
    """Returns the document of a side; a base that is empty, or is not there, has none."""
    data = call.read(side)
    if side is Side.BASE and not data.strip():
        return MISSING
    return parse_json(data, str(side))


def _conflict(call: MergeCall, found: ValueConflict, policy: Side | None) -> Conflict:
    return Conflict(
        call.path,
        ConflictKind.VALUE,
        found.message,
        where=found.where,
        base=found.base,
        ours=found.ours,
        theirs=found.theirs,
        settled=policy,
    )
