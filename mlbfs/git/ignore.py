"""`.gitignore`: which new paths Git leaves alone.

Owns: parsing and precedence as `git check-ignore` has them.
Layer: git. Pure but for the function that reads the `.gitignore` of a directory.

From weakest to strongest: `core.excludesFile`, `info/exclude`, `.gitignore` of the root, of each
directory on the way. The last matching line of the strongest file that has one decides. What lies
in an ignored directory is ignored; no line can take it back.

Git asks this of untracked paths only. Names are compared with their case, as on the file systems of
Linux.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbfs.git.wildmatch import compile_pattern
from mlbfs.limits import MIB

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator, Sequence

FILE_NAME = b".gitignore"
MAX_FILE_SIZE = 100 * MIB
"""A longer file is ignored, as in Git."""

_CACHED_DIRECTORIES = 4096


@dataclass(frozen=True, slots=True)
class _Rule:
    """One line.

    Attributes:
        negated: It takes paths back.
        folders_only: It is about directories.
        basename: It is compared with the last name alone, at any depth.
        literal: What must be equal, if there are no wildcards.
        pattern: What must match otherwise; None matches nothing.
    """

    negated: bool
    folders_only: bool
    basename: bool
    literal: bytes | None
    pattern: re.Pattern[bytes] | None

    def matches(self, path: bytes, name: bytes, *, is_folder: bool) -> bool:
        """Tells for a path below the file's directory, and its last name."""
        if self.folders_only and not is_folder:
            return False
        seen = name if self.basename else path
        if self.literal is not None:
            return seen == self.literal
        return self.pattern is not None and self.pattern.fullmatch(seen) is not None


@dataclass(frozen=True, slots=True)
class _Frame:
    """The lines of one file, last first; `base` is its directory with a slash, or empty."""

    base: bytes
    rules: tuple[_Rule, ...]


class Ignore:
    """The rules for the paths of one tree. Not thread-safe.

    Args:
        read: Returns the content of a path of the tree, or None when there is no such file.
        info: Content of `info/exclude`.
        extra: Content of `core.excludesFile`.
    """

    def __init__(
        self,
        read: Callable[[bytes], bytes | None],
        *,
        info: bytes = b"",
        extra: bytes = b"",
    ) -> None:
        self._read = read
        self._weak = (_parse_file(b"", info), _parse_file(b"", extra))
        self._frames: dict[bytes, _Frame] = {}
        self._folders: dict[bytes, bool] = {}

    def is_ignored(self, path: bytes, *, is_folder: bool) -> bool:
        """Returns whether Git would leave an untracked path alone."""
        above = path.rpartition(b"/")[0]
        if above and self._is_folder_ignored(above):
            return True
        return self._decide(path, is_folder=is_folder)

    def _is_folder_ignored(self, path: bytes) -> bool:
        """Returns whether a directory, or one above it, is ignored."""
        for folder in _prefixes(path):
            found = self._folders.get(folder)
            if found is None:
                if len(self._folders) >= _CACHED_DIRECTORIES:
                    self._folders.clear()
                found = self._folders[folder] = self._decide(folder, is_folder=True)
            if found:
                return True
        return False

    def _decide(self, path: bytes, *, is_folder: bool) -> bool:
        folder, slash, name = path.rpartition(b"/")
        for frame in (*map(self._frame, _bases(folder + slash)), *self._weak):
            below = path[len(frame.base) :]
            for rule in frame.rules:
                if rule.matches(below, name, is_folder=is_folder):
                    return not rule.negated
        return False

    def _frame(self, base: bytes) -> _Frame:
        frame = self._frames.get(base)
        if frame is None:
            frame = _parse_file(base, self._read(base + FILE_NAME) or b"")
            if len(self._frames) >= _CACHED_DIRECTORIES:
                self._frames.clear()
            self._frames[base] = frame
        return frame


def _prefixes(path: bytes) -> Iterator[bytes]:
    """Yields the directories on the way to a path and the path itself, from the top."""
    end = path.find(b"/")
    while end >= 0:
        yield path[:end]
        end = path.find(b"/", end + 1)
    yield path


def _bases(base: bytes) -> Sequence[bytes]:
    """Returns `base` and the directories above it, deepest first; each with a slash, or b""."""
    found = []
    while base:
        found.append(base)
        base = base[: base.rfind(b"/", 0, -1) + 1]
    return [*found, b""]


def _parse_file(base: bytes, data: bytes) -> _Frame:
    if len(data) >= MAX_FILE_SIZE:
        return _Frame(base, ())
    data = data.removeprefix(b"\xef\xbb\xbf")
    rules = (_parse_line(line) for line in data.split(b"\n"))
    return _Frame(base, tuple(rule for rule in rules if rule is not None)[::-1])


def _parse_line(line: bytes) -> _Rule | None:
    """Parses one line; None for blank ones and comments."""
    text = _without_trailing_blanks(line.removesuffix(b"\r").partition(b"\0")[0])
    if not text or text.startswith(b"#"):
        return None
    negated = text.startswith(b"!")
    text = text[negated:]
    folders_only = text.endswith(b"/")
    text = text[: len(text) - folders_only]
    basename = b"/" not in text
    text = text.removeprefix(b"/")
    if not text:
        return None
    literal = None if set(text) & set(b"*?[\\") else text
    pattern = compile_pattern(text) if literal is None else None
    return _Rule(negated, folders_only, basename, literal, pattern)


def _without_trailing_blanks(text: bytes) -> bytes:
    """Returns a line without blanks at its end, but for those that a backslash protects."""
    end = len(text.rstrip(b" "))
    if end == len(text):
        return text
    escapes = end - len(text[:end].rstrip(b"\\"))
    return text[: end + escapes % 2]
