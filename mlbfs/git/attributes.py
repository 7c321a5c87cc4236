"""`.gitattributes`: what Git and mlbfs are told about paths.

Owns: parsing, precedence and macros as `git check-attr` has them, and the storage policy that
follows from them.
Layer: git. Pure but for the function that reads `.gitattributes` of a directory.

From weakest to strongest: built-in macros, the extra sources, `.gitattributes` of the root, of
each directory on the way, `info/attributes`. In one file the last matching line wins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbfs.git.wildmatch import compile_pattern
from mlbfs.limits import MIB
from mlbfs.store.source import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

AttributeValue = bool | str | None
"""Set (True), unset (False), a value, or unspecified (None)."""

FILE_NAME = b".gitattributes"
MAX_LINE_LENGTH = 2048
"""Longer lines are ignored, as in Git."""

MAX_FILE_SIZE = 100 * MIB
"""A longer file is ignored, as in Git."""

_BLANK = b" \t\r\n"
_NAME = re.compile(rb"(?!-)[-A-Za-z0-9_.]+")
_MACRO = b"[attr]"
_BUILT_IN = b"[attr]binary -diff -merge -text\n"
_CACHED_DIRECTORIES = 4096


@dataclass(frozen=True, slots=True)
class _Line:
    """One line: what it sets, and where. `macro` names the macro that it defines, if it does."""

    settings: tuple[tuple[str, AttributeValue], ...]
    macro: str | None = None
    suffix: bytes | None = None
    basename: bool = False
    pattern: re.Pattern[bytes] | None = None

    def matches(self, path: bytes, name: bytes) -> bool:
        """Tells for a path below the file's directory, and its last part."""
        if self.suffix is not None:
            return name.endswith(self.suffix)
        if self.pattern is None:
            return False
        return self.pattern.fullmatch(name if self.basename else path) is not None


_READ_BY_GIT = (FILE_NAME, b".gitignore", b".gitmodules")


@dataclass(frozen=True, slots=True)
class _Frame:
    """The lines of one file, strongest first; `base` is its directory with a slash, or empty."""

    base: bytes
    lines: tuple[_Line, ...]


class Attributes:
    """The attributes of the paths of one tree. Not thread-safe.

    Args:
        read: Returns the content of a path of the tree, or None when there is no such file.
        info: Content of `info/attributes`.
        extra: Weaker sources (of the system, of the user), weakest first.
    """

    def __init__(
        self,
        read: Callable[[bytes], bytes | None],
        *,
        info: bytes = b"",
        extra: Sequence[bytes] = (),
    ) -> None:
        self._read = read
        self._info = _parse_file(b"", info)
        self._weak = [_parse_file(b"", data) for data in (_BUILT_IN, *extra)]
        self._frames: dict[bytes, _Frame] = {}
        self._stacks: dict[bytes, list[_Frame]] = {}
        self._macros: dict[str, _Line] | None = None

    def lookup(self, path: bytes, names: Iterable[str]) -> dict[str, AttributeValue]:
        """Returns the value of each of `names` for the file at `path`."""
        found = self._collect(path)
        return {name: found.get(name) for name in names}

    def lookup_all(self, path: bytes) -> dict[str, AttributeValue]:
        """Returns everything that is specified for the file at `path`."""
        return {name: value for name, value in self._collect(path).items() if value is not None}

    def storage_policy(self, path: bytes) -> Policy:
        """Returns where the content of a file goes.

        `mlbfs` set means the chunk store, `-mlbfs` means Git, `filter=lfs` the chunk store. Files
        that Git reads itself stay in Git whatever matches them, as with the Git LFS client.
        """
        if path.rpartition(b"/")[2] in _READ_BY_GIT:
            return Policy.GIT
        found = self._collect(path)
        wanted = found.get("mlbfs")
        if wanted is None:
            return Policy.CHUNKS if found.get("filter") == "lfs" else Policy.AUTO
        return Policy.CHUNKS if wanted else Policy.GIT

    def _collect(self, path: bytes) -> dict[str, AttributeValue]:
        directory, slash, name = path.rpartition(b"/")
        found: dict[str, AttributeValue] = {}
        for frame in self._stack(directory + slash):
            relative = path[len(frame.base) :]
            for line in frame.lines:
                if line.matches(relative, name):
                    self._fill(found, line.settings)
        return found

    def _fill(
        self, found: dict[str, AttributeValue], settings: tuple[tuple[str, AttributeValue], ...]
    ) -> None:
        for name, value in settings:
            if name in found:
                continue
            found[name] = value
            if value is True and name in self._macro_lines():
                self._fill(found, self._macro_lines()[name].settings)

    def _macro_lines(self) -> dict[str, _Line]:
        if self._macros is None:
            self._macros = {}
            for frame in (self._info, self._frame(b""), *reversed(self._weak)):
                for line in frame.lines:
                    if line.macro is not None:
                        self._macros.setdefault(line.macro, line)
        return self._macros

    def _stack(self, base: bytes) -> list[_Frame]:
        """Returns the frames that count below `base`, strongest first, empty ones left out."""
        stack = self._stacks.get(base)
        if stack is None:
            frames = [self._info, *map(self._frame, _bases(base)), *reversed(self._weak)]
            stack = [frame for frame in frames if frame.lines]
            if len(self._stacks) >= _CACHED_DIRECTORIES:
                self._stacks.clear()
            self._stacks[base] = stack
        return stack

    def _frame(self, base: bytes) -> _Frame:
        frame = self._frames.get(base)
        if frame is None:
            frame = _parse_file(base, self._read(base + FILE_NAME) or b"")
            if len(self._frames) >= _CACHED_DIRECTORIES:
                self._frames.clear()
            self._frames[base] = frame
        return frame


