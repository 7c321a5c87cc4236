"""Summaries of SQLite databases: what tables there are, of what columns, and how many rows.

Owns: opening a database that a stranger may have made: nothing of it runs but the reading of its
tables, nothing is written, and it ends after so much work.
Layer: workspace.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import quote

import apsw

from mlbfs.workspace.summary.subject import UnreadableError

if TYPE_CHECKING:
    from mlbfs.workspace.summary.subject import Subject

MAGIC = b"SQLite format 3\0"

_MAX_STEPS = 400_000_000
"""Steps of SQLite's machine for all counting together: some seconds."""

_STEPS_AT_ONCE = 1_000_000


def sqlite(subject: Subject) -> list[str]:
    """Returns a line for each table with its columns and rows, and one for everything else."""
    # immutable: no lock, no journal, no file beside it
    place = f"file:{quote(str(subject.path()))}?mode=ro&immutable=1"
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    try:
        with closing(apsw.Connection(place, flags=flags)) as connection:
            _restrain(connection)
            return _tables(connection)
    except apsw.Error as err:
        raise UnreadableError(f"SQLite says: {err}") from err
    except UnicodeDecodeError as err:
        raise UnreadableError(f"a name in it is no text: {err}") from err


def _restrain(connection: apsw.Connection) -> None:
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_VIEW, 0)
    connection.pragma("cell_size_check", True)
    connection.pragma("temp_store", "memory")


def _tables(connection: apsw.Connection) -> list[str]:
    budget = _Budget(connection)
    lines = [f"{name}: {connection.pragma(name)}" for name in ("user_version", "application_id")]
    listed = connection.execute(
        "SELECT type, name, sql FROM sqlite_schema ORDER BY type <> 'table', type, name"
    ).fetchall()
    for kind, name, sql in listed:
        if kind == "table" and not str(sql or "").upper().startswith("CREATE VIRTUAL"):
            lines.append(f"table {name}: {budget.count(str(name))}")
            lines += [f"  {column}" for column in _columns(connection, str(name))]
        else:
            lines.append(f"{kind} {name}: {' '.join(str(sql or 'made by SQLite').split())}")
    return lines


def _columns(connection: apsw.Connection, table: str) -> list[str]:
    rows = connection.execute(
        'SELECT name, type, "notnull", pk FROM pragma_table_xinfo(?)', (table,)
    )
    return [
        " ".join(
            filter(
                None, (str(name), str(kind), "NOT NULL" * bool(must), f"KEY {key}" if key else "")
            )
        )
        for name, kind, must, key in rows
    ]


class _Budget:
    """Counts rows until that has taken so many steps."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._left = _MAX_STEPS

    def count(self, table: str) -> str:
        """Returns how many rows a table has, in words.

        Row by row: SQLite's own counting is one step, however long it takes, and a damaged tree
        may lead it over the same pages again and again.
        """
        name = table.replace('"', '""')
        query = f'SELECT count(*) FROM (SELECT 1 FROM "{name}" LIMIT -1)'  # noqa: S608 - quoted
        self._connection.set_progress_handler(self._spend, _STEPS_AT_ONCE)
        try:
            ((rows,),) = self._connection.execute(query).fetchall()
        except apsw.InterruptError:
            return "too many rows to count"
        finally:
            self._connection.set_progress_handler(None)
        return f"{rows} row{'' if rows == 1 else 's'}"

    def _spend(self) -> bool:
        self._left -= _STEPS_AT_ONCE
        return self._left < 0
