"""A file whose bytes lie partly in its data file and partly in its base, at one moment.

Owns: how such a file is read without the workspace, and what of it may differ from its base.
Layer: workspace.

Concurrency: any thread may read; the data file is one that nobody writes (C5).
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any, Self

from mlbfs.errors import StorageError, storage_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from mlbfs.workspace.extents import Extents
    from mlbfs.workspace.source import Reader

_STREAM_STEP = 1 << 20


class PiecedFile:
    """Reads a captured file."""

    def __init__(
        self, path: str, base: Reader, base_size: int, extents: Extents, size: int
    ) -> None:
        """Opens the data file.

        Args:
            path: The data file.
            base: The committed content that it stands on.
            base_size: How many bytes of the base still show.
            extents: What was written below that.
            size: Length of the file.

        Raises:
            StorageError: The data file cannot be opened.
        """
        self.size = size
        self._base = base
        self._base_size = base_size
        self._extents = extents
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as err:
            raise storage_error(err, "changed file") from err

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the data file."""
        os.close(self._fd)

    def changes(self) -> list[tuple[int, int]]:
        """Returns the ranges that may differ from the base, sorted and disjoint."""
        return changed_ranges(self._extents, self._base_size, self.size)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fills a buffer with the bytes from an offset on, which are all there.

        Raises:
            CorruptionError: The base is damaged.
            StorageError: A read failed, or the data file became shorter.
        """
        for start, stop, own in self._pieces(offset, offset + len(buffer)):
            part = buffer[start - offset : stop - offset]
            if own:
                self._read_own(start, part)
            else:
                data = self._base.read(start, stop - start)
                if len(data) != stop - start:
                    raise StorageError("the base of a changed file is shorter than it was")
                part[:] = data

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[int, int, bool]]:
        if start < self._base_size:
            yield from self._extents.pieces(start, min(stop, self._base_size))
        if stop > self._base_size:
            yield max(start, self._base_size), stop, True

    def _read_own(self, offset: int, buffer: memoryview) -> None:
        try:
            while buffer:
                count = os.preadv(self._fd, [buffer], offset)
                if not count:
                    raise StorageError("a changed file became shorter while it was committed")
                offset += count
                buffer = buffer[count:]
        except OSError as err:
            raise storage_error(err, "changed file") from err

    def stream(self) -> io.BufferedReader:
        """Returns the bytes from front to back, as a stream."""
        return io.BufferedReader(_Stream(self), _STREAM_STEP)


class _Stream(io.RawIOBase):
    def __init__(self, file: PiecedFile) -> None:
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        """Returns whether bytes can be read, which is always."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer, as in io
        """Fills the front of a buffer with the next bytes."""
        length = min(len(buffer), self._file.size - self._at)
        self._file.read_into(self._at, memoryview(buffer)[:length])
        self._at += length
        return length


def changed_ranges(extents: Extents, base_size: int, size: int) -> list[tuple[int, int]]:
    """Returns the ranges of a file that may differ from its base, sorted and disjoint.

    Args:
        extents: What was written below `base_size`.
        base_size: How many bytes of the base still show.
        size: Length of the file.
    """
    ranges = list(extents)
    if base_size < size:
        ranges.append((base_size, size))
    return ranges
