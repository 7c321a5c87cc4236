"""Finds views and triggers that do not fit the tables any more.

SQLite reads a view or a trigger when it is used, so a merged schema may have one that refers to a
column that the other side dropped: every write to its table would fail from then on. They are
compiled here by EXPLAIN, which runs nothing.

Owns: that check.
Layer: merge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw

from mlbfs.merge.sqlite.sqltext import quote

if TYPE_CHECKING:
    from collections.abc import Iterator


def find_unusable(database: apsw.Connection, schema: str) -> dict[str, str]:
    """Returns what cannot be compiled in a schema of a connection, and what SQLite says of it.

    Views by their names; triggers by the writes that would run them, such as `UPDATE of runs`.
    """
    found = {}
    for name, sql in _uses(database, schema):
        try:
            database.execute(f"EXPLAIN {sql}").fetchall()
        except apsw.Error as err:
            found[name] = str(err)
    return found


def _uses(database: apsw.Connection, schema: str) -> Iterator[tuple[str, str]]:
    query = f"SELECT name FROM {schema}.sqlite_schema WHERE type = 'view'"
    views = [str(row[0]) for row in database.execute(query).fetchall()]
    for name in views:
        yield f"view {name}", f"SELECT * FROM {schema}.{quote(name)}"
    query = f"SELECT DISTINCT tbl_name FROM {schema}.sqlite_schema WHERE type = 'trigger'"
    targets = [str(row[0]) for row in database.execute(query).fetchall()]
    database.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 1)  # or they are not compiled
    try:
        for name in targets:
            if name not in views:
                yield from _writes(database, schema, name)
    finally:
        database.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)


def _writes(database: apsw.Connection, schema: str, table: str) -> Iterator[tuple[str, str]]:
    """Yields one write of each kind to a table with triggers."""
    target = f"{schema}.{quote(table)}"
    info = database.execute(f"PRAGMA {schema}.table_xinfo({quote(table)})").fetchall()
    columns = [quote(str(row[1])) for row in info if row[6] == 0]
    yield f"INSERT into {table}", f"INSERT INTO {target} DEFAULT VALUES"
    yield f"DELETE from {table}", f"DELETE FROM {target}"
    if columns:
        sets = ", ".join(f"{one} = {one}" for one in columns)
        yield f"UPDATE of {table}", f"UPDATE {target} SET {sets}"
