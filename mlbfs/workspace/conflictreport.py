"""Writes what a merge came to into a file: JSON, or an SQLite database.

A merge of tables or databases may have thousands of conflicts; a person wants to sort them, count
them by table, and look at base, ours and theirs side by side.

Owns: the form of that file.
Layer: workspace.

Invariants:
  R1. A report is there as a whole or not at all, and takes no other file's place.

Concurrency: one thread.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw

from mlbfs.errors import AlreadyExistsError, NotFoundError, storage_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DATABASE_SUFFIXES = (".db", ".sqlite", ".sqlite3")
"""Ends of the names of reports that are databases; all others are JSON."""

_COLUMNS = ("path", "kind", "place", "message", "base", "ours", "theirs", "settled")

_SCHEMA = """
CREATE TABLE merge (name TEXT PRIMARY KEY, value TEXT) STRICT, WITHOUT ROWID;
CREATE TABLE conflicts (
    id INTEGER PRIMARY KEY,
    path ANY NOT NULL,      -- text, or a blob where the name is no UTF-8
    kind TEXT NOT NULL,
    place TEXT NOT NULL,    -- inside the file: table[key].column, $.path, line
    message TEXT NOT NULL,
    base TEXT,              -- NULL where a version has nothing there
    ours TEXT,
    theirs TEXT,
    settled TEXT            -- the side that was taken; NULL where a person has to decide
) STRICT;
"""


def check_report(file: Path) -> None:
    """Checks that a report can be written to a file, before a merge is made.

    Raises:
        AlreadyExistsError: Something is there.
        NotFoundError: The folder is not there.
    """
    if os.path.lexists(file):
        raise AlreadyExistsError(
            f"{str(file)!r} is there already", hint="name a new file for the report"
        )
    if not file.parent.is_dir():
        raise NotFoundError(f"there is no folder {str(file.parent)!r} for the report")


def write_report(file: Path, facts: Mapping[str, Any]) -> None:
    """Writes a report.

    Args:
        file: Where; its suffix says in which form.
        facts: What `--json` shows: single values, and `conflicts`, a list of mappings.

    Durability: none is promised; a report can be made again.

    Raises:
        AlreadyExistsError: Something is there by now.
        StorageError: The device refused; nothing is left behind.
    """
    write = _write_database if file.suffix.lower() in DATABASE_SUFFIXES else _write_json
    try:
        with tempfile.TemporaryDirectory(prefix=f".{file.name}.", dir=file.parent) as folder:
            made = Path(folder) / "report"
            write(made, facts)
            os.link(made, file)  # takes no other file's place
    except FileExistsError as err:
        raise AlreadyExistsError(
            f"{str(file)!r} is there by now; the report was not written"
        ) from err
    except OSError as err:
        raise storage_error(err, f"cannot write the report {str(file)!r}") from err
    except (apsw.FullError, apsw.IOError, apsw.CantOpenError) as err:
        raise storage_error(OSError(str(err)), f"cannot write the report {str(file)!r}") from err


def _write_json(file: Path, facts: Mapping[str, Any]) -> None:
    with file.open("w", encoding="ascii") as stream:
        json.dump(facts, stream, indent=2)
        stream.write("\n")


def _write_database(file: Path, facts: Mapping[str, Any]) -> None:
    database = apsw.Connection(str(file))
    try:
        database.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").fetchall()
        with database:
            database.execute(_SCHEMA).fetchall()
            single = ((name, value) for name, value in facts.items() if not _is_many(value))
            database.executemany("INSERT INTO merge VALUES (?, ?)", single)
            marks = ", ".join("?" * len(_COLUMNS))
            database.executemany(
                f"INSERT INTO conflicts ({', '.join(_COLUMNS)}) VALUES ({marks})",  # noqa: S608
                _rows(facts),
            )
    finally:
        database.close()


def _is_many(value: object) -> bool:
    return isinstance(value, list | dict)


def _rows(facts: Mapping[str, Any]) -> Iterator[tuple[str | bytes | None, ...]]:
    for one in facts["conflicts"]:
        path, *others = (one[{"place": "where"}.get(name, name)] for name in _COLUMNS)
        yield _bindable(path), *(_readable(value) for value in others)


def _bindable(path: str) -> str | bytes:
    """Returns a path as text; as its bytes where they are no UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return path


def _readable(text: str | None) -> str | None:
    """Returns text that SQLite can hold: bytes that are no UTF-8 are shown by their numbers."""
    if text is None:
        return None
    return str(text).encode(errors="backslashreplace").decode()
