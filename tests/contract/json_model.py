"""What a merge of JSON values comes to, value by value: slow, whole, and without any text."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

MISSING = object()


def merge_values(
    base: Any, ours: Any, theirs: Any, *, key: str | None = None
) -> tuple[Any, list[str]]:
    """Returns the merged value and the places in conflict, where ours stays unless it is gone."""
    conflicts: list[str] = []
    return _merge("$", base, ours, theirs, key, conflicts), conflicts


def name_of(value: Any) -> str:
    """Returns what makes two values one: the order of elements counts, that of members does not."""
    return json.dumps(value, sort_keys=True)


def unordered(value: Any) -> Any:
    """Returns a value of which lists are in an order of their own."""
    if isinstance(value, dict):
        return {name: unordered(one) for name, one in value.items()}
    if isinstance(value, list):
        return sorted((unordered(one) for one in value), key=name_of)
    return value


def _same(one: Any, other: Any) -> bool:
    if one is MISSING or other is MISSING:
        return one is other
    return name_of(one) == name_of(other)


def _merge(
    where: str, base: Any, ours: Any, theirs: Any, key: str | None, conflicts: list[str]
) -> Any:
    if _same(ours, theirs) or _same(base, theirs):
        return ours
    if _same(base, ours):
        return theirs
    if isinstance(ours, dict) and isinstance(theirs, dict):
        before = base if isinstance(base, dict) else {}
        found = {}
        for name in {**ours, **theirs}:
            sides = (one.get(name, MISSING) for one in (before, ours, theirs))
            found[name] = _merge(f"{where}.{name}", *sides, key, conflicts)
        return {name: value for name, value in found.items() if value is not MISSING}
    if isinstance(ours, list) and isinstance(theirs, list):
        before = base if isinstance(base, list) else []
        return _merge_lists(where, before, ours, theirs, key, conflicts)
    conflicts.append(where)
    return theirs if ours is MISSING else ours


def _merge_lists(
    where: str, base: Any, ours: Any, theirs: Any, key: str | None, conflicts: list[str]
) -> Any:
    sides = (base, ours, theirs)
    if key is not None:
        found = [{name_of(one[key]): one for one in side} for side in sides]
        merged = [
            _merge(
                f"{where}[{key}={name}]", *(one.get(name, MISSING) for one in found), key, conflicts
            )
            for name in {**found[1], **found[2]}
        ]
        return [one for one in merged if one is not MISSING]
    before, mine, other = (Counter(map(name_of, side)) for side in sides)
    taken, added = (before - other) - (before - mine), (other - before) - (mine - before)
    return [json.loads(name) for name in ((mine - taken) + added).elements()]
