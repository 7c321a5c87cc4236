"""What is in the schema of a database.

Owns: which tables take part in a merge, and what tells their rows apart.
Layer: merge.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from mlbfs.errors import UnsupportedError
from mlbfs.merge.sqlite.sqltext import quote

if TYPE_CHECKING:
    import apsw

_MERGED_MODULES = {
    "fts5": ("_data", "_idx", "_content", "_docsize", "_config"),
    "rtree": ("_node", "_rowid", "_parent"),
    "rtree_i32": ("_node", "_rowid", "_parent"),
}
"""Modules whose tables are merged, and what they append to their names for tables of their own."""
_EXTERNAL = re.compile(
    r"""[(,]\s*content\s*=\s*(?:'\s*[^'\s]|"\s*[^"\s]|`\s*[^`\s]|\[\s*[^\]\s]|\w)""", re.IGNORECASE
)
_DESCENDING = re.compile(r"primary\s+key\s+desc", re.IGNORECASE)
_ROWID_NAMES = ("rowid", "_rowid_", "oid")


class RefusedDatabaseError(UnsupportedError):
    """A database has something that is not merged; the message names it."""


class Object(NamedTuple):
    """A table, index, view or trigger.

    Attributes:
        kind: What of these.
        name: As it is written.
        sql: What makes it.
    """

    kind: str
    name: str
    sql: str

    @property
    def is_virtual(self) -> bool:
        """Whether a module keeps it."""
        return self.sql[:15].upper() == "CREATE VIRTUAL "

    @property
    def is_external(self) -> bool:
        """Whether it is a full-text table of rows that are in another one: an index of them."""
        return self.is_virtual and _module(self) == "fts5" and bool(_EXTERNAL.search(self.sql))


@dataclass(frozen=True, slots=True)
class Table:
    """A table with rows that are merged.

    Attributes:
        name: As it is written.
        columns: Columns that are stored, by name.
        defaults: SQL of each one's default, "NULL" if it has none.
        untyped: Columns in which 1 and 1.0 are different values.
        key: What tells rows apart: columns, or a name of the rowid.
        rowid: A name of the rowid; None if there is none, or if the key is it.
        alias: The column that is the rowid; None if there is none.
        is_virtual: Whether a module keeps it.
        references: Column, table and column that it refers to, in lower case.
    """

    name: str
    columns: tuple[str, ...]
    defaults: dict[str, str]
    untyped: frozenset[str]
    key: tuple[str, ...]
    rowid: str | None
    alias: str | None
    is_virtual: bool
    references: tuple[tuple[str, str, str | None], ...]

    @property
    def is_keyless(self) -> bool:
        """Whether only the place of a row tells it from others."""
        return not self.is_virtual and self.key[0] not in self.columns


def read_objects(database: apsw.Connection) -> dict[tuple[str, str], Object]:
    """Returns what a schema holds, by kind and name in lower case.

    What SQLite or a module keeps for itself is left out.

    Raises:
        RefusedDatabaseError: A module keeps a table of which nothing is known here.
    """
    rows = database.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
    found = [Object(*map(str, row)) for row in rows]
    owned = {name for one in found if one.is_virtual for name in _owned(one)}
    _check_external(found)
    return {
        (one.kind, one.name.lower()): one
        for one in found
        if not one.name.lower().startswith("sqlite_") and one.name.lower() not in owned
    }


def _check_external(found: list[Object]) -> None:
    """Refuses a full-text table that keeps rows of its own after all, which would be lost."""
    names = {one.name.lower() for one in found}
    for one in found:
        if one.is_external and f"{one.name.lower()}_content" in names:
            raise RefusedDatabaseError(f"the full-text table {one.name!r} may keep its content")


def _module(one: Object) -> str:
    words = one.sql.lower().replace("(", " ").split()
    return words[words.index("using") + 1] if "using" in words else "?"


def _owned(one: Object) -> set[str]:
    """Returns the names of the tables in which a module keeps a table."""
    module = _module(one)
    if module not in _MERGED_MODULES:
        raise RefusedDatabaseError(f"the virtual table {one.name!r} is kept by {module!r}")
    if module == "fts5" and "content=" in "".join(one.sql.lower().split()) and not one.is_external:
        raise RefusedDatabaseError(f"the full-text table {one.name!r} keeps no content")
    endings = set(_MERGED_MODULES[module]) - ({"_content"} if one.is_external else set())
    return {one.name.lower() + ending for ending in endings}


def read_table(database: apsw.Connection, schema: str, one: Object) -> Table:
    """Returns how the rows of a table are told apart.

    Raises:
        RefusedDatabaseError: Its columns hide every name of the rowid.
    """
    info = database.execute(f"PRAGMA {schema}.table_xinfo({quote(one.name)})").fetchall()
    stored = [row for row in info if row[6] == 0]
    columns = tuple(str(row[1]) for row in stored)
    primary = tuple(
        str(row[1]) for row in sorted(stored, key=lambda row: int(str(row[5]))) if row[5]
    )
    lower = {name.lower() for name in columns}
    rowid = next((name for name in _ROWID_NAMES if name not in lower), None)
    has_rowid = _has_rowid(database, schema, one)
    alias = _alias(one, stored, primary) if has_rowid and not one.is_virtual else None
    key, place = primary, rowid
    if one.is_virtual:
        rtree = "rtree" in one.sql.lower().split("(")[0]
        key, place = ((columns[0],) if rtree else ("rowid",)), None
    elif not has_rowid or alias is not None:
        place = None
    elif not primary or _has_null(database, schema, one, primary):
        if rowid is None:
            raise RefusedDatabaseError(f"the columns of {one.name!r} hide the rowid")
        key, place = (rowid,), None
    return Table(
        one.name,
        columns,
        {str(row[1]): "NULL" if row[4] is None else str(row[4]) for row in stored},
        frozenset(str(row[1]) for row in stored if _is_untyped(str(row[2]))),
        key,
        place,
        alias,
        one.is_virtual,
        _references(database, schema, one),
    )


def _has_rowid(database: apsw.Connection, schema: str, one: Object) -> bool:
    rows = database.execute(f"PRAGMA {schema}.table_list({quote(one.name)})").fetchall()
    return not any(row[4] for row in rows if row[0] == schema)


def _alias(one: Object, stored: list[tuple[Any, ...]], primary: tuple[str, ...]) -> str | None:
    """Returns the column that is the rowid (https://www.sqlite.org/lang_createtable.html#rowid)."""
    if len(primary) != 1 or _DESCENDING.search(one.sql):
        return None
    types = {str(row[1]): str(row[2]).upper() for row in stored}
    return primary[0] if types[primary[0]] == "INTEGER" else None


def _has_null(
    database: apsw.Connection, schema: str, one: Object, columns: tuple[str, ...]
) -> bool:
    """Whether a primary key holds NULL, which SQLite allows for old databases' sake."""
    where = " OR ".join(f"{quote(name)} IS NULL" for name in columns)
    query = f"SELECT EXISTS (SELECT 1 FROM {schema}.{quote(one.name)} WHERE {where})"
    return bool(database.execute(query).fetchall()[0][0])


def _is_untyped(declared: str) -> bool:
    text = declared.upper()
    known = ("INT", "CHAR", "CLOB", "TEXT", "REAL", "FLOA", "DOUB")
    if any(word in text for word in known):
        return False
    return text in ("", "ANY") or "BLOB" in text


def _references(
    database: apsw.Connection, schema: str, one: Object
) -> tuple[tuple[str, str, str | None], ...]:
    rows = database.execute(f"PRAGMA {schema}.foreign_key_list({quote(one.name)})").fetchall()
    return tuple(
        (str(row[3]).lower(), str(row[2]).lower(), None if row[4] is None else str(row[4]).lower())
        for row in rows
    )
