"""How often each record is on each side, in a database on disk.

Owns: which records of ours go, and which of theirs come in.
Layer: merge. Uses SQLite, because the records of a file may be more than memory holds.

A record is known by the BLAKE3 hash of its bytes. Records that theirs has fewer times than the base
were taken away so many times, those that it has more times were added; but for what ours has taken
away or added as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import apsw
from blake3 import blake3

from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType

_SCHEMA = """
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;
PRAGMA locking_mode = EXCLUSIVE;
CREATE TABLE record (id BLOB PRIMARY KEY, base INT, ours INT, theirs INT) WITHOUT ROWID;
BEGIN;
"""
_ADD = """
INSERT INTO record (id, base, ours, theirs) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT DO UPDATE SET base = base + ?2, ours = ours + ?3, theirs = theirs + ?4
"""
_ROWS = {Side.BASE: (1, 0, 0), Side.OURS: (0, 1, 0), Side.THEIRS: (0, 0, 1)}
_TAKE_REMOVED = """
UPDATE record SET base = base - 1, ours = ours - 1
WHERE id = ? AND base > theirs AND base - theirs > max(0, base - ours) RETURNING 1
"""
_TAKE_ADDED = """
UPDATE record SET theirs = theirs - 1
WHERE id = ? AND theirs > base AND theirs - base > max(0, ours - base) RETURNING 1
"""


class RecordCount:
    """Counts records; a context manager that removes its file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = apsw.Connection(str(path))
        self._database.execute(_SCHEMA).fetchall()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()
        self._path.unlink(missing_ok=True)

    def add(self, side: Side, records: Iterable[bytes]) -> None:
        """Counts the records of a side."""
        row = _ROWS[side]
        self._database.executemany(_ADD, ((blake3(one).digest(), *row) for one in records))

    def take_removed(self, record: bytes) -> bool:
        """Returns whether a record of ours goes; each time for one of its lines."""
        return self._take(_TAKE_REMOVED, record)

    def take_added(self, record: bytes) -> bool:
        """Returns whether a record of theirs comes in; each time for one of its lines."""
        return self._take(_TAKE_ADDED, record)

    def _take(self, statement: str, record: bytes) -> bool:
        return bool(self._database.execute(statement, (blake3(record).digest(),)).fetchall())


def came_in(records: int) -> str:
    """Returns what a commit says of records that came in; nothing of none."""
    if not records:
        return ""
    return "1 record came in" if records == 1 else f"{records} records came in"
