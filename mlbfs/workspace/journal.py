"""Operations that the database has not committed yet, where a kill cannot take them.

A transaction of SQLite copies each page that it touched into the log, some seven for a new file, so
to commit one costs ten times what its statements do. Operations therefore share a transaction, and
each of them is written here, as its statements, before it is answered: one write of some hundred
bytes. What is here and not in the database is done again when the workspace is opened.

The file has its full length from the beginning, so that a full device does not stop it. It is
written from the front again once the database has everything.

Owns: the file `journal` of a workspace; docs/workspace.md has its bytes.
Layer: workspace.

Invariants:
  J1. A record counts only if it carries the number that follows on the last one, and a checksum
      that was made with the salt in the database. So neither half a record nor one that an earlier
      use of the file has left behind is taken for the next.

Concurrency: none of its own; the caller holds the workspace's lock.
"""

from __future__ import annotations

import ast
import os
import struct
import zlib
from typing import TYPE_CHECKING, cast

from mlbfs.limits import KIB

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOURNAL_SIZE = 512 * KIB
"""A batch of operations fits in many times; an operation that does not is committed at once."""

_HEADER = struct.Struct("<QII")
"""Number of the operation, length of its statements, checksum of salt, number and statements."""

Value = int | bytes | str | None
Operation = list[tuple[int, tuple[Value, ...]]]
"""What one operation does: numbers of statements, with their values."""


class Journal:
    """The journal of one workspace."""

    def __init__(self, path: Path) -> None:
        """Opens the journal, or makes it.

        Raises:
            OSError: The device refused.
        """
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._salt = b""
        self._at = 0

    def close(self) -> None:
        """Closes the file."""
        os.close(self._fd)

    def replay(self, salt: bytes, number: int) -> Iterator[tuple[int, Operation]]:
        """Yields the operations that follow on `number`, with their numbers."""
        data = os.pread(self._fd, JOURNAL_SIZE, 0)
        at = 0
        while at + _HEADER.size <= len(data):
            found, length, checksum = _HEADER.unpack_from(data, at)
            statements = data[at + _HEADER.size : at + _HEADER.size + length]
            number += 1
            if found != number or checksum != _checksum(salt, found, statements):  # J1
                return
            yield number, _decode(statements)
            at += _HEADER.size + length

    def start(self, salt: bytes) -> None:
        """Begins at the front again: the database has everything.

        Args:
            salt: Eight bytes that no use of this file has had, which the database has already.
        """
        self._salt = salt
        self.rewind()
        missing = JOURNAL_SIZE - os.fstat(self._fd).st_size
        if missing > 0:
            _fill(self._fd, JOURNAL_SIZE - missing, missing)

    def rewind(self) -> None:
        """Begins at the front again: the database has all that was appended."""
        self._at = 0

    def append(self, number: int, operation: Operation) -> bool:
        """Writes an operation down; returns whether it is there, also after a kill."""
        statements = _encode(operation)
        record = _HEADER.pack(number, len(statements), _checksum(self._salt, number, statements))
        record += statements
        if self._at + len(record) > JOURNAL_SIZE:
            return False
        try:
            if os.pwrite(self._fd, record, self._at) != len(record):
                return False
        except OSError:  # the database may still take it; if not, its error is the answer
            return False
        self._at += len(record)
        return True


def _fill(fd: int, at: int, length: int) -> None:
    """Takes the room that is missing; without it, operations are committed one by one."""
    try:
        os.pwrite(fd, bytes(length), at)
    except OSError:
        return


def _checksum(salt: bytes, number: int, statements: bytes) -> int:
    return zlib.crc32(statements, zlib.crc32(salt, number & 0xFFFFFFFF))


def _encode(operation: Operation) -> bytes:
    return repr(operation).encode()  # a third of the time of JSON, which has no bytes besides


def _decode(statements: bytes) -> Operation:
    return cast("Operation", ast.literal_eval(statements.decode()))
