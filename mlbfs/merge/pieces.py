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
    from mlbfs.merge.rowtable import Place


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
        self._kept = 0
        if not front and call.open(Side.OURS).read(0, len(BOM)) == BOM:
            self._add_span(Side.OURS, 0, len(BOM), ends_line=True)  # a record begins behind it
            self._kept = len(BOM)
        self.keep(front)

    def add(self, side: Side, line: Line) -> None:
        """Adds a record of a side."""
        self._add_span(side, line.start, line.stop, ends_line=line.ends_line)

    def keep(self, stop: int) -> None:
        """Adds what ours has up to an offset, from where this or `skip` came to before."""
        if self._kept < stop:
            last = self._call.open(Side.OURS).read(stop - 1, 1)
            self._add_span(Side.OURS, self._kept, stop, ends_line=last == b"\n")
            self._kept = stop

    def skip(self, stop: int) -> None:
        """Leaves out what ours has up to an offset."""
        self._kept = max(self._kept, stop)

    def keep_around(self, place: Place | None) -> None:
        """Adds what ours has before a row and leaves out the row; all, before a row of theirs."""
        if place is None:
            self.keep_rest()
        else:
            self.keep(place.start)
            self.skip(place.stop)

    def keep_rest(self) -> None:
        """Adds what ours has behind what was kept or left out."""
        self.keep(self._call.ours.size)

    def _add_span(self, side: Side, start: int, stop: int, *, ends_line: bool) -> None:
        self._begin_line()
        last = self._parts[-1] if self._parts else b""
        if isinstance(last, Span) and last.side is side and last.stop == start:
            self._parts[-1] = Span(side, last.start, stop)
        else:
            self._parts.append(Span(side, start, stop))
        self._ends_line = ends_line

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
