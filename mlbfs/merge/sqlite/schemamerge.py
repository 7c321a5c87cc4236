"""Merges the schemas of three databases into that of ours.

Owns: which changes of a schema go together.
Layer: merge.

What one side left as the base has it is taken from the other. A table that either changed merges if
columns were added and nothing else was done to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import apsw

from mlbfs.merge.sqlite.sqltext import quote, split_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlbfs.merge.sqlite.schema import Object

    Objects = dict[tuple[str, str], Object]

_ORDER = {"table": 0, "index": 1, "view": 2, "trigger": 3}


class SchemaConflict(NamedTuple):
    """What two schemas disagree about.

    Attributes:
        where: Kind and name.
        message: What the matter is.
        texts: SQL of base, ours and theirs.
    """

    where: str
    message: str
    texts: tuple[str | None, str | None, str | None]


class SchemaMerge:
    """Changes the schema of ours.

    Args:
        database: Ours, as `main`.
        has_changed: Whether `main` or `theirs` changed rows of a table of the base.
    """

    def __init__(self, database: apsw.Connection, has_changed: Callable[[str, str], bool]) -> None:
        self._database = database
        self._has_changed = has_changed
        self.conflicts: list[SchemaConflict] = []
        self.changed = False

    def merge(self, base: Objects, ours: Objects, theirs: Objects) -> list[Object]:
        """Makes the tables of the merged schema; returns the rest, to be made behind the rows.

        What goes is dropped at once, and indexes that come are made last: they would only slow the
        rows down.
        """
        keys = sorted({*base, *theirs}, key=lambda key: (_ORDER[key[0]], key))
        late: list[Object] = []
        for key in reversed(keys):
            if key in base and key not in theirs:
                self._drop(key, base[key], ours.get(key))
        for key in keys:
            before, mine, other = base.get(key), ours.get(key), theirs.get(key)
            texts = [None if one is None else one.sql for one in (before, mine, other)]
            if other is None or texts[2] in texts[:2]:
                self._keep_dropped(key, before, mine, other)
                continue
            if key[0] == "table" and not other.is_external:
                self._table(key, before, mine, other)
            elif texts[0] != texts[1]:
                self.tell(key, "both sides changed it, each in its own way", texts)
            else:
                if mine is not None:
                    self._run(f"DROP {key[0]} main.{quote(mine.name)}")
                late.append(other)
        return late

    def _run(self, sql: str) -> None:
        self._database.execute(sql).fetchall()
        self.changed = True

    def make(self, one: Object) -> None:
        """Makes an object of theirs; what cannot be made is a conflict."""
        try:
            self._run(one.sql)
        except apsw.Error as err:
            self.tell((one.kind, one.name), f"it cannot be made: {err}", [None, None, one.sql])

    def rebuild(self, one: Object) -> None:
        """Builds a full-text table from the rows that it is an index of."""
        try:
            self._run(f"INSERT INTO main.{quote(one.name)} ({quote(one.name)}) VALUES ('rebuild')")
        except apsw.Error as err:
            message = f"it cannot be built from its content: {err}"
            self.tell((one.kind, one.name), message, [None, None, one.sql])

    def _drop(self, key: tuple[str, str], before: Object, mine: Object | None) -> None:
        if mine is None:
            return
        if mine.sql != before.sql:
            self.tell(key, "theirs dropped it, ours changed it", [before.sql, mine.sql, None])
        elif key[0] == "table" and not mine.is_external and self._has_changed("main", mine.name):
            self.tell(
                key, "theirs dropped it, ours changed rows of it", [before.sql, mine.sql, None]
            )
        else:
            self._run(f"DROP {key[0]} IF EXISTS main.{quote(mine.name)}")

    def _keep_dropped(
        self, key: tuple[str, str], before: Object | None, mine: Object | None, other: Object | None
    ) -> None:
        """Tells of a table that ours dropped, and into which theirs wrote."""
        if key[0] != "table" or mine is not None or before is None or other is None:
            return
        if other.is_external:
            return  # an index has nothing of its own
        if self._has_changed("theirs", other.name):
            message = "ours dropped it, theirs changed rows of it"
            self.tell(key, message, [before.sql, None, other.sql])

    def _table(
        self, key: tuple[str, str], before: Object | None, mine: Object | None, other: Object
    ) -> None:
        texts = [None if one is None else one.sql for one in (before, mine, other)]
        if mine is None:
            if before is None:
                self._run(other.sql)
            else:
                self.tell(key, "ours dropped it, theirs changed it", texts)
            return
        added = added_columns(before, mine, other)
        if added is None:
            self.tell(key, "it was changed in more than added columns", texts)
            return
        try:
            for column in added:
                self._run(f"ALTER TABLE main.{quote(mine.name)} ADD COLUMN {column}")
        except apsw.Error as err:
            self.tell(key, f"a column of theirs cannot be added: {err}", texts)

    def tell_number(self, name: str, base: str, ours: str, theirs: str) -> None:
        """Tells of a number of the header that both sides changed."""
        message = "both sides changed it, each in its own way"
        self.conflicts.append(SchemaConflict(name, message, (base, ours, theirs)))

    def tell(self, key: tuple[str, str], message: str, texts: list[str | None]) -> None:
        """Tells of an object, by kind and name, with the SQL of base, ours and theirs."""
        base, ours, theirs = texts
        self.conflicts.append(SchemaConflict(f"{key[0]} {key[1]}", message, (base, ours, theirs)))


def added_columns(before: Object | None, mine: Object, other: Object) -> list[str] | None:
    """Returns the columns that theirs adds to ours; None if that is not all there is to it."""
    if mine.is_virtual or other.is_virtual:
        return None
    ours, theirs = split_table(mine.sql), split_table(other.sql)
    base = split_table(before.sql) if before is not None else None
    for one in (ours, theirs):
        if base is not None and (
            base[1:] != one[1:]
            or any(one.columns.get(name) != text for name, text in base.columns.items())
        ):
            return None
    if ours[1:] != theirs[1:]:
        return None
    if any(ours.columns.get(name, text) != text for name, text in theirs.columns.items()):
        return None
    return [text for name, text in theirs.columns.items() if name not in ours.columns]
