"""What waits for the commit of a writer: in memory while it is little, else in a file.

Owns: the file rows and the new trees of one writer. A million new files make 100 MB of rows and
more of trees, ten million more than the memory an import may use.
Layer: store. Imports the leaves and files.

Concurrency: one thread.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.errors import StorageError, storage_error
from mlbfs.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from mlbfs.store.files import Files

    Row = tuple[bytes, bytes]

MEMORY_SIZE = 8 * MIB
"""Rows kept in memory before they go to the file."""
_HEAD = struct.Struct("<32sH")


class SpoolFolder(NamedTuple):
    """Where spools may put their files; whoever made the folder removes it with them."""

    path: Path
    files: Files


class RowSpool:
    """An append-only list of (32-byte key, short value)."""

    def __init__(self, path: Path, files: Files, memory_size: int = MEMORY_SIZE) -> None:
        """Notes where the file goes if one is needed; the caller removes it."""
        self._path = path
        self._files = files
        self._memory_size = memory_size
        self._rows: list[bytes] = []
        self._held = 0
        self._count = 0
        self._fd = -1

    def add(self, key: bytes, value: bytes) -> None:
        """Appends a row.

        Raises:
            OSError: The device refused.
        """
        row = _HEAD.pack(key, len(value)) + value
        self._rows.append(row)
        self._held += len(row)
        self._count += 1
        if self._held > self._memory_size:
            self._spill()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        if self._fd >= 0:
            self._spill()
            with open(self._path, "rb") as stream:
                while head := stream.read(_HEAD.size):
                    key, length = _HEAD.unpack(head)
                    yield key, stream.read(length)
            return
        for row in self._rows:
            key, _ = _HEAD.unpack_from(row)
            yield key, row[_HEAD.size :]

    def close(self) -> None:
        """Closes the file; doing it twice is fine."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _spill(self) -> None:
        if self._fd < 0:
            self._fd = self._files.create(self._path)
        self._files.write_all(self._fd, b"".join(self._rows))
        self._rows, self._held = [], 0


class ByteSpool:
    """Pieces of bytes that are read back by where they were put."""

    def __init__(self, path: Path, files: Files, memory_size: int = MEMORY_SIZE) -> None:
        """Notes where the file goes if one is needed; the caller removes it."""
        self._path = path
        self._files = files
        self._memory_size = memory_size
        self._held = bytearray()
        self._spilled = 0
        self._fd = -1

    def add(self, data: bytes) -> int:
        """Appends a piece and returns where it begins.

        Raises:
            StoreFullError: The device is full.
            StorageError: The device failed.
        """
        start = self._spilled + len(self._held)
        self._held += data
        if len(self._held) > self._memory_size:
            self._spill()
        return start

    def read(self, start: int, length: int) -> bytes:
        """Returns a piece that was put at `start`.

        Raises:
            StorageError: The device failed, or the file was cut.
        """
        if start >= self._spilled:
            at = start - self._spilled
            return bytes(self._held[at : at + length])
        try:
            data = os.pread(self._fd, length, start)
        except OSError as err:
            raise storage_error(err, f"spool {str(self._path)!r}") from err
        if len(data) != length:
            raise StorageError(f"spool {str(self._path)!r} was cut while it was in use")
        return data

    def close(self) -> None:
        """Closes the file; doing it twice is fine."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _spill(self) -> None:
        try:
            if self._fd < 0:
                self._fd = self._files.create(self._path)
            self._files.write_all(self._fd, memoryview(self._held))
        except OSError as err:
            raise storage_error(err, f"spool {str(self._path)!r}") from err
        self._spilled += len(self._held)
        self._held = bytearray()


def in_key_ranges(
    rows: Iterable[Row], count: int, limit: int, folder: SpoolFolder
) -> Iterator[list[Row]]:
    """Yields all rows in lists of about `limit`, each list one range of keys.

    Args:
        rows: The rows, whose keys are as good as random.
        count: How many there are, or a little more.
        limit: About how many rows a list has at most.
        folder: Where rows wait for their turn.

    Raises:
        OSError: The device refused.
    """
    parts = -(-count // limit) or 1
    if parts == 1:
        yield list(rows)
        return
    name = os.urandom(4).hex()
    memory = MEMORY_SIZE // parts
    spools = [RowSpool(folder.path / f"{name}-{n}", folder.files, memory) for n in range(parts)]
    try:
        for key, value in rows:
            spools[int.from_bytes(key[:4], "big") * parts >> 32].add(key, value)
        for spool in spools:
            yield list(spool)
    finally:
        for spool in spools:
            spool.close()
