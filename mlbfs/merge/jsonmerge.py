"""Three-way merge of JSON values: objects by key, lists by element.

Owns: what counts as one element of a list, and where what a side added goes.
Layer: merge. Pure.

Sources: three-way merge of sets and maps by identity (as in diff3, for values instead of lines). A
list is a sequence of elements with an identity each: the value of a member, or the whole value. The
merged list is ours without what theirs took away, followed by what theirs added, in its order.

Invariants:
  J1. Merging with a side that is as the base gives the other side.
  J2. What a side added is there, unless both took it in for one element.
  J3. Merging theirs into the result again, which theirs is the base of then, changes nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from json import JSONEncoder
from secrets import token_hex
from typing import TYPE_CHECKING

from mlbfs.merge.jsontext import Number, Style, render_json
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from mlbfs.merge.jsontext import JsonValue

_MAX_SHOWN = 200
"""Characters of a value that a conflict shows."""


class _Missing:
    """The type of `MISSING`."""


MISSING = _Missing()
"""Stands for no value: `null` is one."""


@dataclass(frozen=True, slots=True)
class ValueConflict:
    """A value that both sides changed in different ways; as text, None where a side has none."""

    where: str
    base: str | None
    ours: str | None
    theirs: str | None
    message: str = "both sides changed this value, each in its own way"


@dataclass(slots=True)
class _Merge:
    key: str | None
    policy: Side | None
    conflicts: list[ValueConflict] = field(default_factory=list)


def merge_documents(
    base: JsonValue,
    ours: JsonValue,
    theirs: JsonValue,
    *,
    key: str | None = None,
    policy: Side | None = None,
) -> tuple[JsonValue, list[ValueConflict]]:
    """Merges two documents.

    Args:
        base: What both began with; `MISSING` when there is none.
        ours: One document.
        theirs: The other one.
        key: Member that tells the elements of lists apart; by their whole value without.
        policy: The side whose value a conflict takes; ours where there is none.

    Returns:
        The merged document, and what both sides changed in different ways.
    """
    merge = _Merge(key, policy)
    merged = _merge(merge, "$", base, ours, theirs)
    return merged, merge.conflicts


def _same(one: JsonValue, other: JsonValue) -> bool:
    """Whether two values are one; `true` is not 1 here, and numbers have no type but Number."""
    return type(one) is type(other) and bool(one == other)


def _merge(
    merge: _Merge, where: str, base: JsonValue, ours: JsonValue, theirs: JsonValue
) -> JsonValue:
    if _same(ours, theirs) or _same(base, theirs):
        return ours
    if _same(base, ours):
        return theirs
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return _merge_objects(merge, where, base if isinstance(base, dict) else {}, ours, theirs)
    if isinstance(ours, list) and isinstance(theirs, list):
        return _merge_lists(merge, where, base if isinstance(base, list) else [], ours, theirs)
    merge.conflicts.append(ValueConflict(where, _shown(base), _shown(ours), _shown(theirs)))
    if merge.policy is Side.THEIRS:
        return theirs
    if merge.policy is None and ours is MISSING:
        return theirs  # what was changed is shown rather than nothing
    return ours


def _merge_objects(
    merge: _Merge,
    where: str,
    base: dict[str, JsonValue],
    ours: dict[str, JsonValue],
    theirs: dict[str, JsonValue],
) -> dict[str, JsonValue]:
    merged: dict[str, JsonValue] = {}
    for name in _joined_order(list(ours), list(theirs)):
        value = _merge(
            merge,
            _member(where, name),
            base.get(name, MISSING),
            ours.get(name, MISSING),
            theirs.get(name, MISSING),
        )
        if value is not MISSING:
            merged[name] = value
    return merged


def _joined_order(ours: list[str], theirs: list[str]) -> list[str]:
    """Returns the keys of ours, each new one of theirs behind the one that it follows there."""
    behind: dict[str | None, list[str]] = {}
    known, last = set(ours), None
    for name in theirs:
        if name in known:
            last = name
        else:
            behind.setdefault(last, []).append(name)
    order = []
    for name in ours:
        order += [name, *behind.get(name, [])]
    return order + behind.get(None, [])


def _member(where: str, name: str) -> str:
    return f"{where}.{name}" if name.isidentifier() else f"{where}[{_shown(name)}]"


# Lists


def _merge_lists(
    merge: _Merge,
    where: str,
    base: list[JsonValue],
    ours: list[JsonValue],
    theirs: list[JsonValue],
) -> list[JsonValue]:
    if merge.key is not None and _any_has(merge.key, base, ours, theirs):
        if _all_have(merge.key, base, ours, theirs):
            return _merge_keyed(merge, where, base, ours, theirs)
        # By their whole value, an element that both changed would be there in both ways.
        merge.conflicts.append(
            ValueConflict(
                where,
                _shown(base),
                _shown(ours),
                _shown(theirs),
                message=f"elements without the key {merge.key!r}, or two with the same",
            )
        )
    names = {
        side: list(map(_whole, elements))
        for side, elements in zip(Side, (base, ours, theirs), strict=True)
    }
    before, mine, other = (Counter(names[side]) for side in Side)
    taken_away = (before - other) - (before - mine)  # what both took away is gone already
    added = other - before
    added -= mine - before  # what both added is there once
    merged = []
    for element, name in zip(ours, names[Side.OURS], strict=True):
        if taken_away[name]:
            taken_away[name] -= 1
        else:
            merged.append(element)
    # From the back: what is new is at the end of what was there, if an element is there twice.
    new = []
    for element, name in zip(reversed(theirs), reversed(names[Side.THEIRS]), strict=True):
        if added[name]:
            added[name] -= 1
            new.append(element)
    return merged + new[::-1]


def _whole(value: JsonValue) -> str:
    """Returns what makes an element the same as another: its value, whatever the order of keys."""
    return _encode(value)


def _marked(value: object) -> dict[str, str]:
    """Stands for what the encoder of the library does not know; a string is no number."""
    assert isinstance(value, Number), "all else is known to it"
    return {_MARK: value.decode()}


_MARK = token_hex(16)
"""A key that no document has: it tells a number from an object that looks like one."""

_encode = JSONEncoder(sort_keys=True, separators=(",", ":"), default=_marked).encode
"""Many times as fast as rendering, which is only needed for what somebody sees."""


def _identity(value: JsonValue) -> bytes:
    """Returns the value of a key as text, whatever the order of keys within it."""
    return render_json(_sorted(value), _PLAIN)


def _sorted(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    return value


def _any_has(key: str, *sides: list[JsonValue]) -> bool:
    return any(isinstance(one, dict) and key in one for side in sides for one in side)


def _all_have(key: str, *sides: list[JsonValue]) -> bool:
    """Returns whether all elements are objects with a key of their own."""
    for side in sides:
        names = [_identity(one[key]) for one in side if isinstance(one, dict) and key in one]
        if len(names) != len(side) or len(set(names)) != len(names):
            return False
    return True


def _merge_keyed(
    merge: _Merge,
    where: str,
    base: list[JsonValue],
    ours: list[JsonValue],
    theirs: list[JsonValue],
) -> list[JsonValue]:
    key = merge.key
    before, mine, other = (
        {_identity(one[key]): one for one in side} for side in (base, ours, theirs)
    )
    merged = []
    for name in [*mine, *(name for name in other if name not in mine)]:
        value = _merge(
            merge,
            f"{where}[{key}={name.decode('utf-8', 'replace')}]",
            before.get(name, MISSING),
            mine.get(name, MISSING),
            other.get(name, MISSING),
        )
        if value is not MISSING:
            merged.append(value)
    return merged


_PLAIN = Style(comma=",", colon=":", tail=b"")


def _shown(value: JsonValue) -> str | None:
    if value is MISSING:
        return None
    if isinstance(value, Number):
        return value.decode()
    text = render_json(value, _PLAIN).decode("utf-8", "replace")
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."
