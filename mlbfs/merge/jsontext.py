"""JSON texts and their values, so that a document comes out in the form that it came in.

Owns: the form of a document (indentation, spaces, escapes), and what is not accepted.
Layer: merge. Pure: bytes to values and back.

Numbers are kept as they were written: `1.0`, `1` and `1e0` are three values, and none loses digits.
An object that has a key twice is refused, because it has no one meaning.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import TYPE_CHECKING, Any

from mlbfs.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

JsonValue = Any
"""None, bool, str, Number, list of values, or dict of str to value."""

MAX_DEPTH = 300
"""Levels of lists and objects, of which the interpreter's stack holds some hundred; what is deeper
is told of as a conflict."""

_BOM = b"\xef\xbb\xbf"
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Number:
    """A number, as it was written."""

    text: str


class MalformedJsonError(FormatError):
    """A text is not JSON, or has no one meaning; the message has the parser's words.

    Attributes:
        where: The side and the position.
    """

    def __init__(self, message: str, where: str) -> None:
        super().__init__(message)
        self.where = where


class _DoubledKeyError(ValueError):
    """An object has a key twice."""


def parse_json(data: bytes, name: str) -> JsonValue:
    """Parses a document.

    Args:
        data: UTF-8, with or without a byte order mark.
        name: What the document is called in an error.

    Raises:
        MalformedJsonError: It is not JSON, has a key twice, or is nested too deeply.
    """
    try:
        text = data.removeprefix(_BOM).decode()
    except UnicodeDecodeError as err:
        raise MalformedJsonError(f"not UTF-8: {err.reason}", f"{name}, byte {err.start}") from err
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=Number,
            parse_float=Number,
            parse_constant=Number,
        )
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


def _object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _DoubledKeyError(repr(key))
            seen.add(key)
    return found


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


def style_of(data: bytes) -> Style:
    """Returns the form of a document, as far as its text shows one."""
    head = _BOM if data.startswith(_BOM) else b""
    body = data.removeprefix(_BOM)
    indent = re.search(rb"[\[{](\r?\n)([ \t]*)[^\s\]}]", body)
    return Style(
        indent=None if indent is None else indent[2].decode(),
        comma="," if re.search(rb'[\]}"0-9el],[\[{"0-9tfn-]', body) else ", ",
        colon=":" if re.search(rb'":\S', body) and not re.search(rb'":\s', body) else ": ",
        ascii_only=body.isascii() and rb"\u" in body,
        newline="\n" if indent is None else indent[1].decode(),
        head=head,
        tail=body[len(body.rstrip()) :],
    )


def render_json(value: JsonValue, style: Style) -> bytes:
    """Returns a document in a form."""
    quote = encode_basestring_ascii if style.ascii_only else _quote
    text = "".join(_parts(value, style, quote, style.newline))
    return style.head + text.encode() + style.tail


def _quote(text: str) -> str:
    """Returns a string as JSON; half of a surrogate pair has no other form than an escape."""
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", encode_basestring(text))


def _parts(value: JsonValue, style: Style, quote: Callable[[str], str], line: str) -> Iterator[str]:
    if isinstance(value, Number):
        yield value.text
    elif isinstance(value, str):
        yield quote(value)
    elif isinstance(value, dict) and value:
        items = ((quote(key) + style.colon, item) for key, item in value.items())
        yield from _container("{", "}", items, style, quote, line)
    elif isinstance(value, list) and value:
        yield from _container("[", "]", (("", item) for item in value), style, quote, line)
    elif isinstance(value, dict | list):
        yield "{}" if isinstance(value, dict) else "[]"
    else:
        yield {None: "null", True: "true", False: "false"}[value]


def _container(
    start: str,
    end: str,
    items: Iterator[tuple[str, JsonValue]],
    style: Style,
    quote: Callable[[str], str],
    line: str,
) -> Iterator[str]:
    inner = "" if style.indent is None else line + style.indent
    between = style.comma if style.indent is None else "," + inner
    yield start + inner
    for number, (head, item) in enumerate(items):
        yield (between if number else "") + head
        yield from _parts(item, style, quote, inner or line)
    yield end if style.indent is None else line + end
