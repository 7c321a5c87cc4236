"""Git's glob patterns, as regular expressions over bytes.

Owns: the meaning of `*`, `**`, `?` and `[...]` as in Git's wildmatch. Layer: git. Pure.

A slash is matched only by a slash or by `**` between slashes. A pattern with an unclosed bracket
or an unknown class matches nothing, as in Git.
"""

from __future__ import annotations

import re
import string
from functools import lru_cache


class _MalformedError(Exception):
    """The pattern cannot match anything."""


_SLASH = ord("/")


def _bytes_of(text: str) -> frozenset[int]:
    return frozenset(text.encode())


_CLASSES = {
    b"alnum": _bytes_of(string.ascii_letters + string.digits),
    b"alpha": _bytes_of(string.ascii_letters),
    b"blank": _bytes_of(" \t"),
    b"cntrl": frozenset((*range(32), 127)),
    b"digit": _bytes_of(string.digits),
    b"graph": frozenset(range(33, 127)),
    b"lower": _bytes_of(string.ascii_lowercase),
    b"print": frozenset(range(32, 127)),
    b"punct": _bytes_of(string.punctuation),
    b"space": _bytes_of(" \t\n\r\v\f"),
    b"upper": _bytes_of(string.ascii_uppercase),
    b"xdigit": _bytes_of(string.hexdigits),
}


@lru_cache(maxsize=4096)
def compile_pattern(pattern: bytes) -> re.Pattern[bytes] | None:
    """Returns what `pattern` matches (use `fullmatch`), or None when it can match nothing."""
    try:
        return re.compile(b"".join(_translate(pattern)), re.DOTALL)
    except _MalformedError:
        return None


def _translate(pattern: bytes) -> list[bytes]:
    parts: list[bytes] = []
    position = 0
    while position < len(pattern):
        char = pattern[position : position + 1]
        if char == b"*":
            position = _translate_stars(pattern, position, parts)
        elif char == b"[":
            position = _translate_bracket(pattern, position + 1, parts)
        elif char == b"\\":
            if position + 1 == len(pattern):
                raise _MalformedError
            parts.append(re.escape(pattern[position + 1 : position + 2]))
            position += 2
        else:
            parts.append(b"[^/]" if char == b"?" else re.escape(char))
            position += 1
    return parts


def _translate_stars(pattern: bytes, start: int, parts: list[bytes]) -> int:
    end = start
    while pattern[end : end + 1] == b"*":
        end += 1
    rest = pattern[end:]
    alone = start == 0 or pattern[start - 1] == _SLASH
    if end - start == 1 or not alone or not (not rest or rest.startswith((b"/", b"\\/"))):
        parts.append(b"[^/]*")
    elif rest.startswith(b"/"):
        parts.append(b"(?:.*/)?")
        return end + 1
    else:
        parts.append(b".*")
    return end


def _translate_bracket(pattern: bytes, position: int, parts: list[bytes]) -> int:
    """Translates from behind `[`; returns the position behind the closing bracket."""
    negated = pattern[position : position + 1] in (b"!", b"^")
    position += negated
    members: set[int] = set()
    previous: int | None = None
    first = True
    while first or pattern[position : position + 1] != b"]":
        first = False
        position, previous = _translate_member(pattern, position, previous, members)
    chosen = (set(range(256)) - members if negated else members) - {_SLASH}
    if not chosen:
        raise _MalformedError
    parts.append(b"[" + b"".join(b"\\x%02x" % value for value in sorted(chosen)) + b"]")
    return position + 1


def _translate_member(
    pattern: bytes, position: int, previous: int | None, members: set[int]
) -> tuple[int, int | None]:
    """Adds one character, range or class; returns where the next begins and what a `-` follows."""
    char = _at(pattern, position)
    following = pattern[position + 1 : position + 2]
    if char == ord("\\"):
        position += 1
        char = _at(pattern, position)
    elif char == ord("-") and previous is not None and following not in (b"", b"]"):
        position += 1
        last = _at(pattern, position)
        if last == ord("\\"):
            position += 1
            last = _at(pattern, position)
        members.update(range(previous, last + 1))
        return position + 1, None
    elif char == ord("[") and following == b":":
        end = pattern.find(b"]", position + 2)
        if end < 0:
            raise _MalformedError
        name = pattern[position + 2 : end]
        if name.endswith(b":"):
            if name[:-1] not in _CLASSES:
                raise _MalformedError
            members.update(_CLASSES[name[:-1]])
            return end + 1, None
    members.add(char)
    return position + 1, char


def _at(pattern: bytes, position: int) -> int:
    if position >= len(pattern):
        raise _MalformedError
    return pattern[position]
