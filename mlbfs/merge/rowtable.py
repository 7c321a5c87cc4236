"""Where rows of the three versions lie, by what tells them apart, in a database on disk.

Owns: which rows of the sides are the same one.
Layer: merge. Uses SQLite, because those of a file may be more than memory holds.

Rows of one side that nothing tells apart are numbered: the second of them is the same row as the
second of another side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from mlbfs.merge.lines import Line
from mlbfs.merge.scratchdatabase import ScratchDatabase
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlbfs.merge.versions import Reader

_SCHEMA = """
CREATE TABLE place (side TEXT, id BLOB, n INT, start INT, stop INT, PRIMARY KEY (side, id, n))
    WITHOUT ROWID;
"""
_ADD = """
INSERT INTO place
SELECT ?1, ?2, coalesce((SELECT max(n) FROM place WHERE side = ?1 AND id = ?2) + 1, 0), ?3, ?4
RETURNING n
"""
_JOINED = """
SELECT b.start, b.stop, o.start, o.stop, t.start, t.stop FROM place AS {first}
LEFT JOIN place AS {second} ON {second}.side = '{second_side}'
    AND {second}.id = {first}.id AND {second}.n = {first}.n
LEFT JOIN place AS b ON b.side = 'base' AND b.id = {first}.id AND b.n = {first}.n
WHERE {first}.side = '{first_side}' {more} ORDER BY {first}.start
"""
_OURS = _JOINED.format(first="o", second="t", first_side="ours", second_side="theirs", more="")
_THEIRS = _JOINED.format(
    first="t", second="o", first_side="theirs", second_side="ours", more="AND o.side IS NULL"
)


class Place(NamedTuple):
    """Bytes [start, stop) of a side."""

    start: int
    stop: int


def read_line(reader: Reader, place: Place) -> Line:
    """Returns the record that lies at a place of a version."""
    data = reader.read(place.start, place.stop - place.start)
    return Line(place.start, place.stop, data.rstrip(b"\r\n"))


class RowTable(ScratchDatabase):
    """Finds rows again; a context manager that removes its file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _SCHEMA)

    def add(self, side: Side, identity: bytes, place: Place) -> int:
        """Adds a row; returns how many of this side nothing told apart from it before."""
        key = blake3(identity).digest()
        ((number,),) = self._database.execute(_ADD, (str(side), key, *place)).fetchall()
        assert isinstance(number, int), "a column of integers"
        return number

    def rows(self) -> Iterator[dict[Side, Place]]:
        """Yields where each row of a side lies, in the order of ours, then those of theirs alone.

        Rows that only the base has are not among them.
        """
        for query in (_OURS, _THEIRS):
            for found in self._database.execute(query):
                places = zip(Side, (found[0:2], found[2:4], found[4:6]), strict=True)
                yield {side: Place(*place) for side, place in places if place[0] is not None}
