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

What ours has and keeps comes out byte by byte; what theirs brings is written as theirs has it, or
in the form of ours if the documents differ in that. Numbers keep the digits that they were written
with.

Layer: merge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.merge.conflicts import Conflict, ConflictKind
from mlbfs.merge.driver import Data, MergeResult, Take
from mlbfs.merge.drivers.sides import Binary
from mlbfs.merge.jsonmerge import merge_documents
from mlbfs.merge.jsonspans import Document
from mlbfs.merge.jsontext import MalformedJsonError
from mlbfs.merge.jsonwriting import write_document
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from mlbfs.merge.driver import MergeCall
    from mlbfs.merge.jsonmerge import ValueConflict

MAX_SIZE = 64 << 20
"""Bytes of a version; three of them are in memory at once."""


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
            base = _base(call)
            ours = Document(call.read(Side.OURS), str(Side.OURS), base)
            theirs = Document(call.read(Side.THEIRS), str(Side.THEIRS), base or ours)
        except MalformedJsonError as err:
            return err.result(call)
        merged, found = merge_documents(
            None if base is None else base.root,
            ours.root,
            theirs.root,
            key=call.choice.option("key"),
            policy=policy,
        )
        conflicts = tuple(_conflict(call, one, policy) for one in found)
        for side, document in ((Side.OURS, ours), (Side.THEIRS, theirs)):
            if merged is document.root:
                return MergeResult(Take(side), conflicts)
        return MergeResult(Data(write_document(merged, ours)), conflicts)


def _base(call: MergeCall) -> Document | None:
    """Returns the document that both sides began with; None if it is empty, or is not there."""
    data = call.read(Side.BASE)
    return Document(data, str(Side.BASE)) if data.strip() else None


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
