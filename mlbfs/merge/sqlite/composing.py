"""Composes a table that both sides defined anew, each in its own way.

First columns that a side renamed are renamed in the other versions by SQLite, so that whatever
mentions them follows. Then the definition is merged by column and by constraint, as rows are by
cell; then all three versions are copied into the definition that comes of it.

Owns: which definitions go together.
Layer: merge.

Invariants:
  O1. Only copies in the scratch folder are changed.
  O2. A column or constraint that each side defined otherwise is a conflict, and so is what SQLite
      does not take.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import apsw

from mlbfs.merge.sqlite.migrating import Migration, copy_rows, find_columns
from mlbfs.merge.sqlite.opening import open_database
from mlbfs.merge.sqlite.schema import Object, read_objects, read_table
from mlbfs.merge.sqlite.schemamerge import added_columns
from mlbfs.merge.sqlite.sqltext import TableText, quote, split_table
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlbfs.merge.sqlite.schemamerge import Objects

_PLAIN = re.compile(r'"([A-Za-z_]\w*)"', re.ASCII)
_SIDES = (Side.OURS, Side.THEIRS)


class Composition(NamedTuple):
    """A table that both sides defined anew.

    Attributes:
        key: Kind and name in lower case.
        versions: How each has it.
    """

    key: tuple[str, str]
    versions: dict[Side, Object]


class _UnfitError(Exception):
    """Two definitions do not go together; the message says why."""


def find_compositions(objects: Mapping[Side, Objects]) -> list[Composition]:
    """Returns the tables that both sides changed otherwise than by adding columns."""
    found = []
    for key in objects[Side.BASE]:
        if key[0] != "table" or not all(key in objects[side] for side in _SIDES):
            continue
        versions = {side: objects[side][key] for side in Side}
        if any(one.is_virtual for one in versions.values()):
            continue
        base, ours, theirs = versions.values()
        if len({base.sql, ours.sql, theirs.sql}) == 3 and added_columns(base, ours, theirs) is None:
            found.append(Composition(key, versions))
    return found


def compose(paths: Mapping[Side, Path], one: Composition) -> str | None:
    """Gives all versions what both sides made of a table; returns what stands against it.

    Raises:
        RefusedDatabaseError: Its rows cannot be told apart.
    """
    try:
        for old, (side, new) in _find_renamed(paths, one).items():
            for other in Side:
                if other is not side:
                    _rename_column(paths[other], one, old, new)
        versions = {side: _read(paths[side], one.key) for side in Side}
        merged = Object("table", versions[Side.OURS].name, _merge_text(versions))
        _check_names(merged)
        for side in Side:
            _copy(paths[side], one.key, versions[side], merged)
    except _UnfitError as err:
        return str(err)
    except apsw.ConstraintError as err:
        return f"rows do not fit what both sides made of it: {err}"
    except apsw.SQLError as err:
        return f"what both sides made of it does not go together: {err}"
    return None


def _find_renamed(paths: Mapping[Side, Path], one: Composition) -> dict[str, tuple[Side, str]]:
    """Returns the columns that a side renamed: old name, side and new name."""
    found: dict[str, tuple[Side, str]] = {}
    for side, other in (_SIDES, _SIDES[::-1]):
        before, after = one.versions[Side.BASE], one.versions[side]
        columns = find_columns(paths, Migration(one.key, side, other, before, after))
        if isinstance(columns, str):
            raise _UnfitError(columns)
        for old, new in columns.items():
            if old.lower() == new.lower():
                continue
            if old in found and found[old][1].lower() != new.lower():
                raise _UnfitError(f"each side gave its column {old!r} another name")
            found[old] = (side, new)
    return found


def _rename_column(path: Path, one: Composition, old: str, new: str) -> None:
    database = open_database(path)
    try:
        names = {
            name.lower()
            for name in read_table(database, "main", _object(database, one.key)).columns
        }
        if old.lower() in names:
            table = quote(one.versions[Side.BASE].name)
            sql = f"ALTER TABLE {table} RENAME COLUMN {quote(old)} TO {quote(new)}"
            database.execute(sql).fetchall()
    finally:
        database.close()


def _read(path: Path, key: tuple[str, str]) -> Object:
    database = open_database(path)
    try:
        return _object(database, key)
    finally:
        database.close()


def _object(database: apsw.Connection, key: tuple[str, str]) -> Object:
    return read_objects(database)[key]


def _copy(path: Path, key: tuple[str, str], before: Object, merged: Object) -> None:
    """Copies the rows of a version into the merged definition."""
    database = open_database(path)
    try:
        columns = read_table(database, "main", before).columns
    finally:
        database.close()
    kept = split_table(merged.sql).columns
    pairs = {name: name for name in columns if name.lower() in kept}
    copy_rows(path, Migration(key, Side.OURS, None, before, merged), pairs)


# Definitions


def _check_names(merged: Object) -> None:
    """Lets SQLite look for every name: a column in quotes that is gone would become a text."""
    database = apsw.Connection(":memory:")
    try:
        database.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
        database.execute(merged.sql).fetchall()
    finally:
        database.close()


def _merge_text(versions: Mapping[Side, Object]) -> str:
    """Returns the definition with what both sides did to that of the base.

    Raises:
        _UnfitError: Both did something to one part of it.
    """
    base, ours, theirs = (split_table(versions[side].sql) for side in Side)
    parts = [*_merge_columns(base, ours, theirs), *_merge_constraints(base, ours, theirs)]
    options = _merged("its options", base.options, ours.options, theirs.options)
    if _keys(base) != _keys(ours) or _keys(base) != _keys(theirs):
        raise _UnfitError("a side tells its rows apart in another way")
    return f"CREATE TABLE {quote(versions[Side.OURS].name)} ({', '.join(parts)}) {options or ''}"


def _merge_columns(base: TableText, ours: TableText, theirs: TableText) -> list[str]:
    found = []
    for name in {**ours.columns, **theirs.columns}:
        texts = [one.columns.get(name) for one in (base, ours, theirs)]
        text = _merged(f"its column {name!r}", *texts)
        if text is not None:
            found.append(text)
    return found


def _merge_constraints(base: TableText, ours: TableText, theirs: TableText) -> list[str]:
    """Returns the constraints of ours without those that theirs removed, then those it added."""
    old, mine, other = (
        {_plain(one): one for one in side.constraints} for side in (base, ours, theirs)
    )
    kept = [text for plain, text in mine.items() if plain in other or plain not in old]
    return kept + [text for plain, text in other.items() if plain not in {**old, **mine}]


def _merged(what: str, *texts: str | None) -> str | None:
    """Returns what becomes of a part of base, ours and theirs; None if it goes."""
    old, mine, other = (None if one is None else _plain(one) for one in texts)
    _, ours, theirs = texts
    if other in (mine, old):
        return ours
    if mine == old:
        return theirs
    raise _UnfitError(f"each side changed {what} in its own way")


def _plain(text: str) -> str:
    """Returns a definition without quotes that it does not need: SQLite adds some to new names."""
    return _PLAIN.sub(r"\1", text)


def _keys(text: TableText) -> list[str]:
    """Returns the definitions that a primary key is part of."""
    parts = [*text.columns.values(), *text.constraints]
    return sorted(_plain(one) for one in parts if "PRIMARY KEY" in one.upper())
