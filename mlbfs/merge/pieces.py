"""Puts merged files of records together from spans of the versions.

Owns: that no two records share a line, that spans which follow each other are one, and that a byte
order mark of ours stays in front.
Layer: merge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.merge.driver import MergeResult, Pieces, Span, Take
from mlbfs.merge.lines import BOM
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from mlbfs.merge.conflicts import Conflict
    from mlbfs.merge.driver import MergeCall
    from mlbfs.merge.lines import Line


class PieceWriter:
    """Takes records in order.

    Args:
        call: What is merged.
        front: How many bytes of ours the result begins with.
        newline: What ends a record that no side has.
    """

    def __init__(self, call: MergeCall, front: int = 0, newline: bytes = b"\n") -> None:
        self._call = call
        self._newline = newline
        self._parts: list[Span | bytes] = []
        self._ends_line = True
        if front:
            self._parts.append(Span(Side.OURS, 0, front))
        elif call.open(Side.OURS).read(0, len(BOM)) == BOM:
            self._parts.append(Span(Side.OURS, 0, len(BOM)))

    def add(self, side: Side, line: Line) -> None:
        """Adds a record of a side."""
        self._begin_line()
        last = self._parts[-1] if self._parts else b""
        if isinstance(last, Span) and last.side is side and last.stop == line.start:
            self._parts[-1] = Span(side, last.start, line.stop)
        else:
            self._parts.append(Span(side, line.start, line.stop))
        self._ends_line = line.stop - line.start > len(line.data)

    def add_bytes(self, data: bytes) -> None:
        """Adds a record that no side has."""
        self._begin_line()
        self._parts.append(data + self._newline)

    def _begin_line(self) -> None:
        if not self._ends_line:
            self._parts.append(self._newline)
            self._ends_line = True

    def result(self, conflicts: list[Conflict], note: str = "") -> MergeResult:
        """Returns the result; one side as it is where it comes to that."""
        for side in (Side.OURS, Side.THEIRS):
            version = self._call.version(side)
            assert version is not None, "both sides have the file"
            if self._parts == [Span(side, 0, version.size)]:
                return MergeResult(Take(side), tuple(conflicts), note=note)
        return MergeResult(Pieces(tuple(self._parts)), tuple(conflicts), note=note)
