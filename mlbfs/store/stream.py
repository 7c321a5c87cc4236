"""Reading one long file: in segments, each cut into chunks, never whole in memory.

Owns: the reading side of a long file and what it has carried over from one segment to the next.
Layer: store. Imports the leaves, source, batch and kernels.

Concurrency: one thread at a time reads; segments that were handed out are never touched again.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mlbfs.limits import MAX_CHUNK_SIZE, MIB
from mlbfs.store import kernels
from mlbfs.store.batch import source_error
from mlbfs.store.recordformat import FileStatus

if TYPE_CHECKING:
    from mlbfs.store.source import Source

SEGMENT_SIZE = 4 * MIB
"""Bytes read at once: large enough that a segment's overhead is nothing, small enough that a
dozen of them in flight are little memory."""
_BUFFER_SIZE = SEGMENT_SIZE + MAX_CHUNK_SIZE
"""A segment and the piece without an end that the one before left."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of whole chunks.

    Attributes:
        data: The bytes; begins at a chunk start.
        cuts: Where the chunks end.
        fresh: Where the bytes begin that no earlier segment has shown.
        last: Whether the file ends here.
        buffer: The memory that `data` is part of.
    """

    data: memoryview
    cuts: list[int]
    fresh: int
    last: bool
    buffer: memoryview


class ByteSource(Protocol):
    """Something to read from, such as an open binary file."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Reads some bytes; 0 at the end."""


class SegmentReader:
    """Cuts a stream of bytes into segments."""

    def __init__(self, stream: ByteSource) -> None:
        self._stream = stream
        self._rest = b""
        self._free: list[memoryview] = []
        self.size = 0

    def restart(self, stream: ByteSource) -> None:
        """Goes on with another stream, at a chunk start of it; the memory is used again."""
        self._stream = stream
        self._rest = b""

    def read(self, length: int = SEGMENT_SIZE) -> Segment:
        """Returns the next segment; after the last one it must not be called again.

        Args:
            length: Bytes to read; more only makes the segments longer. At most SEGMENT_SIZE.

        Raises:
            OSError: Reading failed.
        """
        # A buffer is used again once its segment is done: to touch fresh memory costs more time
        # here than to cut it.
        buffer = self._free.pop() if self._free else memoryview(bytearray(_BUFFER_SIZE))
        carried = len(self._rest)
        buffer[:carried] = self._rest
        wanted = carried + length
        length = carried + self._fill(buffer[carried:wanted])
        last = length < wanted
        data = buffer[:length]
        cuts = kernels.cut_points(data, last)
        self._rest = bytes(data[cuts[-1] if cuts else 0 :])
        self.size += length - carried
        return Segment(data, cuts, carried, last, buffer)

    def give_back(self, segment: Segment) -> None:
        """Takes the memory of a segment that nobody looks at any more."""
        self._free.append(segment.buffer)

    def _fill(self, buffer: memoryview) -> int:
        length = 0
        while length < len(buffer):
            count = self._stream.readinto(buffer[length:])
            if not count:
                break
            length += count
        return length


class HostFile:
    """An open file of the host, with proof that it held still while it was read."""

    def __init__(self, source: Source) -> None:
        """Opens the file.

        Raises:
            SourceError: It cannot be opened or is no regular file.
        """
        self._path = source.path
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            self._fd = os.open(source.path, flags)
        except OSError as err:
            raise source_error(source.path, -(err.errno or 0)) from err
        self._before = os.fstat(self._fd)
        if not stat.S_ISREG(self._before.st_mode):
            self.close()
            raise source_error(source.path, FileStatus.NOT_REGULAR)
        os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)

    @property
    def executable(self) -> bool:
        """Whether the owner may execute the file."""
        return bool(self._before.st_mode & 0o100)

    def readinto(self, buffer: memoryview) -> int:
        """Reads some bytes; 0 at the end.

        Raises:
            SourceError: Reading failed.
        """
        try:
            return os.readv(self._fd, [buffer])
        except OSError as err:
            raise source_error(self._path, -(err.errno or 0)) from err

    def held_still(self, size: int) -> bool:
        """Whether the file is as it was when it was opened, and `size` bytes long."""
        now = os.fstat(self._fd)
        before = self._before
        return (
            size == now.st_size == before.st_size
            and now.st_mtime_ns == before.st_mtime_ns
            and now.st_ctime_ns == before.st_ctime_ns
        )

    def close(self) -> None:
        """Closes the file; doing it twice is fine."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
