"""Brings tables to the definition that one side gave them, before rows are merged.

A migration of a program renames columns, drops them, or makes a table anew with other types and
constraints. Where one side did that and the other left the definition alone, the base and the other
side are given the same definition first: their rows are copied into it, as the migration did with
its own. From then on the three versions are alike. Where both sides made the same migration, only
the base is behind.

Owns: which columns became which, and the copying.
Layer: merge.

Invariants:
  M1. Only copies in the scratch folder are changed.
  M2. A column is taken for renamed if one with the same definition stands in its place and its
      values do not say otherwise. So nothing of what the other side wrote into it is lost.
  M3. A column that one side dropped goes, with what new rows have there; if the other side changed
      what was there before, that is a conflict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import apsw

from mlbfs.merge.sqlite.opening import open_database
from mlbfs.merge.sqlite.schema import read_table
from mlbfs.merge.sqlite.sqltext import quote, split_table
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mlbfs.merge.sqlite.schema import Object, Table
    from mlbfs.merge.sqlite.schemamerge import Objects


class Migration(NamedTuple):
    """A table to which a side gave another definition.

    Attributes:
        key: Kind and name in lower case.
        changed: The side that did it; theirs where both did.
        other: The side that left the definition alone; None where both changed it to the same.
        before: How the base has it, and the other side.
        after: How the side that changed it has it.
    """

    key: tuple[str, str]
    changed: Side
    other: Side | None
    before: Object
    after: Object

    @property
    def behind(self) -> list[Side]:
        """The versions that are to follow."""
        return [Side.BASE] if self.other is None else [Side.BASE, self.other]


def find_migrations(objects: Mapping[Side, Objects]) -> list[Migration]:
    """Returns the tables that one side alone, or both alike, defined anew.

    Columns that were only added need no migration.
    """
    base, ours, theirs = (objects[side] for side in Side)
    found = []
    for key, before in base.items():
        mine, other = ours.get(key), theirs.get(key)
        if key[0] != "table" or mine is None or other is None or before.is_virtual:
            continue
        if mine.sql == other.sql != before.sql and not _only_adds(before, other):
            found.append(Migration(key, Side.THEIRS, None, before, other))
        elif before.sql == mine.sql != other.sql and not _only_adds(before, other):
            found.append(Migration(key, Side.THEIRS, Side.OURS, before, other))
        elif before.sql == other.sql != mine.sql and not _only_adds(before, mine):
            found.append(Migration(key, Side.OURS, Side.THEIRS, before, mine))
    return found


def _only_adds(before: Object, after: Object) -> bool:
    """Whether a definition is another one with columns behind it, which needs no copying."""
    if after.is_virtual:
        return True
    old, new = split_table(before.sql), split_table(after.sql)
    return old[1:] == new[1:] and list(new.columns.items())[: len(old.columns)] == list(
        old.columns.items()
    )


def migrate(paths: Mapping[Side, Path], one: Migration) -> str | None:
    """Gives those behind the definition; returns what stands against it, if something does.

    Where both sides made the migration, nothing has to: what the base had is looked at only to tell
    who changed what.

    Raises:
        RefusedDatabaseError: Its rows cannot be told apart.
    """
    try:
        columns = find_columns(paths, one)
        if isinstance(columns, str):
            return columns
        for side in one.behind:
            copy_rows(paths[side], one, columns)
    except apsw.ConstraintError as err:
        return f"rows of the other side do not fit what {one.changed} made of it: {err}"
    except apsw.SQLError as err:
        return f"it was changed in a way that rows do not follow: {err}"
    return None


# Which column became which


def find_columns(paths: Mapping[Side, Path], one: Migration) -> dict[str, str] | str:
    """Returns the new name of each column that stays, or why that cannot be told.

    Raises:
        RefusedDatabaseError: The rows of the table cannot be told apart.
    """
    database = open_database(paths[one.behind[-1]])
    try:
        for name, side in (("base", Side.BASE), ("changed", one.changed)):
            database.execute(f"ATTACH ? AS {name}", (str(paths[side]),)).fetchall()
        before = read_table(database, "base", one.before)
        after = read_table(database, "changed", one.after)
        names = {name.lower(): name for name in after.columns}
        columns = {name: names[name.lower()] for name in before.columns if name.lower() in names}
        for old, new in _candidates(one, before, after):
            if _is_renamed(database, before, after, columns, old, new):
                columns[old] = new
        lost = [name for name in before.columns if name not in columns]
        there = _columns_of(database, before.name)
        for name in lost:
            if name.lower() in there and _has_changed(database, before, name):
                return f"{one.changed} dropped its column {name!r}, the other side changed it"
        if _new_key(before, columns) != _new_key(after, {}):
            return f"{one.changed} tells its rows apart in another way"
        return columns
    finally:
        database.close()


def _new_key(table: Table, columns: Mapping[str, str]) -> list[str | None]:
    """Returns the columns of a key by their new names; None stands for the rowid."""
    if table.is_keyless:
        return [None]
    return [columns.get(name, name).lower() for name in table.key]


def _candidates(one: Migration, before: Table, after: Table) -> Iterator[tuple[str, str]]:
    """Yields columns that were dropped and those with the same definition in their place."""
    old, new = (_definitions(table.sql) for table in (one.before, one.after))
    kept = {name for name, _ in old} & {name for name, _ in new}
    for (name, text), (other, other_text) in zip(old, new, strict=False):
        if name not in kept and other not in kept and text == other_text:
            yield _written(before, name), _written(after, other)


def _definitions(sql: str) -> list[tuple[str, str]]:
    """Returns each column with its definition behind the name."""
    return [(name, text.partition(" ")[2]) for name, text in split_table(sql).columns.items()]


def _written(table: Table, name: str) -> str:
    """Returns a name in lower case as the table writes it."""
    return next((one for one in table.columns if one.lower() == name), name)


def _is_renamed(
    database: apsw.Connection,
    before: Table,
    after: Table,
    columns: Mapping[str, str],
    old: str,
    new: str,
) -> bool:
    """Whether rows have in a new column what they had in an old one, or nothing says otherwise."""
    if old not in before.columns or new not in after.columns:
        return False  # a generated one: it comes by itself
    met = _met(before, after, {**columns, old: new})
    if met is None:
        return True
    query = (
        f"SELECT count(*), count(*) FILTER (WHERE b.{quote(old)} IS x.{quote(new)}) "
        f"FROM base.{quote(before.name)} AS b JOIN changed.{quote(after.name)} AS x ON {met} "
        f"WHERE b.{quote(old)} IS NOT NULL"
    )
    seen, same = database.execute(query).fetchall()[0]
    return bool(same) or not seen


def _met(before: Table, after: Table, columns: Mapping[str, str]) -> str | None:
    """Returns what rows of both versions have alike; None if nothing tells them apart."""
    if before.is_keyless:
        return f"b.{before.key[0]} = x.{after.key[0]}" if after.is_keyless else None
    if not all(name in columns for name in before.key):
        return None
    return " AND ".join(f"b.{quote(name)} IS x.{quote(columns[name])}" for name in before.key)


def _columns_of(database: apsw.Connection, table: str) -> set[str]:
    rows = database.execute(f"PRAGMA main.table_xinfo({quote(table)})").fetchall()
    return {str(row[1]).lower() for row in rows}


def _has_changed(database: apsw.Connection, table: Table, column: str) -> bool:
    """Whether the other side changed a column of rows that were there before."""
    names = [quote(name) if name in table.columns else name for name in table.key]
    same = " AND ".join(f"b.{name} IS o.{name}" for name in names)
    query = (
        f"SELECT EXISTS (SELECT 1 FROM base.{quote(table.name)} AS b "
        f"JOIN main.{quote(table.name)} AS o ON {same} "
        f"WHERE b.{quote(column)} IS NOT o.{quote(column)})"
    )
    return bool(database.execute(query).fetchall()[0][0])


# Copying


def copy_rows(path: Path, one: Migration, columns: Mapping[str, str]) -> None:
    """Makes a table anew in one version, with its rows, indexes and triggers."""
    database = open_database(path)
    try:
        # References of other tables, views and triggers stay as they are written.
        database.execute("PRAGMA legacy_alter_table = ON").fetchall()
        with database:
            _make_anew(database, one, columns)
    finally:
        database.close()


def _make_anew(database: apsw.Connection, one: Migration, columns: Mapping[str, str]) -> None:
    table = read_table(database, "main", one.before)
    name = quote(table.name)
    hanging = database.execute(
        "SELECT sql FROM sqlite_schema WHERE tbl_name = ? COLLATE NOCASE "
        "AND type IN ('index', 'trigger') AND sql IS NOT NULL",
        (table.name,),
    ).fetchall()
    top = _sequence(database, table.name)
    old = quote(_free_name(database))
    database.execute(f"ALTER TABLE {name} RENAME TO {old}").fetchall()
    database.execute(one.after.sql).fetchall()
    made = read_table(database, "main", one.after)
    pairs = [(quote(source), quote(target)) for source, target in columns.items()]
    if table.rowid is not None and made.rowid is not None:
        pairs.append((table.rowid, made.rowid))
    elif table.is_keyless and made.is_keyless:
        pairs.append((table.key[0], made.key[0]))
    sources, targets = (", ".join(names) for names in zip(*pairs, strict=True))
    database.execute(f"INSERT INTO {name} ({targets}) SELECT {sources} FROM {old}").fetchall()
    database.execute(f"DROP TABLE {old}").fetchall()
    if top is not None and _sequence(database, table.name) is not None:
        query = "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?"
        database.execute(query, (top, table.name)).fetchall()
    for (sql,) in hanging:
        _make_again(database, str(sql))


def _make_again(database: apsw.Connection, sql: str) -> None:
    """Makes an index or a trigger again.

    One on a column that is gone cannot be made. Where the base has it too, the side that dropped
    the column has dealt with it; where the other side made it, the merge has to tell.
    """
    try:
        database.execute(sql).fetchall()
    except apsw.SQLError:
        return


def _sequence(database: apsw.Connection, name: str) -> int | None:
    """Returns the largest number that AUTOINCREMENT gave; None if it gives none."""
    query = "SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'"
    if not database.execute(query).fetchall():
        return None
    query = "SELECT CAST(seq AS INT) FROM sqlite_sequence WHERE name = ?"
    rows = database.execute(query, (name,)).fetchall()
    return int(str(rows[0][0])) if rows else None


def _free_name(database: apsw.Connection) -> str:
    taken = {str(row[0]).lower() for row in database.execute("SELECT name FROM sqlite_schema")}
    return next(name for at in range(len(taken) + 1) if (name := f"before_{at}") not in taken)
