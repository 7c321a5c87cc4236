"""Merges the rows of one table.

Owns: which rows theirs changed, what becomes of each, and in which order it is written.
Layer: merge.

All is done by SQL over three databases: `main` is ours and becomes the result, `base` and `theirs`
are read, `stage` takes what is found out. Values never become Python objects, so that what SQLite
holds comes through as it is, text that is no UTF-8 too; memory is bounded by the cache.

What is written: first rows go, those that change among them, then rows come. So two rows may swap
what has to be unique.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import apsw

from mlbfs.merge.conflicts import ConflictKind
from mlbfs.merge.sqlite.sqltext import quote
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mlbfs.merge.sqlite.schema import Table

_MAX_SHOWN = 4096
"""Characters or bytes of a value that are told of a conflict; a longer one ends in three dots."""


class RowConflict(NamedTuple):
    """What two sides disagree about.

    Attributes:
        kind: Cell, row or rule.
        where: Table, key and column.
        message: What the matter is.
        texts: Values of base, ours and theirs, as text.
        settled: The side whose value was taken.
    """

    kind: ConflictKind
    where: str
    message: str
    texts: tuple[str | None, str | None, str | None] = (None, None, None)
    settled: Side | None = None


class TableMerge:
    """Merges the rows of one table into ours.

    Args:
        database: Ours as `main`, with `base`, `theirs` and `stage`.
        number: A number of its own, for its tables in the stage.
        ours: The table as ours has it, with the columns that theirs added.
        theirs: The table as theirs has it.
        base_columns: Columns that the base has.
        maps: Numbers of tables whose ids may be given anew, by name in lower case.
        policy: The side that conflicts are settled with.
    """

    def __init__(
        self,
        database: apsw.Connection,
        number: int,
        ours: Table,
        theirs: Table,
        base_columns: Iterable[str],
        maps: dict[str, tuple[int, str]],
        policy: Side | None,
    ) -> None:
        self._database = database
        self._number = number
        self.table = ours
        self._theirs = theirs
        self._base = set(base_columns)
        self._policy = policy
        self._mapped = {
            column: maps[table][0]
            for column, table, target in theirs.references
            if table in maps and (target is None or target == maps[table][1])
        }
        self.conflicts: list[RowConflict] = []
        self.changed = 0

    @property
    def is_renumbered(self) -> bool:
        """Whether rows of theirs may get new ids: they are nothing but numbers, then."""
        alias = self._theirs.alias
        referring = {one[0] for one in self._theirs.references}
        return alias is not None and alias.lower() not in referring

    # Finding

    def make_map(self) -> None:
        """Makes the table of new ids, to which other tables refer, and that of equal rows."""
        self._run(f"CREATE TABLE stage.m{self._number} (old INTEGER PRIMARY KEY, new INT)")
        self._run(f"CREATE TABLE stage.w{self._number} (old INTEGER PRIMARY KEY, new INT)")

    def find_changes(self) -> None:
        """Finds which rows theirs added, changed and removed."""
        keys = self._keys()
        self._run(f"CREATE TABLE stage.c{self._number} (kind, {', '.join(keys)})")
        first = self._key("b")[0]
        self._run(
            f"INSERT INTO stage.c{self._number} "
            f"SELECT CASE WHEN {first} IS NULL THEN 'I' ELSE 'U' END, {self._listed('t')} "
            f"FROM {self._from('theirs', 't')} LEFT JOIN {self._from('base', 'b')} "
            f"ON {self._same_key('b', 't')} WHERE {first} IS NULL OR NOT ({self._same('t', 'b')})"
        )
        self._run(
            f"INSERT INTO stage.c{self._number} SELECT 'D', {self._listed('b')} "
            f"FROM {self._from('base', 'b')} LEFT JOIN {self._from('theirs', 't')} "
            f"ON {self._same_key('t', 'b')} WHERE {self._key('t')[0]} IS NULL"
        )
        columns = [f"v{at}" for at in range(len(self._theirs.columns))]
        self._run(f"CREATE TABLE stage.i{self._number} ({', '.join([*keys, *columns])})")
        self.fill_added()

    def fill_added(self) -> None:
        """Takes the rows that theirs added, with the new ids of what they refer to."""
        values = [self._value(name) for name in self._theirs.columns]
        self._run(f"DELETE FROM stage.i{self._number}")
        self._run(
            f"INSERT INTO stage.i{self._number} "
            f"SELECT {', '.join([*self._added_key(), *values])} "
            f"FROM stage.c{self._number} AS c JOIN {self._from('theirs', 't')} "
            f"ON {self._staged_key('t', 'c')} WHERE c.kind = 'I'"
        )

    def match(self) -> bool:
        """Finds rows that both sides added and a unique value shows to be one; True if there are.

        Their number says nothing then: the row of theirs gets that of ours, and is not added.
        """
        if not self.is_renumbered:
            return False
        found = 0
        key = quote(self.table.key[0])
        for columns in self._unique_columns():
            same = " AND ".join(
                f"o.{quote(name)} = i.v{self._theirs.columns.index(name)}" for name in columns
            )
            self._run(
                f"INSERT OR IGNORE INTO stage.w{self._number} SELECT i.k0, o.{key} "
                f"FROM stage.i{self._number} AS i JOIN {self._from('main', 'o')} ON {same} "
                f"WHERE o.{key} NOT IN (SELECT {key} FROM base.{quote(self.table.name)}) "
                f"AND i.k0 NOT IN (SELECT old FROM stage.m{self._number})"
            )
            self._run(
                f"INSERT INTO stage.m{self._number} SELECT old, new FROM stage.w{self._number} "
                f"WHERE old NOT IN (SELECT old FROM stage.m{self._number})"
            )
            found += int(str(self._one("SELECT changes()")[0]))
        return found > 0

    def _unique_columns(self) -> list[list[str]]:
        """Returns the columns of each unique index that is on nothing but columns."""
        listed = f"PRAGMA main.index_list({quote(self.table.name)})"
        found = []
        for _, name, unique, _, partial in self._database.execute(listed).fetchall():
            info = self._database.execute(f"PRAGMA main.index_info({quote(str(name))})").fetchall()
            columns = [str(row[2]) for row in info]
            if unique and not partial and all(one in self._theirs.columns for one in columns):
                found.append(columns)
        return found

    def renumber(self) -> bool:
        """Gives new ids to rows of theirs whose ids ours took for others; True if there are any."""
        if not self.is_renumbered:
            return False
        (alias,) = self.table.key
        own = [name for name in self._theirs.columns if name.lower() != alias.lower()]
        same = " AND ".join(self._same_added(name) for name in own) or "1"
        (count,) = self._one(
            f"SELECT count(*) FROM stage.i{self._number} AS i JOIN {self._from('main', 'o')} "
            f"ON {self._staged_key('o', 'i')} WHERE NOT ({same}) "
            f"AND i.k0 NOT IN (SELECT old FROM stage.m{self._number})"
        )
        if not count:
            return False
        self._run(
            f"INSERT INTO stage.m{self._number} SELECT i.k0, {self._top_id()} + "
            f"(SELECT count(*) FROM stage.m{self._number}) + row_number() OVER (ORDER BY i.k0) "
            f"FROM stage.i{self._number} AS i JOIN {self._from('main', 'o')} "
            f"ON {self._staged_key('o', 'i')} WHERE NOT ({same}) "
            f"AND i.k0 NOT IN (SELECT old FROM stage.m{self._number})"
        )
        return True

    def _top_id(self) -> int:
        """Returns the largest id that any version has used.

        Raises:
            ValueError: There are none left.
        """
        name, alias = quote(self.table.name), quote(self.table.key[0])
        tops = [
            self._one(f"SELECT coalesce(max({alias}), 0) FROM {schema}.{name}")[0]
            for schema in ("main", "base", "theirs")
        ]
        for schema in ("main", "base", "theirs"):
            has = self._one(
                f"SELECT count(*) FROM {schema}.sqlite_schema WHERE name = 'sqlite_sequence'"
            )[0]
            if has:
                tops += self._one(
                    f"SELECT coalesce(max(CAST(seq AS INT)), 0) FROM {schema}.sqlite_sequence "
                    "WHERE name = ? COLLATE NOCASE",
                    (self.table.name,),
                )
        top = max(int(str(one)) for one in tops)
        if top > (1 << 62):
            raise ValueError(f"{self.table.name} has no ids left")
        return top

    # Merging

    def merge(self) -> None:
        """Writes what theirs changed into ours; `conflicts` has what could not be decided."""
        if self.table.is_keyless and self._has_moved():
            message = "one side gave its rows other rowids (VACUUM), the other changed rows"
            self.conflicts.append(RowConflict(ConflictKind.RECORD, self.table.name, message))
            return
        self._merge_updates()
        self._merge_removals()
        self._merge_additions()

    def _has_moved(self) -> bool:
        """Whether rows lie elsewhere on one side, and the other changed or removed some."""
        name = self._keys()[0]
        changed = f"SELECT {name} FROM stage.c{self._number} WHERE kind <> 'I'"
        if not self._exists(changed):
            return False
        other = (
            f"FROM {self._from('base', 'b')} LEFT JOIN {self._from('main', 'o')} "
            f"ON {self._same_key('o', 'b')} WHERE {self._key('o')[0]} IS NULL "
            f"OR NOT ({self._same('o', 'b')})"
        )
        if not self._exists(f"SELECT 1 {other}"):
            return False
        return any(self._moved(schema) for schema in ("main", "theirs"))

    def _moved(self, schema: str) -> bool:
        """Whether a row of the base lies at another rowid, which its content tells."""
        columns = [one for one in self._common() if one in self._base]
        left, right = (
            f"SELECT {', '.join(f'{one}.{quote(name)}' for name in columns)} "
            f"FROM {self._from(there, one)} LEFT JOIN {self._from(here, other)} "
            f"ON {self._same_key(other, one)} WHERE {self._key(other)[0]} IS NULL "
            f"OR NOT ({self._same('s', 'b')})"
            for there, one, here, other in (("base", "b", schema, "s"), (schema, "s", "base", "b"))
        )
        return self._exists(f"{left} INTERSECT {right}")

    def _exists(self, query: str) -> bool:
        return bool(self._one(f"SELECT EXISTS ({query})")[0])

    def _merge_updates(self) -> None:
        name = f"stage.u{self._number}"
        columns = self.table.columns
        place = self.table.rowid
        values = [self._merged_value(column) for column in columns]
        extra = [f"o.{place}"] if place is not None else []
        names = [f"v{at}" for at in range(len(columns))] + (["r"] if extra else [])
        self._run(f"CREATE TABLE {name} ({', '.join([*self._keys(), *names])})")
        joined = (
            f"FROM stage.c{self._number} AS c JOIN {self._from('theirs', 't')} "
            f"ON {self._staged_key('t', 'c')} JOIN {self._from('base', 'b')} "
            f"ON {self._staged_key('b', 'c')} "
        )
        met = f"{joined} JOIN {self._from('main', 'o')} ON {self._staged_key('o', 'c')}"
        self._run(
            f"INSERT INTO {name} SELECT {self._listed('o')}, {', '.join([*values, *extra])} {met} "
            "WHERE c.kind = 'U'"
        )
        for column in self._common():
            self._tell_cells(column, met + " WHERE c.kind = 'U' AND " + self._clash(column))
        lost = (
            f"{joined} LEFT JOIN {self._from('main', 'o')} ON {self._staged_key('o', 'c')} "
            f"WHERE c.kind = 'U' AND {self._key('o')[0]} IS NULL"
        )
        told = self._tell_rows("ours removed this row, theirs changed it", "t", lost)
        if told and self._policy is Side.THEIRS:
            values = [self._value(one) for one in self._theirs.columns]
            listed = ", ".join([*self._listed_all("c"), *values])
            self._run(f"INSERT INTO stage.i{self._number} SELECT {listed} {lost}")
        self._delete(f"SELECT {', '.join(self._keys())} FROM {name}")
        own = [f"v{at}" for at in range(len(columns))]
        targets = [quote(one) for one in columns]
        if place is not None or self.table.is_keyless or self._is_full_text():
            targets.append(place or self.table.key[0])
            own.append("r" if place is not None else "k0")
        self._insert(targets, own, name)

    def _merge_removals(self) -> None:
        kept = (
            f"FROM stage.c{self._number} AS c JOIN {self._from('base', 'b')} "
            f"ON {self._staged_key('b', 'c')} JOIN {self._from('main', 'o')} "
            f"ON {self._staged_key('o', 'c')} WHERE c.kind = 'D' AND "
        )
        same = self._same("o", "b")
        changed = f"{kept} NOT ({same})"
        self._tell_rows("theirs removed this row, ours changed it", "o", changed)
        goes = kept + ("1" if self._policy is Side.THEIRS else f"({same})")
        keys = ", ".join(f"c.{one}" for one in self._keys())
        self._delete(f"SELECT {keys} {goes}")

    def _merge_additions(self) -> None:
        if self.is_renumbered:
            self._settle_matches()
        elif not self.table.is_keyless:
            self._settle_additions()
        stage = f"stage.i{self._number}"
        columns = self._theirs.columns
        same = " AND ".join(self._same_added(name) for name in columns) or "1"
        met = f"SELECT 1 FROM {self._from('main', 'o')} WHERE {self._staged_key('o', 'i')}"
        if self.is_renumbered:
            there = f"{met} AND i.k0 NOT IN (SELECT old FROM stage.m{self._number})"
        elif self.table.is_keyless:
            there = f"{met} AND {same}"
        else:
            there = met
        self._run(f"DELETE FROM {stage} AS i WHERE EXISTS ({there})")
        targets = [quote(one) for one in columns]
        own = [f"v{at}" for at in range(len(columns))]
        if self.is_renumbered:
            at = [name.lower() for name in columns].index(self.table.key[0].lower())
            own[at] = f"coalesce((SELECT new FROM stage.m{self._number} WHERE old = k0), v{at})"
        elif self.table.is_keyless:
            targets.append(self.table.key[0])
            own.append(f"CASE WHEN EXISTS ({met}) THEN NULL ELSE k0 END")
        elif self._is_full_text():
            targets.append("rowid")
            own.append("k0")
        self._insert(targets, own, f"{stage} AS i")

    def _settle_matches(self) -> None:
        """Tells of rows that a unique value shows to be one, each with other cells."""
        (key,) = self.table.key
        joined = (
            f"FROM stage.i{self._number} AS i JOIN stage.w{self._number} AS w ON w.old = i.k0 "
            f"JOIN {self._from('main', 'o')} ON o.{quote(key)} = w.new WHERE "
        )
        for at, name in enumerate(self._theirs.columns):
            if name.lower() == key.lower():
                continue
            told = self._tell_cells(name, joined + f"NOT ({self._same_added(name)})", added=True)
            if told and self._policy is Side.THEIRS:
                self._run(
                    f"UPDATE main.{quote(self.table.name)} AS o SET {quote(name)} = i.v{at} "
                    f"FROM stage.i{self._number} AS i, stage.w{self._number} AS w "
                    f"WHERE w.old = i.k0 AND o.{quote(key)} = w.new",
                    counted=True,
                )
        self._run(
            f"DELETE FROM stage.i{self._number} WHERE k0 IN (SELECT old FROM stage.w{self._number})"
        )

    def _settle_additions(self) -> None:
        """Tells of rows that both added under one key, each with other cells."""
        joined = (
            f"FROM stage.i{self._number} AS i JOIN {self._from('main', 'o')} "
            f"ON {self._staged_key('o', 'i')} WHERE "
        )
        clash = False
        for name in self._theirs.columns:
            if name not in self.table.key:
                query = joined + f"NOT ({self._same_added(name)})"
                clash |= self._tell_cells(name, query, added=True)
        if clash and self._policy is Side.THEIRS:
            keys = [f"i.{one}" for one in self._keys()]
            self._delete(f"SELECT {', '.join(keys)} {joined} 1")

    def _is_full_text(self) -> bool:
        return self.table.is_virtual and self.table.key == ("rowid",)

    # Writing

    def _delete(self, keys: str) -> None:
        key = self._listed("o")
        self._run(f"DELETE FROM {self._from('main', 'o')} WHERE ({key}) IN ({keys})", counted=True)

    def _insert(self, targets: Sequence[str], values: Sequence[str], source: str) -> None:
        head = f"INSERT INTO main.{quote(self.table.name)} ({', '.join(targets)}) "
        query = f"SELECT {', '.join(values)} FROM {source}"
        try:
            with self._database:
                self._run(head + query, counted=True)
        except apsw.ConstraintError:
            self._insert_singly(head, query, source)

    def _insert_singly(self, head: str, query: str, source: str) -> None:
        """Finds out which rows break a rule."""
        rows = self._database.execute(f"SELECT rowid FROM {source}").fetchall()
        for (rowid,) in rows:
            try:
                with self._database:
                    self._run(f"{head}{query} WHERE rowid = {rowid}", counted=True)
            except apsw.ConstraintError as err:
                keys = ", ".join(self._shown(f"{one}") for one in self._keys())
                key = self._one(f"SELECT {keys} FROM {source} WHERE rowid = {rowid}")
                self.conflicts.append(
                    RowConflict(ConflictKind.CONSTRAINT, self._where(key), str(err))
                )

    # Telling

    def _tell_cells(self, column: str, query: str, *, added: bool = False) -> bool:
        name = quote(column)
        at = [one.lower() for one in self._theirs.columns].index(column.lower())
        shown = [
            "NULL" if added else self._shown(self._base_value("b", column)),
            self._shown(f"o.{name}"),
            self._shown(f"i.v{at}" if added else self._value(column)),
        ]
        keys = [self._shown(one) for one in self._key("o")]
        found = self._database.execute(f"SELECT {', '.join([*keys, *shown])} {query}").fetchall()
        for row in found:
            base, ours, theirs = (_text(value) for value in row[-3:])
            self.conflicts.append(
                RowConflict(
                    ConflictKind.CELL,
                    f"{self._where(row[:-3])}.{column}",
                    "both sides set this cell, each in its own way",
                    (None if added else base, ours, theirs),
                    self._policy,
                )
            )
        return bool(found)

    def _tell_rows(self, message: str, alias: str, query: str) -> bool:
        keys = ", ".join(self._shown(one) for one in self._key(alias))
        found = self._database.execute(f"SELECT {keys} {query}").fetchall()
        for row in found:
            self.conflicts.append(
                RowConflict(ConflictKind.RECORD, self._where(row), message, settled=self._policy)
            )
        return bool(found)

    def _where(self, key: Sequence[object]) -> str:
        return f"{self.table.name}[{', '.join(str(_text(one)) for one in key)}]"

    def _shown(self, value: str) -> str:
        cut = f"substr({value}, 1, {_MAX_SHOWN})"
        more = f"iif(length({value}) > {_MAX_SHOWN}, '...', '')"
        return (
            f"CASE typeof({value}) WHEN 'null' THEN 'NULL' "
            f"WHEN 'blob' THEN 'x''' || hex({cut}) || '''' || {more} "
            f"ELSE CAST({cut} || {more} AS BLOB) END"
        )

    # Pieces of SQL

    def _run(self, sql: str, *, counted: bool = False) -> None:
        before = self._database.total_changes()
        self._database.execute(sql).fetchall()
        if counted:
            self.changed += self._database.total_changes() - before

    def _one(self, sql: str, values: tuple[str, ...] = ()) -> tuple[object, ...]:
        return self._database.execute(sql, values).fetchall()[0]

    def _from(self, schema: str, alias: str) -> str:
        return f"{schema}.{quote(self.table.name)} AS {alias}"

    def _keys(self) -> list[str]:
        return [f"k{at}" for at in range(len(self.table.key))]

    def _key(self, alias: str) -> list[str]:
        return [f"{alias}.{quote(name)}" for name in self.table.key]

    def _listed(self, alias: str) -> str:
        return ", ".join(self._key(alias))

    def _listed_all(self, alias: str) -> list[str]:
        return [f"{alias}.{one}" for one in self._keys()]

    def _same_key(self, one: str, other: str) -> str:
        pairs = zip(self._key(one), self._key(other), strict=True)
        return " AND ".join(f"{left} = {right}" for left, right in pairs)

    def _staged_key(self, alias: str, stage: str) -> str:
        pairs = zip(self._key(alias), self._keys(), strict=True)
        return " AND ".join(f"{left} = {stage}.{right}" for left, right in pairs)

    def _added_key(self) -> list[str]:
        """Returns the key of an added row; what it refers to may have a new id."""
        return [
            self._value(name) if name in self._theirs.columns else f"t.{quote(name)}"
            for name in self.table.key
        ]

    def _common(self) -> list[str]:
        mine = {name.lower() for name in self.table.columns}
        return [name for name in self._theirs.columns if name.lower() in mine]

    def _base_value(self, alias: str, column: str) -> str:
        if alias == "b" and column not in self._base:
            return f"({self._theirs.defaults[column]})"
        return f"{alias}.{quote(column)}"

    def _value(self, column: str) -> str:
        """Returns a value of theirs, with the new id of what it refers to."""
        value = f"t.{quote(column)}"
        number = self._mapped.get(column.lower())
        if number is None:
            return value
        return f"coalesce((SELECT new FROM stage.m{number} WHERE old = {value}), {value})"

    def _same(self, one: str, other: str) -> str:
        return " AND ".join(self._same_cell(one, other, name) for name in self._common()) or "1"

    def _same_cell(self, one: str, other: str, column: str) -> str:
        left, right = self._base_value(one, column), self._base_value(other, column)
        return self._equal(left, right, column)

    def _same_added(self, column: str) -> str:
        at = self._theirs.columns.index(column)
        return self._equal(f"o.{quote(column)}", f"i.v{at}", column)

    def _equal(self, left: str, right: str, column: str) -> str:
        equal = f"{left} IS {right} COLLATE BINARY"
        if column in self._theirs.untyped:
            equal = f"({equal} AND typeof({left}) = typeof({right}))"
        return equal

    def _clash(self, column: str) -> str:
        changed = f"NOT ({self._same_cell('t', 'b', column)})"
        mine = f"NOT ({self._same_cell('o', 'b', column)})"
        other = self._equal(f"o.{quote(column)}", self._value(column), column)
        return f"{changed} AND {mine} AND NOT ({other})"

    def _merged_value(self, column: str) -> str:
        ours = f"o.{quote(column)}"
        if column.lower() not in {name.lower() for name in self._theirs.columns}:
            return ours
        keeps = self._same_cell("t", "b", column)
        if self._policy is not Side.THEIRS:
            keeps = f"({keeps}) OR NOT ({self._same_cell('o', 'b', column)})"
        return f"CASE WHEN {keeps} THEN {ours} ELSE {self._value(column)} END"


def _text(value: object) -> str | None:
    if value is None:
        return None
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
