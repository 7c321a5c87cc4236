"""Counts the records that the three versions of a file do not all have.

Owns: which records of ours go and which of theirs come in, when whole records tell each other
apart.
Layer: merge. Uses SQLite, because what differs may be more than memory holds.

How often a side has a record is compared, not where: a record that theirs has once less than the
base goes once from ours, unless ours took it away itself; one that theirs has once more comes in,
unless ours added it too. Records that all three versions have change no difference, so they are
taken out as they come by, by their bytes alone: the versions are read side by side, and in memory
is only what has not been met on all sides yet. If that becomes too much, as in a file that was
sorted anew, it is counted in the database.
"""

from __future__ import annotations

from collections import Counter
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from mlbfs.merge.lines import Block
from mlbfs.merge.scratchdatabase import ScratchDatabase
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from mlbfs.merge.lines import Line

MAX_HELD = 96 << 20
"""Most bytes of records, and of what it costs to hold them, in memory."""

MAX_IDS = 200_000
"""Most ids of records that differ in memory, once records were counted in the database."""

_COST = 150
"""Bytes of memory that a record takes besides its own."""

_SCHEMA = """
CREATE TABLE record (id BLOB PRIMARY KEY, base INT, ours INT, theirs INT) WITHOUT ROWID;
"""
_ADD = """
INSERT INTO record (id, base, ours, theirs) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT DO UPDATE SET base = base + ?2, ours = ours + ?3, theirs = theirs + ?4
"""
_IDS = "SELECT id FROM record LIMIT ?"
_FORGET = "DELETE FROM record WHERE base = ours AND ours = theirs"
_TAKE_REMOVED = """
UPDATE record SET base = base - 1, ours = ours - 1
WHERE id = ? AND base > theirs AND base - theirs > max(0, base - ours) RETURNING 1
"""
_TAKE_ADDED = """
UPDATE record SET theirs = theirs - 1
WHERE id = ? AND theirs > base AND theirs - base > max(0, ours - base) RETURNING 1
"""
_ONCE = (1, 1, 1)
_NOTHING = Block(0, [])


class RecordCount(ScratchDatabase):
    """What differs between three versions; a context manager that removes its file.

    Args:
        path: Where that file is made.
        blocks: Returns the records of a side; they are read twice.
        identity: Returns what tells a record apart from others, from its bytes, which may have a
            carriage return at the end; None for what is no record, such as an empty line.
    """

    def __init__(
        self,
        path: Path,
        blocks: Callable[[Side], Iterable[Block]],
        identity: Callable[[bytes], bytes | None],
    ) -> None:
        super().__init__(path, _SCHEMA)
        self._blocks = blocks
        self._identity = identity
        self._held = {side: Counter[bytes]() for side in Side}
        self._weight = 0
        self._is_spilled = False
        self._ids: set[bytes | None] | None = None

    def compare(self) -> None:
        """Reads the versions side by side; once, before anything is asked."""
        for found in zip_longest(*map(self._blocks, Side), fillvalue=_NOTHING):
            base, ours, theirs = (block.records for block in found)
            if base == ours == theirs:
                continue
            for side, records in zip(Side, (base, ours, theirs), strict=True):
                self._held[side].update(records)
                self._weight += sum(map(len, records)) + _COST * len(records)
            self._take_out_shared()
            if self._weight > MAX_HELD:
                self._weigh()
        self._count()
        self._database.execute(_FORGET).fetchall()
        if self._is_spilled:
            rows: list[tuple[Any, ...]] = self._database.execute(_IDS, (MAX_IDS + 1,)).fetchall()
            self._ids = {one for (one,) in rows} if len(rows) <= MAX_IDS else None

    def _take_out_shared(self) -> None:
        base, ours, theirs = self._held.values()
        for record in base.keys() & ours.keys() & theirs.keys():
            numbers = base.pop(record), ours.pop(record), theirs.pop(record)
            if numbers != _ONCE:
                shared = min(numbers)
                for held, number in zip((base, ours, theirs), numbers, strict=True):
                    if number > shared:
                        held[record] = number - shared

    def _weigh(self) -> None:
        """Finds out what is really held, and counts it in the database if that is too much."""
        sizes = (len(record) + _COST for held in self._held.values() for record in held)
        self._weight = sum(sizes)
        if self._weight > MAX_HELD // 2:
            self._count()
            self._is_spilled = True
            for held in self._held.values():
                held.clear()
            self._weight = 0

    def _count(self) -> None:
        # In the order of the ids, pages of the database are written once and not all over again.
        self._database.executemany(_ADD, sorted(self._rows()))

    def _rows(self) -> Iterator[tuple[bytes, int, int, int]]:
        for at, held in enumerate(self._held.values()):
            for record, number in held.items():
                name = self._id(record)
                if name is not None:
                    counts = [0, 0, 0]
                    counts[at] = number
                    yield name, counts[0], counts[1], counts[2]

    def _id(self, record: bytes) -> bytes | None:
        identity = self._identity(record)
        return None if identity is None else blake3(identity).digest()

    def differing(self, side: Side) -> Iterator[Line]:
        """Yields the records of a side that not all versions have; all, if those are very many."""
        for block in self._blocks(side):
            if self._is_spilled:
                yield from filter(self._is_counted, block.lines())
            elif not self._held[side].keys().isdisjoint(block.records):
                yield from block.lines_among(self._held[side])

    def _is_counted(self, line: Line) -> bool:
        """Returns whether a record may be in the database."""
        return self._ids is None or self._id(line.data) in self._ids

    def take_removed(self, record: bytes) -> bool:
        """Returns whether a record of ours goes; each time for one of its lines."""
        return self._take(_TAKE_REMOVED, record)

    def take_added(self, record: bytes) -> bool:
        """Returns whether a record of theirs comes in; each time for one of its lines."""
        return self._take(_TAKE_ADDED, record)

    def _take(self, statement: str, record: bytes) -> bool:
        name = self._id(record)
        return name is not None and bool(self._database.execute(statement, (name,)).fetchall())


def came_in(records: int) -> str:
    """Returns what a commit says of records that came in; nothing of none."""
    if not records:
        return ""
    return "1 record came in" if records == 1 else f"{records} records came in"
