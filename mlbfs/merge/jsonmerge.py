"""Three-way merge of JSON documents: objects by key, lists by element.

Owns: what counts as one element of a list, and where what a side added goes.
Layer: merge. Pure.

Sources: three-way merge of sets and maps by identity (as in diff3, for values instead of lines). A
list is a sequence of elements with an identity each: the value of a member, or the whole value. The
merged list is ours without what theirs took away, followed by what theirs added, in its order.

Values are compared by their text first, and what has the same text on two sides is not taken apart.
The outcome says of each value where its text stands (`jsonwriting.py`).

Invariants:
  J1. Merging with a side that is as the base gives the other side.
  J2. What a side added is there, unless both took it in for one element.
  J3. Merging theirs into the result again, which theirs is the base of then, changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from json import JSONEncoder
from operator import and_
from secrets import token_hex
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.merge.jsonspans import value_of
from mlbfs.merge.jsontext import Number, Style, render_json
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mlbfs.merge.jsonspans import Children, Node
    from mlbfs.merge.jsontext import JsonValue

_MAX_SHOWN = 200
"""Characters of a value that a conflict shows."""


@dataclass(frozen=True, slots=True)
class ValueConflict:
    """A value that both sides changed in different ways; as text, None where a side has none."""

    where: str
    base: str | None
    ours: str | None
    theirs: str | None
    message: str = "both sides changed this value, each in its own way"


class Run(NamedTuple):
    """Values [first, last) of an object or list of ours, as they are."""

    first: int
    last: int


class Item(NamedTuple):
    """One value of a merged object or list.

    Attributes:
        value: What it is.
        place: Which value of ours it stands for; None for a new one.
        name: Where its name begins in the document of a new member; None for an element.
    """

    value: Node | Composed
    place: int | None = None
    name: int | None = None


@dataclass(frozen=True, slots=True)
class Composed:
    """An object or list that is put together.

    Attributes:
        node: That of ours.
        parts: Its values, in order.
    """

    node: Node
    parts: list[Run | Item]


@dataclass(slots=True)
class _Merge:
    key: str | None
    policy: Side | None
    conflicts: list[ValueConflict] = field(default_factory=list)


def merge_documents(
    base: Node | None,
    ours: Node,
    theirs: Node,
    *,
    key: str | None = None,
    policy: Side | None = None,
) -> tuple[Node | Composed, list[ValueConflict]]:
    """Merges two documents.

    Args:
        base: What both began with; None when there is nothing.
        ours: One document.
        theirs: The other one.
        key: Member that tells the elements of lists apart; by their whole value without.
        policy: The side whose value a conflict takes; ours where there is none.

    Returns:
        The merged document, and what both sides changed in different ways.
    """
    merge = _Merge(key, policy)
    merged = _merge(merge, "$", base, ours, theirs)
    assert merged is not None, "a document that both sides have stays"
    return merged, merge.conflicts


def _merge(
    merge: _Merge, where: str, base: Node | None, ours: Node | None, theirs: Node | None
) -> Node | Composed | None:
    if _is_written_alike(ours, theirs) or _is_written_alike(base, theirs):
        return ours
    if _is_written_alike(base, ours):
        return theirs
    _take_apart(ours, base)
    _take_apart(theirs, base or ours)
    if _same(ours, theirs) or _same(base, theirs):
        return ours
    if _same(base, ours):
        return theirs
    if ours is not None and theirs is not None:
        if ours.is_object and theirs.is_object:
            return _merge_objects(merge, where, base, ours, theirs)
        if ours.is_list and theirs.is_list:
            return _merge_lists(merge, where, base, ours, theirs)
    merge.conflicts.append(ValueConflict(where, _shown(base), _shown(ours), _shown(theirs)))
    if merge.policy is Side.THEIRS:
        return theirs
    if merge.policy is None and ours is None:
        return theirs  # what was changed is shown rather than nothing
    return ours


def _is_written_alike(one: Node | None, other: Node | None) -> bool:
    return one is not None and other is not None and one.has_text_of(other)


def _take_apart(node: Node | None, guide: Node | None) -> None:
    """Takes an object or list apart beside another version, which is quicker than alone."""
    if node is not None and (node.is_object or node.is_list):
        node.take_apart(guide)


def _same(one: Node | None, other: Node | None) -> bool:
    """Whether two values are one, however they are written; `true` is not 1, nor is 1.0."""
    if one is None or other is None:
        return one is other
    if one.has_text_of(other):
        return True
    if one.is_object and other.is_object:
        left, right = one.children, other.children
        return left.numbers.keys() == right.numbers.keys() and all(
            left.text(number) == right.text(right.numbers[name])
            or _same(left.node(number), right.named(name))
            for name, number in left.numbers.items()
        )
    if one.is_list and other.is_list:
        left, right = one.children, other.children
        return len(left) == len(right) and all(
            left.text(number) == right.text(number) or _same(left.node(number), right.node(number))
            for number in range(len(left))
        )
    if one.is_object or one.is_list or other.is_object or other.is_list:
        return False
    left_value, right_value = one.value, other.value
    return type(left_value) is type(right_value) and bool(left_value == right_value)


# Objects


def _merge_objects(
    merge: _Merge, where: str, base: Node | None, ours: Node, theirs: Node
) -> Node | Composed:
    mine, other = ours.children, theirs.children
    before = base.children if base is not None and base.is_object else None
    parts: list[Run | Item] = []
    _, shared, _ = _shared(before, mine, other)
    for name in _joined_order(mine.names, other.names):
        place = mine.numbers.get(name)
        if place is not None and shared[place]:
            _keep(parts, place, place + 1)
            continue
        value = _merge(
            merge,
            _member(where, name),
            None if before is None else before.named(name),
            None if place is None else mine.node(place),
            other.named(name),
        )
        begin = None if place is not None else other.begins[other.numbers[name]]
        _add(parts, mine, place, value, begin)
    return _whole(ours, parts)


def _shared(before: Children | None, mine: Children, other: Children) -> list[bytearray]:
    """Returns which values of base, ours and theirs are known to be there in all as they are.

    There may be more. The values of one side are those of the others, one by one.
    """
    if before is None or mine.guide is not before or other.guide is not before:
        return [bytearray(0 if side is None else len(side)) for side in (before, mine, other)]
    base = bytearray(map(and_, mine.found_in_guide(), other.found_in_guide()))
    shared = [base]
    for side in (mine, other):
        own = bytearray(len(side))
        for here, first, count in side.runs:
            own[here : here + count] = base[first : first + count]
        shared.append(own)
    return shared


def _add(
    parts: list[Run | Item],
    mine: Children,
    place: int | None,
    value: Node | Composed | None,
    name: int | None = None,
) -> None:
    """Adds what became of a value of ours, or a new one; nothing if it is gone."""
    if value is None:
        return
    if place is not None and not isinstance(value, Composed) and mine.holds(value, place):
        _keep(parts, place, place + 1)
    else:
        parts.append(Item(value, place, name))


def _keep(parts: list[Run | Item], first: int, stop: int) -> None:
    """Adds values of ours as they are."""
    last = parts[-1] if parts else None
    if isinstance(last, Run) and last.last == first:
        parts[-1] = Run(last.first, stop)
    else:
        parts.append(Run(first, stop))


def _whole(ours: Node, parts: list[Run | Item]) -> Node | Composed:
    """Returns what parts come to: the object or list of ours itself if it is all of it."""
    count = len(ours.children)
    return ours if parts == ([Run(0, count)] if count else []) else Composed(ours, parts)


def _joined_order(ours: Sequence[str], theirs: Sequence[str]) -> list[str]:
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
    if name.isidentifier():
        return f"{where}.{name}"
    return f"{where}[{_cut(_rendered(name))}]"


# Lists


def _merge_lists(
    merge: _Merge, where: str, base: Node | None, ours: Node, theirs: Node
) -> Node | Composed:
    before = base.children if base is not None and base.is_list else None
    versions = _Lists(before, ours.children, theirs.children)
    if merge.key is not None:
        keys = _Keys(merge.key, versions)
        if keys.are_there and keys.are_unique:
            return _whole(ours, _merge_keyed(merge, where, versions, keys))
        if keys.are_there:
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
    return _whole(ours, _merge_by_value(versions))


class _Lists:
    """The elements of the three versions of a list.

    Attributes:
        sides: Those of base, ours and theirs; None for a base that is no list.
        ours: Those of ours.
        theirs: Those of theirs.
    """

    def __init__(self, base: Children | None, ours: Children, theirs: Children) -> None:
        self.sides = (base, ours, theirs)
        self.ours = ours
        self.theirs = theirs
        self._shared = _shared(base, ours, theirs)

    def differing(self, side: int) -> Iterator[int]:
        """Yields the numbers of the elements that are not known to be there on all sides."""
        shared = self._shared[side]
        at = shared.find(0)
        while at >= 0:
            yield at
            at = shared.find(0, at + 1)

    def merged(self, decide: Callable[[list[Run | Item], int], None]) -> list[Run | Item]:
        """Returns what becomes of ours: what is shared is kept, of the rest it is decided."""
        parts: list[Run | Item] = []
        at = 0
        for number in self.differing(1):
            if at < number:
                _keep(parts, at, number)
            decide(parts, number)
            at = number + 1
        if at < len(self.ours):
            _keep(parts, at, len(self.ours))
        return parts


def _merge_by_value(versions: _Lists) -> list[Run | Item]:
    names, counts = _count(versions)
    taken, added = dict[str, int](), dict[str, int]()
    for name, (was, here, there) in counts.items():
        # What both took away is gone already, and what both added is there once.
        taken[name] = max(0, was - there) - max(0, was - here)
        added[name] = max(0, there - was) - max(0, here - was)

    def decide(parts: list[Run | Item], number: int) -> None:
        name = names[versions.ours.text(number)]
        if taken[name] > 0:
            taken[name] -= 1
        else:
            _keep(parts, number, number + 1)

    parts = versions.merged(decide)
    # From the back: what is new is at the end of what was there, if an element is there twice.
    new: list[Run | Item] = []
    for number in reversed(list(versions.differing(2))):
        name = names[versions.theirs.text(number)]
        if added[name] > 0:
            added[name] -= 1
            new.append(Item(versions.theirs.node(number)))
    return parts + new[::-1]


def _count(versions: _Lists) -> tuple[dict[str, str], dict[str, list[int]]]:
    """Counts the elements that not all versions have alike.

    Returns:
        What tells an element apart, by its text, and how often base, ours and theirs have it.
    """
    names: dict[str, str] = {}
    counts: dict[str, list[int]] = {}
    for side, children in enumerate(versions.sides):
        for number in versions.differing(side):
            assert children is not None, "it has elements"
            text = children.text(number)
            if text not in names:  # its value tells it apart, whatever the order of keys
                names[text] = _encode(value_of(text))
            counts.setdefault(names[text], [0, 0, 0])[side] += 1
    return names, counts


def _marked(value: object) -> dict[str, str]:
    """Stands for what the encoder of the library does not know; a string is no number."""
    assert isinstance(value, Number), "all else is known to it"
    return {_MARK: value.decode()}


_MARK = token_hex(16)
"""A key that no document has: it tells a number from an object that looks like one."""

_encode = JSONEncoder(sort_keys=True, separators=(",", ":"), default=_marked).encode
"""Many times as fast as rendering, which is only needed for what somebody sees."""


# Lists with a key


class _Keys:
    """What a member says of the elements of three versions of a list that may differ.

    Attributes:
        numbers: Which element a key is of, for base, ours and theirs.
        are_there: An element has it.
        are_unique: All elements have it, and no two of one side the same.
    """

    def __init__(self, key: str, versions: _Lists) -> None:
        self.numbers: list[dict[bytes | None, int]] = []
        self.are_unique = True
        for side, children in enumerate(versions.sides):
            found: dict[bytes | None, int] = {}
            numbers = list(versions.differing(side))
            for number in numbers:
                assert children is not None, "it has elements"
                found[_key(key, children.text(number))] = number
            self.numbers.append(found)
            self.are_unique &= len(found) == len(numbers) and None not in found
        self.are_there = any(name is not None for found in self.numbers for name in found)


def _key(key: str, text: str) -> bytes | None:
    """Returns the value of a key as text, whatever the order of keys within it."""
    value = value_of(text) if text.startswith("{") else None
    if not isinstance(value, dict) or key not in value:
        return None
    return render_json(_sorted(value[key]), _PLAIN)


def _sorted(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    return value


def _merge_keyed(merge: _Merge, where: str, versions: _Lists, keys: _Keys) -> list[Run | Item]:
    mine, other = keys.numbers[1:]
    names = {number: name for name, number in mine.items()}

    def merged(name: bytes | None) -> Node | Composed | None:
        assert name is not None, "every element has a key"
        nodes = [
            children.node(numbers[name]) if children is not None and name in numbers else None
            for children, numbers in zip(versions.sides, keys.numbers, strict=True)
        ]
        return _merge(merge, f"{where}[{merge.key}={name.decode('utf-8', 'replace')}]", *nodes)

    parts = versions.merged(
        lambda parts, number: _add(parts, versions.ours, number, merged(names[number]))
    )
    for name in other:
        if name not in mine:
            _add(parts, versions.ours, None, merged(name))
    return parts


# What is told


_PLAIN = Style(comma=",", colon=":", tail=b"")


def _shown(node: Node | None) -> str | None:
    return None if node is None else _cut(_rendered(node.value))


def _rendered(value: JsonValue) -> str:
    return render_json(value, _PLAIN).decode("utf-8", "replace")


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."
