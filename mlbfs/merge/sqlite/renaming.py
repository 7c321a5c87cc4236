"""Gives tables the name that one side gave them, before anything else is merged.

A table has a new name if it is gone, another one with the same definition is there, and rows of it
are in that one. SQLite renames it in the base and on the other side, with all that refers to it;
from then on the three versions have one name.

Owns: which table became which.
Layer: merge.

Invariants:
  N1. Only copies in the scratch folder are changed.
  N2. In doubt no table has a new name: it was dropped, and another one made.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import apsw

from mlbfs.merge.sqlite.opening import open_database
from mlbfs.merge.sqlite.schema import read_table
from mlbfs.merge.sqlite.sqltext import quote, split_table
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mlbfs.merge.sqlite.references import Reference
    from mlbfs.merge.sqlite.schema import Object
    from mlbfs.merge.sqlite.schemamerge import Objects

_MOST = 0.5
"""The share of its rows by which one of several tables is the renamed one; no other may have it."""
_TARGET = re.compile(
    r"""REFERENCES ("(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|'[^']*'|\S+)""", re.IGNORECASE
)


class Renaming(NamedTuple):
    """A table that one side, or both alike, gave another name.

    Attributes:
        old: How the base calls it.
        new: How it is called now.
        behind: The versions that have the old name.
    """

    old: Object
    new: Object
    behind: tuple[Side, ...]


def find_renamings(
    paths: Mapping[Side, Path], objects: Mapping[Side, Objects]
) -> tuple[list[Renaming], list[tuple[Object, Object, Object]]]:
    """Returns the renamed tables, and those that each side gave another name, with both."""
    ours, theirs = (_renamed_by(side, paths, objects) for side in (Side.OURS, Side.THEIRS))
    found, told = [], []
    for key in sorted({*ours, *theirs}):
        old, mine, other = objects[Side.BASE][key], ours.get(key), theirs.get(key)
        if mine is not None and other is not None:
            if mine.name.lower() == other.name.lower():
                found.append(Renaming(old, mine, (Side.BASE,)))
            else:
                told.append((old, mine, other))
            continue
        new, behind = (mine, Side.THEIRS) if mine is not None else (other, Side.OURS)
        assert new is not None, "one of the sides renamed it"
        there = objects[behind]
        if key in there and ("table", new.name.lower()) not in there:
            found.append(Renaming(old, new, (Side.BASE, behind)))
    return found, told


def rename(paths: Mapping[Side, Path], one: Renaming) -> bool:
    """Renames a table in the versions behind, in all or in none; False if SQLite cannot."""
    database = open_database(paths[one.behind[0]])
    try:
        schemas = ["main"]
        for side in one.behind[1:]:
            database.execute("ATTACH ? AS other", (str(paths[side]),)).fetchall()
            schemas.append("other")
        with database:
            for schema in schemas:
                name, new = f"{schema}.{quote(one.old.name)}", quote(one.new.name)
                database.execute(f"ALTER TABLE {name} RENAME TO {new}").fetchall()
    except apsw.SQLError:
        return False  # a view does not fit the tables, say: then the table counts as dropped
    finally:
        database.close()
    return True


def rename_references(
    references: Sequence[Reference], renamings: Sequence[Renaming]
) -> list[Reference]:
    """Returns references to tables by their new names."""
    names = {one.old.name.lower(): one.new.name.lower() for one in renamings}
    return [
        one._replace(
            table=names.get(one.table, one.table), parent=names.get(one.parent, one.parent)
        )
        for one in references
    ]


# Which table became which


def _renamed_by(
    side: Side, paths: Mapping[Side, Path], objects: Mapping[Side, Objects]
) -> dict[tuple[str, str], Object]:
    """Returns the tables of the base that a side renamed, each with what it is now."""
    base, there = objects[Side.BASE], objects[side]
    gone = {key: one for key, one in base.items() if _is_table(key, one) and key not in there}
    new = {key: one for key, one in there.items() if _is_table(key, one) and key not in base}
    pairs = [
        (old, key)
        for old, before in gone.items()
        for key, after in new.items()
        if _shape(before.sql) == _shape(after.sql)
    ]
    if not pairs:
        return {}
    database = open_database(paths[Side.BASE])
    try:
        database.execute("ATTACH ? AS changed", (str(paths[side]),)).fetchall()
        shares = {(old, key): _share(database, gone[old], new[key]) for old, key in pairs}
    finally:
        database.close()
    return {old: new[key] for old, key in pairs if _is_taken(shares, old, key)}


def _is_table(key: tuple[str, str], one: Object) -> bool:
    return key[0] == "table" and not one.is_virtual


def _shape(sql: str) -> object:
    """Returns a definition without the names of tables, of which others may be new, too."""
    text = split_table(sql)
    columns = [_TARGET.sub("REFERENCES ?", one) for one in text.columns.values()]
    return columns, [_TARGET.sub("REFERENCES ?", one) for one in text.constraints], text.options


def _is_taken(
    shares: Mapping[tuple[tuple[str, str], tuple[str, str]], float | None],
    old: tuple[str, str],
    new: tuple[str, str],
) -> bool:
    """Whether a table is the only one that can be another, or the one with most of its rows."""
    share = shares[old, new]
    rivals = [found for pair, found in shares.items() if (pair[0] == old) != (pair[1] == new)]
    if not rivals:
        return share is None or share > 0
    if share is None or any(one is None for one in rivals):
        return False
    return share > _MOST and all(one is not None and one <= _MOST for one in rivals)


def _share(database: apsw.Connection, before: Object, after: Object) -> float | None:
    """Returns how much of the rows is in another table; None if there are no rows."""
    columns = read_table(database, "main", before).columns
    listed = ", ".join(f"{quote(name)} COLLATE BINARY" for name in columns)
    rows = f"SELECT {listed} FROM main.{quote(before.name)}"
    query = (
        f"SELECT (SELECT count(*) FROM (SELECT DISTINCT * FROM ({rows}))), "
        f"(SELECT count(*) FROM ({rows} INTERSECT "
        f"SELECT {listed} FROM changed.{quote(after.name)}))"
    )
    count, same = (int(str(one)) for one in database.execute(query).fetchall()[0])
    return same / count if count else None
