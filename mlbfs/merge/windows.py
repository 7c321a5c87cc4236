"""Parts of versions as streams, read in steps.

Owns: how much of a file is in memory at a time.
Layer: merge.
"""

from __future__ import annotations

import errno
import io
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.merge.versions import Reader

STEP = 4 << 20
"""Bytes in memory at a time; a multiple of the size of every number."""


class Window(io.RawIOBase):
    """A part of a version as a stream that can be moved about in."""

    def __init__(self, reader: Reader, start: int, stop: int) -> None:
        self._reader = reader
        self._start = start
        self._size = stop - start
        self._at = 0

    def readable(self) -> bool:
        """Returns whether bytes can be read, which is always."""
        return True

    def seekable(self) -> bool:
        """Returns whether one can move, which is always."""
        return True

    def tell(self) -> int:
        """Returns where the next bytes come from."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to an offset."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if origin + offset < 0:
            raise OSError(errno.EINVAL, f"there is no offset {origin + offset}")
        self._at = origin + offset
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fills the front of a buffer with the next bytes."""
        length = min(len(buffer), max(0, self._size - self._at))
        data = self._reader.read(self._start + self._at, length)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def window(reader: Reader, start: int, stop: int) -> BinaryIO:
    """Returns the bytes [start, stop) of a version as a stream."""
    return io.BufferedReader(Window(reader, start, stop), STEP)


def steps(stream: BinaryIO) -> Iterator[bytes]:
    """Yields what is left of a stream, each time as much as a step unless it is the last."""
    while data := stream.read(STEP):
        yield data


def same_bytes(one: BinaryIO, other: BinaryIO) -> bool:
    """Whether two streams hold the same bytes; ends at the first difference."""
    while True:
        first, second = one.read(STEP), other.read(STEP)
        if first != second:
            return False
        if not first:
            return True
