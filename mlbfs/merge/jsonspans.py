"""Where the values of a JSON text lie, so that a merge keeps the text of what it does not change.

Owns: how a text is taken apart, one level at a time, without making values of what lies below.
Layer: merge. Pure.

The parser of the library checks each value that is passed over, but is told to keep nothing of it:
objects and numbers become what is needed to know how deeply they are nested. Versions of a document
are mostly the same: where one goes on as another that was taken apart before, its values lie as far
apart as there, and are not parsed again.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from functools import cached_property
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any, cast

from mlbfs.git.alike import same_front
from mlbfs.merge.jsontext import (
    BOM,
    MAX_DEPTH,
    JsonValue,
    Style,
    checked_object,
    make_decoder,
    parse_json,
    style_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

_SPACE = frozenset(" \t\n\r")
_skip_space = cast("Callable[[str, int], re.Match[str]]", re.compile(r"[ \t\n\r]*").match)
_GLANCE = 64
"""Characters that are compared before more is."""

_SEARCHED = 1 << 20
"""Characters in which is looked for what follows, where several values are gone."""


class Document:
    """A JSON text of one side.

    Args:
        data: UTF-8, with or without a byte order mark.
        name: What the document is called in an error.
        guide: Another version, which may make this one quicker to take apart.

    Attributes:
        head: The mark, or nothing.
        text: The text without it.
        root: Its value.

    Raises:
        MalformedJsonError: It is not JSON, has a key twice, or is nested too deeply.
    """

    def __init__(self, data: bytes, name: str, guide: Document | None = None) -> None:
        self.head = BOM if data.startswith(BOM) else b""
        try:
            self.text = data.removeprefix(BOM).decode()
            start = _after_space(self.text, 0)
            self.root = Node(self, start, 0)
            self.root.stop = self._end_of_root(start, None if guide is None else guide.root)
        except (IndexError, RecursionError, ValueError):
            parse_json(data, name)  # says what is wrong, and where
            raise

    def _end_of_root(self, start: int, guide: Node | None) -> int:
        if self.text[start] in "{[":
            children = self.root.take_apart(guide)
            stop, depth = children.end, children.depth + 1
        else:
            _, stop = _checking(self.text, start)
            depth = 0
        if depth > MAX_DEPTH:
            raise RecursionError
        if _after_space(self.text, stop) != len(self.text):
            raise JSONDecodeError("Extra data", self.text, stop)
        return stop

    @cached_property
    def style(self) -> Style:
        """The form of the document, as far as its text shows one."""
        return style_of(self.head + self.text.encode())


class Node:
    """A value of a document.

    Attributes:
        document: Where it stands.
        start: Where in its text the value begins.
        stop: Where it ends.
    """

    __slots__ = ("_children", "document", "start", "stop")

    def __init__(self, document: Document, start: int, stop: int) -> None:
        self.document = document
        self.start = start
        self.stop = stop
        self._children: Children | None = None

    @property
    def text(self) -> str:
        """The text of the value."""
        return self.document.text[self.start : self.stop]

    def has_text_of(self, other: Node) -> bool:
        """Returns whether another value is written the same."""
        return self.stop - self.start == other.stop - other.start and self.text == other.text

    @property
    def bracket(self) -> str:
        """What an object or list begins with; of other values, their first character."""
        return self.document.text[self.start]

    @property
    def is_object(self) -> bool:
        """Whether it is an object."""
        return self.bracket == "{"

    @property
    def is_list(self) -> bool:
        """Whether it is a list."""
        return self.bracket == "["

    @property
    def value(self) -> JsonValue:
        """The value itself, with all that lies below it."""
        return value_of(self.document.text, self.start)

    @property
    def children(self) -> Children:
        """The values of an object or list."""
        return self.take_apart()

    def take_apart(self, guide: Node | None = None) -> Children:
        """Returns the values of an object or list.

        Args:
            guide: Another version of it, if this was not taken apart before.
        """
        if self._children is None:
            is_like = guide is not None and guide.bracket == self.bracket
            self._children = Children(self, guide.children if guide and is_like else None)
        return self._children


class Children:
    """The values of an object or list, without what lies below them.

    Attributes:
        names: The names of the members of an object; none of a list.
        begins: Where members begin with their names, and elements of a list.
        starts: Where their values begin.
        stops: Where they end.
        end: Where the object or list ends.
        depth: How many levels there are below it.
        guide: The values of the other version that these were taken apart beside, if any.
        runs: Which values are those of the guide, text and name: the first here, the first there,
            and how many; in order in both.
    """

    def __init__(self, node: Node, guide: Children | None = None) -> None:
        self._document = node.document
        self._numbers: dict[str, int] | None = None
        self._nodes: dict[int, Node] = {}
        self.names: list[str] = []
        self.begins, self.starts, self.stops = array("Q"), array("Q"), array("Q")
        self.depth = 0
        self.guide = guide
        self.runs: list[tuple[int, int, int]] = []
        self.end = self._scan(node.start, guide)
        if not node.is_object:
            self.begins = self.starts
        elif len(self.numbers) != len(self.names):
            raise ValueError("a name stands twice")

    def __len__(self) -> int:
        return len(self.starts)

    def _scan(self, start: int, guide: Children | None) -> int:
        text = self._document.text
        is_object, closing = text[start] == "{", "}" if text[start] == "{" else "]"
        at = _after_space(text, start + 1)
        if text[at] == closing:
            return at + 1
        near = None if guide is None else _Near(guide)
        while True:
            stop = None if near is None else self._copy(near, at)
            if stop is None:
                if is_object:
                    at = self._scan_name(at)
                value, stop = _checking(text, at)
                self.starts.append(at)
                self.stops.append(stop)
                self.depth = max(self.depth, _depth_of((value,)))
            at = _after_space(text, stop)
            if text[at] == closing:
                return at + 1
            if text[at] != ",":
                raise JSONDecodeError("Expecting ',' delimiter", text, at)
            at = _after_space(text, at + 1)

    def _copy(self, near: _Near, at: int) -> int | None:
        """Takes the values that the other version has too from here on; returns where they end."""
        guide = near.guide
        found = near.find(self._document.text, at)
        if found is None:
            return None
        first, last = found
        shift = at - guide.begins[first]
        for own, theirs in ((self.starts, guide.starts), (self.stops, guide.stops)):
            own.extend([place + shift for place in theirs[first:last]])
        if guide.names:
            self.begins.extend([place + shift for place in guide.begins[first:last]])
            self.names += guide.names[first:last]
        self.depth = max(self.depth, guide.depth)
        self.runs.append((len(self) - (last - first), first, last - first))
        return self.stops[-1]

    def _scan_name(self, at: int) -> int:
        """Takes the name of a member; returns where its value begins."""
        text = self._document.text
        if text[at] != '"':
            raise JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
        self.begins.append(at)
        name, at = _building(text, at)
        self.names.append(name)
        at = _after_space(text, at)
        if text[at] != ":":
            raise JSONDecodeError("Expecting ':' delimiter", text, at)
        return _after_space(text, at + 1)

    @property
    def numbers(self) -> dict[str, int]:
        """Which member a name is of."""
        if self._numbers is None:
            self._numbers = {name: number for number, name in enumerate(self.names)}
        return self._numbers

    def node(self, number: int) -> Node:
        """Returns one of the values; the same each time, for it may have been taken apart."""
        found = self._nodes.get(number)
        if found is None:
            found = Node(self._document, self.starts[number], self.stops[number])
            self._nodes[number] = found
        return found

    @property
    def text_of_all(self) -> str:
        """The text of the document that they stand in."""
        return self._document.text

    def named(self, name: str) -> Node | None:
        """Returns the value of a member, or None."""
        number = self.numbers.get(name)
        return None if number is None else self.node(number)

    def holds(self, node: Node, number: int) -> bool:
        """Returns whether a value is that one of these."""
        return node.document is self._document and node.start == self.starts[number]

    def text(self, number: int) -> str:
        """Returns the text of one of the values."""
        return self._document.text[self.starts[number] : self.stops[number]]

    def found_in_guide(self) -> bytearray:
        """Returns 1 for each value of the guide that is one of these, else 0."""
        assert self.guide is not None, "these were taken apart beside others"
        found = bytearray(len(self.guide))
        for _, first, count in self.runs:
            found[first : first + count] = b"\1" * count
        return found


class _Near:
    """Where another version of an object or list goes on as this one does.

    Attributes:
        guide: Its values.
    """

    def __init__(self, guide: Children) -> None:
        self.guide = guide
        self._next = 0
        self._passed = 0

    def find(self, text: str, at: int) -> tuple[int, int] | None:
        """Returns which values [first, last) of the other are what follows in a text, or None.

        What follows may have been put in, or stand for as many values of the other, or one of
        those may be gone.
        """
        here = text[at : at + _GLANCE]
        for first in self._candidates(here):
            if first < len(self.guide):
                last = self._reach(text, at, here, first)
                if last > first:
                    self._next, self._passed = last, 0
                    return first, last
        self._passed += 1
        return None

    def _candidates(self, here: str) -> Iterator[int]:
        ahead = self._next + self._passed
        yield from (self._next, ahead, ahead + 1)
        found = self._search(here)
        if found is not None:
            yield found

    def _search(self, here: str) -> int | None:
        """Returns the value of the other that begins like what follows, or None.

        It is not looked for each time: in another document altogether there is none.
        """
        if self._passed & (self._passed - 1) or self._next >= len(self.guide):
            return None
        begin = self.guide.begins[self._next]
        place = self.guide.text_of_all.find(here, begin, begin + _SEARCHED)
        number = bisect_left(self.guide.begins, place)
        is_one = place >= 0 and self.guide.begins[number : number + 1] == array("Q", [place])
        return number if is_one else None

    def _reach(self, text: str, at: int, here: str, first: int) -> int:
        """Returns behind which value of the other both texts are no longer the same."""
        guide, other = self.guide, self.guide.text_of_all
        begin = guide.begins[first]
        if other[begin : begin + _GLANCE] != here:
            return first
        length = same_front(text, other, at, begin)
        # What follows a value is the same, too: it does not go on in this text.
        return bisect_left(guide.stops, begin + length, first)


def _after_space(text: str, at: int) -> int:
    return _skip_space(text, at).end() if text[at : at + 1] in _SPACE else at


# What is kept of values that are passed over: how many levels they have.


def _no_number(text: str) -> None:
    del text


def _depth_of_object(pairs: list[tuple[str, Any]]) -> int:
    found = checked_object(pairs)
    return 1 + _depth_of(found.values())


def _depth_of(values: Collection[object]) -> int:
    """Returns how many levels values have that were passed over: a number says it of an object."""
    deepest = 0
    for value in values:
        if type(value) is int:
            deepest = max(deepest, value)
        elif type(value) is list:
            deepest = max(deepest, 1 + _depth_of(value))
    return deepest


_checking = make_decoder(_depth_of_object, _no_number).raw_decode
_building = make_decoder().raw_decode


def value_of(text: str, start: int = 0) -> JsonValue:
    """Returns the value that begins at a place of a text which has been checked."""
    return _building(text, start)[0]
