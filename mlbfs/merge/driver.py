"""The contract of merge drivers: what one is given, and what it answers.

Owns: the protocol of a driver, its call and its result.
Layer: merge.

A driver merges the content of one path of which all that can be known by ids is known: both sides
have the file, and both differ from the base, or there is no base. It decides from ids where it can
and reads what it must. It writes nothing but files in `MergeCall.scratch`, knows no repository and
runs no other program.

    class Newest:
        name = "newest"

        def merge(self, call: MergeCall) -> MergeResult:
            ...

A package offers drivers of its own as entry points of the group `mlbfs.merge_drivers`; each is a
class that is made without arguments (docs/merge-drivers.md). They run in a process of their own,
and what they answer is checked (answers.py).

Invariants:
  D1. A conflict is a value. An exception means that the driver cannot do its work: the merge stops,
      nothing is committed, and the error names the driver.
  D2. What cannot be parsed is a conflict of kind MALFORMED, with the parser's words.
  D3. A result depends on nothing but the call.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from mlbfs.errors import ErrorKind, InvalidInputError, MlbfsError
from mlbfs.merge.versions import Reader, Side, Version

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlbfs.merge.conflicts import Conflict

_STREAM_STEP = 1 << 20
DEFAULT_MARKER_SIZE = 7
"""Characters of a conflict marker, as in Git."""

_POLICIES = {None: None, "fail": None, "ours": Side.OURS, "theirs": Side.THEIRS}


class DriverError(MlbfsError):
    """A driver cannot do its work; the merge stops and nothing is committed."""

    default_kind = ErrorKind.MERGE_DRIVER_FAILED


@dataclass(frozen=True, slots=True)
class DriverChoice:
    """A driver and what it was told, from `merge=NAME:WORD:KEY=VALUE`.

    Attributes:
        name: Name of the driver.
        words: What follows the name, each as it was written.
    """

    name: str
    words: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ":".join((self.name, *self.words))

    def option(self, key: str) -> str | None:
        """Returns the value of `KEY=VALUE`, or None; the last one counts."""
        for word in reversed(self.words):
            name, equals, value = word.partition("=")
            if equals and name == key:
                return value
        return None

    def policy(self) -> Side | None:
        """Returns the side that `conflict=` settles conflicts with; None when nothing does.

        Raises:
            InvalidInputError: It names no way to settle them.
        """
        word = self.option("conflict")
        if word not in _POLICIES:
            raise InvalidInputError(
                f"conflict={word} is no way to settle conflicts",
                hint="there are conflict=ours, conflict=theirs and conflict=fail",
            )
        return _POLICIES[word]

    def check_options(self, *allowed: str) -> None:
        """Checks that there are only words `KEY=VALUE` with these keys.

        Raises:
            InvalidInputError: There are others.
        """
        for word in self.words:
            if "=" not in word or word.partition("=")[0] not in allowed:
                known = ", ".join(f"{key}=" for key in allowed) or "no options"
                raise InvalidInputError(
                    f"merge driver {self.name!r} does not know {word!r}",
                    hint=f"it takes {known}",
                )


def parse_choice(text: str) -> DriverChoice:
    """Parses `NAME`, or `NAME:WORD:KEY=VALUE`.

    Raises:
        InvalidInputError: There is no name.
    """
    name, *words = text.split(":")
    if not name or not all(words):
        raise InvalidInputError(
            f"{text!r} is not a merge driver with options",
            hint="write NAME, or NAME:KEY=VALUE, as in json:key=id",
        )
    return DriverChoice(name, tuple(words))


class Inputs(Protocol):
    """Where a driver's call reads from."""

    def open(self, version: Version) -> Reader:
        """Opens the bytes of a version."""

    def find(self, side: Side, path: bytes) -> Version | None:
        """Returns the file that a side has at another path, or None."""

    def changed_at(self, side: Side, path: bytes) -> int:
        """Returns when a side last changed a path: seconds since the epoch, by its commit."""


