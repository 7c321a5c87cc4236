"""Content that is put together from the versions, new bytes, and files of the scratch folder.

Owns: how such parts become the answer of a driver.
Layer: merge.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlbfs.merge.driver import FileAt, Pieces, Span
from mlbfs.merge.tensorfile import STEP, steps, window

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mlbfs.merge.driver import Content, MergeCall


@dataclass(frozen=True, slots=True)
class FilePart:
    """Bytes [start, stop) of a file of the scratch folder."""

    path: Path
    start: int
    stop: int


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


Part = Span | bytes | FilePart


class Assembly:
    """Collects parts in order; spans that follow each other become one."""

    def __init__(self) -> None:
        self._parts: list[Part] = []

    def add(self, part: Part) -> None:
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

    def content(self, call: MergeCall) -> Content:
        """Returns the content: pieces where all of it lies in the versions, else a file.

        Raises:
            OSError: The device refused.
        """
        if not any(isinstance(part, FilePart) for part in self._parts):
            return Pieces(tuple(part for part in self._parts if not isinstance(part, FilePart)))
        path = call.scratch / "assembled"
        with path.open("wb") as file:
            for part in self._parts:
                file.writelines(_bytes(call, part))
        return FileAt(path)


def _follows(last: Part | None, part: Part) -> bool:
    """Whether a span begins where the last one ends."""
    return (
        isinstance(last, Span)
        and isinstance(part, Span)
        and (last.side, last.stop) == (part.side, part.start)
    )


def _bytes(call: MergeCall, part: Part) -> Iterable[bytes]:
    if isinstance(part, bytes):
        yield part
    elif isinstance(part, Span):
        with window(call.open(part.side), part.start, part.stop) as stream:
            yield from steps(stream)
    else:
        with part.path.open("rb") as file:
            file.seek(part.start)
            left = part.stop - part.start
            while left:
                data = file.read(min(STEP, left))
                assert data, "a file of our own is as long as it was written"
                left -= len(data)
                yield data