def _bases(base: bytes) -> Iterator[bytes]:
    """Yields `base` and the directories above it, deepest first; each ends in a slash or is b""."""
    while base:
        yield base
        base = base[: base.rfind(b"/", 0, -1) + 1]
    yield b""


def _parse_file(base: bytes, data: bytes) -> _Frame:
    if len(data) >= MAX_FILE_SIZE:
        return _Frame(base, ())
    data = data.removeprefix(b"\xef\xbb\xbf")
    lines = (
        _parse_line(line, macros=not base)
        for line in data.split(b"\n")
        if len(line) < MAX_LINE_LENGTH
    )
    return _Frame(base, tuple(line for line in lines if line is not None)[::-1])


def iter_values(data: bytes, name: str) -> Iterator[str]:
    """Yields the values that a `.gitattributes` gives an attribute anywhere, macros included."""
    for line in _parse_file(b"", data).lines:
        for key, value in line.settings:
            if key == name and isinstance(value, str):
                yield value


def _parse_line(text: bytes, *, macros: bool) -> _Line | None:
    """Parses one line; None for what Git ignores: comments, broken lines, negative patterns."""
    text = text.partition(b"\0")[0].lstrip(_BLANK)
    if not text or text.startswith(b"#"):
        return None
    pattern, rest = _split_pattern(text)
    settings = _parse_settings(rest)
    if settings is None:
        return None
    if pattern.startswith(_MACRO) and len(pattern) > len(_MACRO):
        name = pattern.removeprefix(_MACRO)
        return _Line(settings, macro=name.decode()) if macros and _NAME.fullmatch(name) else None
    return None if pattern.startswith(b"!") else _pattern_line(pattern, settings)


def _pattern_line(pattern: bytes, settings: tuple[tuple[str, AttributeValue], ...]) -> _Line:
    if pattern.endswith(b"/"):  # a directory: never a file
        return _Line(settings)
    if b"/" in pattern:
        return _Line(settings, pattern=compile_pattern(pattern.removeprefix(b"/")))
    if pattern.startswith(b"*") and not set(pattern[1:]) & set(b"*?[\\"):
        return _Line(settings, suffix=pattern[1:])
    return _Line(settings, basename=True, pattern=compile_pattern(pattern))


def _split_word(text: bytes) -> tuple[bytes, bytes]:
    end = next((place for place, char in enumerate(text) if char in _BLANK), len(text))
    return text[:end], text[end:]


def _split_pattern(text: bytes) -> tuple[bytes, bytes]:
    if text.startswith(b'"'):
        unquoted = unquote(text)
        if unquoted is not None:
            return unquoted
    return _split_word(text)


def _parse_settings(text: bytes) -> tuple[tuple[str, AttributeValue], ...] | None:
    """Parses `a -b !c d=e`, last first; None when a name is not one, as the line then is void."""
    settings: list[tuple[str, AttributeValue]] = []
    for word in text.split():
        key, equals, value = word.partition(b"=")
        name = key[1:] if key[:1] in (b"-", b"!") else key
        if not _NAME.fullmatch(name):
            return None
        settings.append((name.decode(), _value(key[:1], equals, value)))
    return tuple(settings[::-1])


def _value(mark: bytes, equals: bytes, value: bytes) -> AttributeValue:
    if mark == b"-":
        return False
    if mark == b"!":
        return None
    return value.decode("utf-8", "surrogateescape") if equals else True


_ESCAPE = re.compile(rb'\\([0-3][0-7]{2}|[abfnrtv"\\])|([^"\\])', re.DOTALL)
_ESCAPED = dict(zip(b'abfnrtv"\\', b'\a\b\f\n\r\t\v"\\', strict=True))


def unquote(text: bytes) -> tuple[bytes, bytes] | None:
    """Reads a C-quoted name, as Git writes unusual ones; returns it and what follows it."""
    parts = bytearray()
    position = 1
    while text[position : position + 1] != b'"':
        match = _ESCAPE.match(text, position)
        if match is None:
            return None
        escape = match[1]
        if escape is None:
            parts += match[2]
        else:
            parts.append(int(escape, 8) if len(escape) == 3 else _ESCAPED[escape[0]])
        position = match.end()
    return bytes(parts), text[position + 1 :]
