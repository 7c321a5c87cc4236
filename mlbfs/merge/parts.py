"""Content that is put together from the versions, new bytes, and files of the scratch folder.

Owns: how such parts become the answer of a driver, and how that is read.
Layer: merge.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

from mlbfs.errors import CorruptionError, storage_error
from mlbfs.merge.driver import FileSpan, Pieces, Span

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mlbfs.merge.driver import MergeCall, Piece


class PathReader:
    """The bytes of a file of the scratch folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.size = path.stat().st_size

    def read(self, offset: int, length: int) -> bytes:
        """Returns bytes; short only at the end of the file."""
        with self._path.open("rb") as file:
            file.seek(offset)
            return file.read(length)


class PiecedContent:
    """The bytes of pieces, by offset; safe from several threads.

    Attributes:
        size: Length of all of them.
    """

    def __init__(self, parts: Sequence[Piece], call: MergeCall) -> None:
        self._parts = [part for part in parts if piece_length(part)]
        self._ends = list(accumulate(map(piece_length, self._parts)))
        self._readers = {
            side: call.open(side)
            for side in {part.side for part in self._parts if isinstance(part, Span)}
        }
        self.size = self._ends[-1] if self._ends else 0

    def read(self, offset: int, length: int) -> bytes:
        """Returns bytes; short only at the end.

        Raises:
            CorruptionError: A version is damaged.
            StorageError: A file of the driver cannot be read.
        """
        data = bytearray(max(0, min(length, self.size - offset)))
        self.read_into(offset, memoryview(data))
        return bytes(data)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fills a buffer with the bytes from an offset on, which are all there.

        Raises:
            CorruptionError: A version is damaged.
            StorageError: A file of the driver cannot be read.
        """
        at = bisect_right(self._ends, offset)
        while buffer:
            part = self._parts[at]
            inside = offset - (self._ends[at] - piece_length(part))
            data = self._read(part, inside, min(len(buffer), self._ends[at] - offset))
            buffer[: len(data)] = data
            buffer = buffer[len(data) :]
            offset += len(data)
            at += offset == self._ends[at]

    def _read(self, part: Piece, start: int, length: int) -> bytes:
        if isinstance(part, bytes):
            return part[start : start + length]
        if isinstance(part, FileSpan):
            return self._read_file(part, start, length)
        data = self._readers[part.side].read(part.start + start, length)
        if not data:
            raise CorruptionError(f"{part.side} is shorter than what a merge driver took of it")
        return data

    @staticmethod
    def _read_file(part: FileSpan, start: int, length: int) -> bytes:
        try:
            with part.path.open("rb") as file:
                data = os.pread(file.fileno(), length, part.start + start)
        except OSError as err:
            raise storage_error(err, "a file of a merge driver") from err
        if not data:
            raise CorruptionError("a file of a merge driver is shorter than what it took of it")
        return data


class Assembly:
    """Collects parts in order; spans that follow each other become one."""

    def __init__(self) -> None:
        self._parts: list[Piece] = []

    def add(self, part: Piece) -> None:
        """Adds a part behind the others."""
        last = self._parts[-1] if self._parts else None
        if isinstance(part, bytes):
            if part:
                self._parts.append(part)
        elif part.start < part.stop:
            if _follows(last, part):
                assert isinstance(last, Span), "only spans follow each other"
                self._parts.pop()
                part = replace(part, start=last.start)
            self._parts.append(part)

    def content(self) -> Pieces:
        """Returns the content."""
        return Pieces(tuple(self._parts))


def _follows(last: Piece | None, part: Piece) -> bool:
    """Whether a span begins where the last one ends."""
    return (
        isinstance(last, Span)
        and isinstance(part, Span)
        and (last.side, last.stop) == (part.side, part.start)
    )


def piece_length(part: Piece) -> int:
    """Returns how many bytes a piece is."""
    return len(part) if isinstance(part, bytes) else part.stop - part.start
