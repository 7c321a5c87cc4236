"""JSON texts and their values, so that a document comes out in the form that it came in.

Owns: the form of a document (indentation, spaces, escapes), and what is not accepted.
Layer: merge. Pure: bytes to values and back.

Numbers are kept as they were written: `1.0`, `1` and `1e0` are three values, and none loses digits.
An object that has a key twice is refused, because it has no one meaning.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import TYPE_CHECKING, Any

from mlbfs.merge.unmergeable import UnmergeableError

if TYPE_CHECKING:
    from collections.abc import Callable

JsonValue = Any
"""None, bool, str, Number, list of values, or dict of str to value."""

_LOOKED_AT = 1 << 16
"""Bytes at the front of a document that tell its form."""

MAX_DEPTH = 300
"""Levels of lists and objects, of which the interpreter's stack holds some hundred; what is deeper
is told of as a conflict."""

BOM = b"\xef\xbb\xbf"
_SURROGATE = re.compile("[\ud800-\udfff]")


Number = bytes
"""A number, as it was written. No other value is bytes, and no class of ours is made or compared as
fast as this one."""


class MalformedJsonError(UnmergeableError):
    """A text is not JSON, or has no one meaning; the message has the parser's words.

    Attributes:
        where: The side and the position.
    """


class _DoubledKeyError(ValueError):
    """An object has a key twice."""


def checked_object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    """Returns an object.

    Raises:
        _DoubledKeyError: It has a key twice.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _DoubledKeyError(repr(key))
            seen.add(key)
    return found


def make_decoder(
    make_object: Callable[[list[tuple[str, JsonValue]]], object] = checked_object,
    make_number: Callable[[str], object] = str.encode,
) -> json.JSONDecoder:
    """Returns a parser.

    Args:
        make_object: Makes something of the members of an object.
        make_number: Makes something of a number as it was written.
    """
    return json.JSONDecoder(
        object_pairs_hook=make_object,
        parse_int=make_number,
        parse_float=make_number,
        parse_constant=make_number,
    )


_DECODER = make_decoder()


def parse_json(data: bytes, name: str) -> JsonValue:
    """Parses a document.

    Args:
        data: UTF-8, with or without a byte order mark.
        name: What the document is called in an error.

    Raises:
        MalformedJsonError: It is not JSON, has a key twice, or is nested too deeply.
    """
    try:
        text = data.removeprefix(BOM).decode()
    except UnicodeDecodeError as err:
        raise MalformedJsonError(f"not UTF-8: {err.reason}", f"{name}, byte {err.start}") from err
    try:
        value = _DECODER.decode(text)
        _check_depth(value)
    except json.JSONDecodeError as err:
        where = f"{name}, line {err.lineno}, column {err.colno}"
        raise MalformedJsonError(f"not JSON: {err.msg}", where) from err
    except _DoubledKeyError as err:
        raise MalformedJsonError(f"an object has the key {err} twice", name) from err
    except RecursionError as err:
        raise MalformedJsonError("nested too deeply", name) from err
    return value


def _check_depth(value: JsonValue) -> None:
    """Checks that whoever walks through a value has room enough on the stack.

    Raises:
        RecursionError: It is nested too deeply.
    """
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise RecursionError
        level = [
            item
            for one in level
            if isinstance(one, dict | list)
            for item in (one.values() if isinstance(one, dict) else one)
            if isinstance(item, dict | list)
        ]


# The form


