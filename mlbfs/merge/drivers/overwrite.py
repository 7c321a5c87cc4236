"""Driver `overwrite`: models, checkpoints and images, of which the incoming one replaces ours.

    *.pt   merge=overwrite
    *.pt   merge=overwrite:when-better:metrics.json:test.accuracy:max

With `when-better:FILE:KEY` the incoming file is taken only if the JSON file of its side says that
it is better: a number at KEY, names joined by dots, that is larger (`max`, the default) or smaller
(`min`) than that of ours. Of what is equal, ours stays.

Layer: merge.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.errors import InvalidInputError
from mlbfs.ids import short_hex
from mlbfs.merge.conflicts import Conflict, ConflictKind
from mlbfs.merge.driver import MergeResult, Take
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from mlbfs.merge.driver import DriverChoice, MergeCall

WORD = "when-better"
MAX_METRICS = 16 << 20
"""Bytes of a metrics file; it is read into memory."""


class Overwrite:
    """Takes theirs, always or when it is better."""

    name = "overwrite"

    def merge(self, call: MergeCall) -> MergeResult:
        """Takes one side; the note has both ids, so that the other one is found again."""
        wish = _parse(call.choice)
        ids = f"{short_hex(call.ours.content)} gave way to {short_hex(call.theirs.content)}"
        if wish is None:
            return MergeResult(Take(Side.THEIRS), note=ids)
        try:
            ours, theirs = (_metric(call, side, wish) for side in (Side.OURS, Side.THEIRS))
        except _UnreadableError as err:
            conflict = Conflict(call.path, ConflictKind.MALFORMED, str(err), where=str(err.side))
            return MergeResult(Take(Side.OURS), (conflict,))
        if theirs is None or (ours is not None and not wish.is_better(theirs, ours)):
            said = f"{wish.key} {_shown(ours)}, theirs {_shown(theirs)}"
            kept = f"kept {short_hex(call.ours.content)}, not {short_hex(call.theirs.content)}"
            return MergeResult(Take(Side.OURS), note=f"{kept}: {said}")
        said = f"{wish.key} {_shown(theirs)}, ours {_shown(ours)}"
        return MergeResult(Take(Side.THEIRS), note=f"{ids}: {said}")


class _Wish(NamedTuple):
    """What makes the incoming file better."""

    file: bytes
    key: str
    largest: bool

    def is_better(self, one: float, other: float) -> bool:
        return one > other if self.largest else one < other


class _UnreadableError(Exception):
    """The metrics of a side cannot be read."""

    def __init__(self, side: Side, message: str) -> None:
        super().__init__(message)
        self.side = side


def _parse(choice: DriverChoice) -> _Wish | None:
    if not choice.words:
        return None
    word, *rest = choice.words
    if word != WORD or not 2 <= len(rest) <= 3 or rest[2:] not in ([], ["min"], ["max"]):
        raise InvalidInputError(
            f"merge driver 'overwrite' does not know {':'.join(choice.words)!r}",
            hint=f"it takes {WORD}:FILE:KEY, and :min or :max behind it",
        )
    return _Wish(rest[0].encode("utf-8", "surrogateescape"), rest[1], rest[2:] != ["min"])


def _metric(call: MergeCall, side: Side, wish: _Wish) -> float | None:
    """Returns the number that a side gives, or None if it gives none."""
    version = call.inputs.find(side, wish.file)
    if version is None:
        return None
    shown = wish.file.decode(errors="backslashreplace")
    if version.size > MAX_METRICS:
        raise _UnreadableError(side, f"{shown!r} is too long for a file of metrics")
    try:
        value = json.loads(call.inputs.open(version).read(0, version.size))
    except (ValueError, RecursionError) as err:
        raise _UnreadableError(side, f"{shown!r} is not JSON: {err}") from err
    for name in wish.key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise _UnreadableError(side, f"{wish.key} of {shown!r} is not a number: {value!r}")
    try:
        return float(value)
    except OverflowError as err:
        raise _UnreadableError(side, f"{wish.key} of {shown!r} is too large a number") from err


def _shown(value: float | None) -> str:
    return "has none" if value is None else f"{value:g}"
