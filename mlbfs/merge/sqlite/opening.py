"""Opens databases that nobody vouches for.

Owns: what a database of a version may do while it is read, and which versions are databases at all.
Layer: merge.

No trigger runs, functions with side effects are out of reach of a schema, extensions are not
loaded, and the limits of SQLite are lowered (https://www.sqlite.org/security.html). What a
write-ahead log or a rollback journal beside a database holds is taken into the copy that is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw

from mlbfs.errors import FormatError
from mlbfs.merge.companions import SIDECARS

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.merge.driver import MergeCall
    from mlbfs.merge.versions import Side, Version

MAGIC = b"SQLite format 3\0"
_LIMITS = {
    apsw.SQLITE_LIMIT_SQL_LENGTH: 1_000_000,
    apsw.SQLITE_LIMIT_EXPR_DEPTH: 200,
    apsw.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    apsw.SQLITE_LIMIT_ATTACHED: 4,
    apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1000,
    apsw.SQLITE_LIMIT_TRIGGER_DEPTH: 10,
}
_READ_BUFFER = 1 << 20


class MalformedDatabaseError(FormatError):
    """A version is no database that can be read."""

    def __init__(self, message: str, where: str) -> None:
        super().__init__(message)
        self.where = where


def open_database(path: Path) -> apsw.Connection:
    """Opens a database of the scratch folder, hardened; durability is of no interest there."""
    database = apsw.Connection(str(path))
    database.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    database.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    database.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
    for limit, value in _LIMITS.items():
        database.limit(limit, value)
    for pragma in ("cell_size_check = ON", "synchronous = OFF", "cache_size = -65536"):
        database.execute(f"PRAGMA {pragma}").fetchall()
    database.execute("PRAGMA foreign_keys = OFF").fetchall()
    return database


def copy_database(call: MergeCall, side: Side) -> Path:
    """Writes a version to a file of its own, with what lies beside it taken in.

    Raises:
        MalformedDatabaseError: It is no database, or damaged.
    """
    path = call.copy(side, f"{side}.db")
    for ending in SIDECARS:
        version = call.inputs.find(side, call.path + ending)
        if version is not None and version.size:
            _copy(call, version, path.with_name(path.name + ending.decode()))
    if path.stat().st_size == 0:
        return path
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise MalformedDatabaseError("it is no SQLite database", str(side))
    try:
        database = open_database(path)
        try:
            database.execute("PRAGMA journal_mode = DELETE").fetchall()
            database.execute("PRAGMA cache_size = -8192").fetchall()  # a check reads a page once
            found = database.execute("PRAGMA quick_check(1)").fetchall()
        finally:
            database.close()
    except apsw.Error as err:
        raise MalformedDatabaseError(str(err), str(side)) from err
    if found != [("ok",)]:
        raise MalformedDatabaseError(str(found[0][0]), str(side))
    return path


def _copy(call: MergeCall, version: Version, path: Path) -> None:
    reader = call.inputs.open(version)
    with path.open("wb") as file:
        at = 0
        while data := reader.read(at, _READ_BUFFER):
            file.write(data)
            at += len(data)