@dataclass(frozen=True, slots=True)
class Style:
    """The form of a document.

    Attributes:
        indent: What a level is indented by; None for a document on one line.
        comma: What stands between elements on one line.
        colon: What stands between key and value.
        ascii_only: Everything else is written as an escape.
        newline: What ends a line within the document.
        head: A byte order mark, or nothing.
        tail: What follows the document: a newline, or nothing.
    """

    indent: str | None = None
    comma: str = ", "
    colon: str = ": "
    ascii_only: bool = False
    newline: str = "\n"
    head: bytes = b""
    tail: bytes = b"\n"

    def is_like(self, other: Style) -> bool:
        """Returns whether values of another document look as those of this one."""
        return self == replace(other, head=self.head, tail=self.tail)

    @property
    def quote(self) -> Callable[[str], str]:
        """What writes a string."""
        return encode_basestring_ascii if self.ascii_only else _quote

    def line(self, depth: int) -> str:
        """Returns what begins a line of a level: a newline and what it is indented by."""
        return self.newline + (self.indent or "") * depth

    def opening(self, depth: int) -> str:
        """Returns what stands between a bracket of a level and the first value in it."""
        return "" if self.indent is None else self.line(depth + 1)

    def separator(self, depth: int) -> str:
        """Returns what stands between two values in brackets of a level."""
        return self.comma if self.indent is None else "," + self.line(depth + 1)

    def closing(self, depth: int) -> str:
        """Returns what stands between the last value and the bracket of a level."""
        return "" if self.indent is None else self.line(depth)


def style_of(data: bytes) -> Style:
    """Returns the form of a document, as far as its text shows one."""
    head = BOM if data.startswith(BOM) else b""
    body = data.removeprefix(BOM)
    front = body[:_LOOKED_AT]
    indent = re.search(rb"[\[{](\r?\n)([ \t]*)[^\s\]}]", front)
    return Style(
        indent=None if indent is None else indent[2].decode(),
        comma="," if re.search(rb'[\]}"0-9el],[\[{"0-9tfn-]', front) else ", ",
        colon=":" if re.search(rb'":\S', front) and not re.search(rb'":\s', front) else ": ",
        ascii_only=body.isascii() and rb"\u" in body,
        newline="\n" if indent is None else indent[1].decode(),
        head=head,
        tail=body[len(body.rstrip()) :],
    )


def render_json(value: JsonValue, style: Style) -> bytes:
    """Returns a document in a form."""
    return style.head + render_value(value, style).encode() + style.tail


def render_value(value: JsonValue, style: Style, depth: int = 0) -> str:
    """Returns a value as it stands in a document of a form, below so many levels."""
    return _Renderer(style).render(value, depth)


def render_name(name: str, style: Style) -> str:
    """Returns the name of a member with what stands between it and the value."""
    return style.quote(name) + style.colon


def _quote(text: str) -> str:
    """Returns a string as JSON; half of a surrogate pair has no other form than an escape."""
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", encode_basestring(text))


class _Renderer:
    """Writes values of one form."""

    def __init__(self, style: Style) -> None:
        self._style = style
        self._quote = style.quote
        self._parts: list[str] = []

    def render(self, value: JsonValue, depth: int) -> str:
        self._add(value, "", depth)
        return "".join(self._parts)

    def _add(self, value: JsonValue, front: str, depth: int) -> None:
        """Adds a value that stands below so many levels behind what stands in front of it."""
        style = self._style
        if isinstance(value, str):
            self._parts.append(front + self._quote(value))
        elif isinstance(value, Number):
            self._parts.append(front + value.decode())
        elif isinstance(value, dict) and value:
            front += "{" + style.opening(depth)
            between = style.separator(depth)
            for key, item in value.items():
                self._add(item, front + self._quote(key) + style.colon, depth + 1)
                front = between
            self._parts.append(style.closing(depth) + "}")
        elif isinstance(value, list) and value:
            front += "[" + style.opening(depth)
            between = style.separator(depth)
            for item in value:
                self._add(item, front, depth + 1)
                front = between
            self._parts.append(style.closing(depth) + "]")
        else:
            self._parts.append(front + _plain(value))


def _plain(value: JsonValue) -> str:
    if isinstance(value, dict | list):
        return "{}" if isinstance(value, dict) else "[]"
    return {None: "null", True: "true", False: "false"}[value]
