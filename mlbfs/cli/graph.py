"""Draws how commits hang together, one line of text and a few of strokes for each.

Owns: the lanes of a drawing.
Layer: cli.

A lane is a column that waits for one commit; several may wait for the same one. A commit stands in
the first lane that waits for it, and the others join that lane above it. Its first parent takes the
lane over; for each other parent a lane is opened right beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class GraphDrawer:
    """Lanes between one commit and the next."""

    def __init__(self) -> None:
        self._lanes: list[bytes] = []

    def lines(self, commit: bytes, parents: Sequence[bytes], text: str) -> Iterator[str]:
        """Yields the lines of one commit; call it for children before their parents."""
        if commit not in self._lanes:
            self._lanes.append(commit)
        column = self._lanes.index(commit)
        for lane in range(len(self._lanes) - 1, column, -1):
            if self._lanes[lane] == commit:
                yield self._joining(column, lane)
                del self._lanes[lane]
        marks = ["*" if lane == column else "|" for lane in range(len(self._lanes))]
        yield f"{' '.join(marks)} {text}".rstrip()
        if not parents:
            if column < len(self._lanes) - 1:
                yield self._closing(column)
            del self._lanes[column]
            return
        self._lanes[column] = parents[0]
        for parent in reversed(parents[1:]):
            yield self._opening(column)
            self._lanes.insert(column + 1, parent)

    def _joining(self, column: int, lane: int) -> str:
        """Returns the line in which `lane` runs into `column`: `|/`, or `|_|/` from afar."""
        row = self._row(lane)
        for at in range(2 * column + 1, 2 * lane - 1, 2):
            row[at] = "_"
        row[2 * lane - 1] = "/"
        return self._moved(row, lane + 1, -1, "/")

    def _opening(self, column: int) -> str:
        """Returns the line in which a lane leaves `column` to the right."""
        row = self._row(column + 1)
        row[2 * column + 1] = "\\"
        return self._moved(row, column + 1, 1, "\\")

    def _closing(self, column: int) -> str:
        """Returns the line in which the lanes right of `column` take its place."""
        return self._moved(self._row(column), column + 1, -1, "/")

    def _row(self, lanes: int) -> list[str]:
        """Returns a line with the first lanes going straight down and room for the others."""
        return list("| " * lanes) + [" "] * (2 * (len(self._lanes) - lanes) + 2)

    def _moved(self, row: list[str], first: int, by: int, stroke: str) -> str:
        for lane in range(first, len(self._lanes)):
            row[2 * lane + by] = stroke
        return "".join(row).rstrip()