@dataclass(frozen=True, slots=True)
class MergeCall:
    """One path to merge.

    Attributes:
        path: Where in the tree it lies.
        ours: The version of the branch that is merged into.
        theirs: The version that comes in.
        base: What both began with; None when both added it.
        choice: How the driver was named, with its options.
        inputs: Where other files are found.
        scratch: A folder for files of this call; removed when the result has been taken.
        labels: What the sides are called, for markers and names.
        marker_size: Length of conflict markers.
        style: `merge`, `diff3` or `zdiff3`: how conflicting lines are shown.
    """

    path: bytes
    ours: Version
    theirs: Version
    base: Version | None
    choice: DriverChoice
    inputs: Inputs
    scratch: Path
    labels: Mapping[Side, str] = field(default_factory=lambda: {side: str(side) for side in Side})
    marker_size: int = DEFAULT_MARKER_SIZE
    style: str = "merge"

    def version(self, side: Side) -> Version | None:
        """Returns the version of a side; None when there is no base."""
        if side is Side.BASE:
            return self.base
        return self.ours if side is Side.OURS else self.theirs

    def versions(self) -> list[Version | None]:
        """Returns the versions of all sides, in their order."""
        return [self.version(side) for side in Side]

    def open(self, side: Side) -> Reader:
        """Opens a version; the base of what both added is empty."""
        version = self.version(side)
        return _Empty() if version is None else self.inputs.open(version)

    def read(self, side: Side) -> bytes:
        """Returns all bytes of a version; for files that fit into memory several times."""
        reader = self.open(side)
        return reader.read(0, reader.size)

    def stream(self, side: Side, start: int = 0) -> io.BufferedReader:
        """Returns the bytes of a version from an offset on, as a stream."""
        return io.BufferedReader(_Stream(self.open(side), start), _STREAM_STEP)

    def copy(self, side: Side, name: str) -> Path:
        """Writes a version to a file of its own in `scratch` and returns where it lies.

        Raises:
            OSError: The device refused.
        """
        path = self.scratch / name
        with self.stream(side) as stream, path.open("wb") as file:
            while data := stream.read(_STREAM_STEP):
                file.write(data)
        return path


class _Empty:
    """The base of a file that both sides added."""

    size = 0

    def read(self, offset: int, length: int) -> bytes:
        del offset, length
        return b""


class _Stream(io.RawIOBase):
    def __init__(self, reader: Reader, start: int) -> None:
        self._reader = reader
        self._at = start
        # A reader of another process fills a buffer with one copy less than it returns bytes.
        self._read_front = getattr(reader, "read_front", None)

    def readable(self) -> bool:
        """Returns whether bytes can be read, which is always."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer, as in io
        """Fills the front of a buffer with the next bytes."""
        if self._read_front is not None:
            count = int(self._read_front(self._at, memoryview(buffer)))
        else:
            data = self._reader.read(self._at, len(buffer))
            count = len(data)
            buffer[:count] = data
        self._at += count
        return count


# What a driver answers


@dataclass(frozen=True, slots=True)
class Take:
    """The content is that of one side; nothing is read or stored."""

    side: Side


@dataclass(frozen=True, slots=True)
class Data:
    """The content, in memory."""

    data: bytes


@dataclass(frozen=True, slots=True)
class FileAt:
    """The content lies in a file of the call's scratch folder."""

    path: Path


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes [start, stop) of one side."""

    side: Side
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class FileSpan:
    """Bytes [start, stop) of a file of the call's scratch folder."""

    path: Path
    start: int
    stop: int


Piece = Span | bytes | FileSpan


@dataclass(frozen=True, slots=True)
class Pieces:
    """The content is put together from spans of the sides and new bytes, in order.

    For long files of which little is new. Where spans of one side lie at the place that they have
    there, what is stored of that side is not cut again.
    """

    parts: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Removed:
    """The path is to go."""


Content = Take | Data | FileAt | Pieces | Removed


@dataclass(frozen=True, slots=True)
class MergeResult:
    """What became of one path.

    Attributes:
        content: The merged content. With conflicts that nothing settled, it is what a preview
            shows, and is never committed.
        conflicts: What the sides disagree about.
        beside: Files to put next to it, by their path in the tree.
        note: A few words for the commit message, or "".
    """

    content: Content
    conflicts: tuple[Conflict, ...] = ()
    beside: Mapping[bytes, Content] = field(default_factory=dict)
    note: str = ""


class MergeDriver(Protocol):
    """Merges the content of files of one kind.

    Attributes:
        name: What `merge=` calls it.
    """

    name: str

    def merge(self, call: MergeCall) -> MergeResult:
        """Merges one path.

        Raises:
            DriverError: It cannot do its work.
        """
