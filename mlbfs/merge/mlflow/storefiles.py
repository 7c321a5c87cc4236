"""Merges one file of MLflow's folder.

Owns: how documents, metrics and values of runs merge.
Layer: merge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.merge.conflicts import Conflict, ConflictKind
from mlbfs.merge.driver import Data, MergeResult, Take
from mlbfs.merge.mlflow.documents import merge_documents
from mlbfs.merge.mlflow.storepaths import Part
from mlbfs.merge.mlflow.yamltext import (
    MAX_SIZE,
    MalformedYamlError,
    encode_document,
    parse_document,
)
from mlbfs.merge.unmergeable import UnmergeableError
from mlbfs.merge.versions import Side
from mlbfs.merge.wholerecords import merge_records

if TYPE_CHECKING:
    from mlbfs.merge.driver import MergeCall
    from mlbfs.merge.mlflow.storepaths import Place

_MAX_SHOWN = 200
_MOST_FIELDS = 6


class MalformedMetricError(UnmergeableError):
    """A line of a metric is none; `where` is its side and number."""


def merge_store_file(call: MergeCall, place: Place) -> MergeResult:
    """Merges a file of the folder by what it is."""
    try:
        if place.part is Part.DOCUMENT:
            return _merge_document(call, place)
        if place.part is Part.METRIC:
            return merge_records(call, _check_metric)
    except (MalformedYamlError, MalformedMetricError) as err:
        return err.result(call)
    return _merge_value(call, place)


def _merge_document(call: MergeCall, place: Place) -> MergeResult:
    base, ours, theirs = (
        None if version is None else parse_document(_front(call, side), str(side))
        for side, version in zip(Side, call.versions(), strict=True)
    )
    assert ours is not None, "a driver merges what both sides have"
    assert theirs is not None, "a driver merges what both sides have"
    policy = call.choice.policy()
    merged, found = merge_documents(base, ours, theirs, policy)
    conflicts = tuple(
        Conflict(
            call.path,
            ConflictKind.VALUE,
            f"both sides set {one.key} of {place.owner}, each in its own way",
            where=one.key,
            base=one.base,
            ours=one.ours,
            theirs=one.theirs,
            settled=policy,
        )
        for one in found
    )
    for side, document in ((Side.OURS, ours), (Side.THEIRS, theirs)):
        if merged == document:
            return MergeResult(Take(side), conflicts)
    return MergeResult(Data(encode_document(merged)), conflicts)


def _front(call: MergeCall, side: Side) -> bytes:
    """Returns a version, or so much of it that it is seen to be too long."""
    return call.open(side).read(0, MAX_SIZE + 1)


def _check_metric(line: bytes, where: str) -> None:
    """Checks `<timestamp> <value> <step>`; behind it may be the data set, and a run.

    Raises:
        MalformedMetricError: It is something else.
    """
    fields = line.split(b" ")
    try:
        int(fields[0])
        float(fields[1])
        int(fields[2] if len(fields) > 2 else b"0")
    except (ValueError, IndexError) as err:
        message = "not a metric: a line is '<timestamp> <value> <step>'"
        raise MalformedMetricError(message, where) from err
    if len(fields) > _MOST_FIELDS:
        raise MalformedMetricError(f"not a metric: a line with {len(fields)} fields", where)


def _merge_value(call: MergeCall, place: Place) -> MergeResult:
    """Tells that a tag, a parameter or an alias has two values."""
    policy = call.choice.policy()
    base, ours, theirs = (
        None
        if version is None
        else call.open(side).read(0, _MAX_SHOWN).decode(errors="backslashreplace")
        for side, version in zip(Side, call.versions(), strict=True)
    )
    said = f"both sides set {place.key} of {place.owner}, each in its own way"
    conflict = Conflict(
        call.path, ConflictKind.VALUE, said, place.key, base, ours, theirs, settled=policy
    )
    return MergeResult(Take(policy or Side.OURS), (conflict,))
