"""Content that is put together from the versions, new bytes, and files of the scratch folder.

Owns: how such parts become the answer of a driver.
Layer: merge.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mlbfs.merge.driver import Pieces, Span

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.merge.driver import Piece


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
