"""Merges a database: schema, then rows, then what hangs on them, then the checks.

Owns: that order.
Layer: merge.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Self

import apsw

from mlbfs.merge.conflicts import Conflict, ConflictKind
from mlbfs.merge.sqlite.composing import compose, find_compositions
from mlbfs.merge.sqlite.migrating import find_migrations, migrate
from mlbfs.merge.sqlite.opening import open_database
from mlbfs.merge.sqlite.references import add_references
from mlbfs.merge.sqlite.renaming import find_renamings, rename, rename_references
from mlbfs.merge.sqlite.rows import TableMerge
from mlbfs.merge.sqlite.schema import RefusedDatabaseError, Table, read_objects, read_table
from mlbfs.merge.sqlite.schemamerge import SchemaConflict, SchemaMerge
from mlbfs.merge.sqlite.sqltext import quote
from mlbfs.merge.sqlite.tablesql import TableSql
from mlbfs.merge.sqlite.telling import RowConflict
from mlbfs.merge.sqlite.usable import find_unusable
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from mlbfs.merge.sqlite.references import Reference
    from mlbfs.merge.sqlite.schemamerge import Objects

_MAX_PROBLEMS = 100


class DatabaseMerge:
    """Merges theirs into the file of ours; a context manager that closes it.

    Args:
        paths: Copies of the versions, which are changed.
        stage: Where what is found out is kept meanwhile.
        policy: The side that conflicts are settled with.
        references: What refers to ids without a foreign key.
    """

    def __init__(
        self,
        paths: Mapping[Side, Path],
        stage: Path,
        policy: Side | None,
        references: Sequence[Reference] = (),
    ) -> None:
        self._paths = paths
        self._policy = policy
        self._references = references
        self._objects: dict[Side, Objects] = {}
        self._unusable_before: set[str] = set()
        self._unmigrated: list[SchemaConflict] = []
        self._is_migrated = False
        self.note = ""
        self._prepare()
        self._database = open_database(paths[Side.OURS])
        for name, path in (
            ("base", paths[Side.BASE]),
            ("theirs", paths[Side.THEIRS]),
            ("stage", stage),
        ):
            self._database.execute(f"ATTACH ? AS {name}", (str(path),)).fetchall()
        self._database.execute("PRAGMA stage.journal_mode = OFF").fetchall()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()

    def run(self, path: bytes) -> tuple[list[Conflict], bool]:
        """Merges; returns the conflicts, and whether anything of ours became other."""
        with self._database:
            found, changed = self._merge()
        if changed and all(one.settled is not None for one in found):
            found = [*found, *self._check()]
        return [_conflict(path, one) for one in found], changed

    def _prepare(self) -> None:
        """Reads the schemas, and gives the base what only the sides have, empty."""
        for side in Side:
            if side is Side.BASE and not self._paths[side].stat().st_size:
                _take_encoding(self._paths[side], self._paths[Side.OURS])
            self._objects[side] = self._read_objects(side)
        self._rename()
        self._migrate()
        base, theirs = self._objects[Side.BASE], self._objects[Side.THEIRS]
        database = open_database(self._paths[Side.BASE])
        try:
            for key, one in theirs.items():
                if key[0] == "table" and key not in base and not one.is_external:
                    database.execute(one.sql).fetchall()
        finally:
            database.close()

    def _rename(self) -> None:
        """Gives tables the name that one side gave them in all versions."""
        found, told = find_renamings(self._paths, self._objects)
        done = [one for one in found if rename(self._paths, one)]
        for side in {side for one in done for side in one.behind}:
            self._objects[side] = self._read_objects(side)
            self._is_migrated |= side is Side.OURS
        self._references = rename_references(self._references, done)
        for old, mine, other in told:
            texts = (old.sql, mine.sql, other.sql)
            message = "each side gave it another name"
            self._unmigrated.append(SchemaConflict(f"table {old.name.lower()}", message, texts))

    def _read_objects(self, side: Side) -> Objects:
        database = open_database(self._paths[side])
        try:
            return read_objects(database)
        finally:
            database.close()

    def _migrate(self) -> None:
        """Gives all versions of a table the definition that one side gave it."""
        base = self._objects[Side.BASE]
        for one in find_migrations(self._objects):
            why = migrate(self._paths, one)
            if why is not None and one.other is None:
                continue
            if why is not None:
                texts = [self._objects[side][one.key].sql for side in Side]
                self._unmigrated.append(
                    SchemaConflict(" ".join(one.key), why, (texts[0], texts[1], texts[2]))
                )
                continue
            self._is_migrated |= one.other is Side.OURS
            for side in one.behind:
                self._read_again(side, base)

        self._compose()

    def _compose(self) -> None:
        """Gives all versions of a table what both sides made of it."""
        for one in find_compositions(self._objects):
            why = compose(self._paths, one)
            base = self._objects[Side.BASE]
            if why is None:
                self._is_migrated = True
                for side in Side:
                    self._read_again(side, base)
                continue
            base_text, ours, theirs = (version.sql for version in one.versions.values())
            where = " ".join(one.key)
            self._unmigrated.append(SchemaConflict(where, why, (base_text, ours, theirs)))
            for side in Side:
                self._objects[side] = self._read_objects(side)

    def _read_again(self, side: Side, base: Objects) -> None:
        """Takes the schema of a migrated version, and tells what of its own that has lost."""
        before = self._objects[side]
        self._objects[side] = self._read_objects(side)
        for key in before.keys() - self._objects[side].keys() - base.keys():
            message = "the other side dropped a column that it needs"
            ours, theirs = (before[key].sql if side is one else None for one in list(Side)[1:])
            self._unmigrated.append(SchemaConflict(" ".join(key), message, (None, ours, theirs)))

    def _merge(self) -> tuple[list[RowConflict], bool]:
        base, ours, theirs = (self._objects[side] for side in Side)
        for name in ("base", "main", "theirs"):
            self._unusable_before |= find_unusable(self._database, name).keys()
        schema = SchemaMerge(self._database, self._has_changed)
        late = schema.merge(base, ours, theirs)
        told = {one.where for one in self._unmigrated}
        schema.conflicts = [one for one in schema.conflicts if one.where not in told]
        schema.conflicts += self._unmigrated
        broken = {one.where.partition(" ")[2] for one in schema.conflicts}
        tables = self._tables(broken)
        self._find(tables)
        for table in tables:
            table.merge()
        for one in late:
            schema.make(one)
        self._merge_sequences()
        changed = schema.changed or self._is_migrated or any(table.changed for table in tables)
        changed |= self._merge_numbers(schema)
        for one in read_objects(self._database).values() if changed else ():
            if one.is_external:
                schema.rebuild(one)
        conflicts = [
            RowConflict(ConflictKind.SCHEMA, one.where, one.message, one.texts)
            for one in schema.conflicts
        ]
        for table in tables:
            conflicts += table.conflicts
        return conflicts, changed

    def _read(self, schema: str, side: Side, name: str) -> Table:
        return read_table(self._database, schema, self._objects[side]["table", name])

    def _read_base(self, name: str) -> Table:
        objects = self._objects[Side.BASE]
        found = objects.get(("table", name), self._objects[Side.THEIRS]["table", name])
        return read_table(self._database, "base", found)

    def _tables(self, broken: set[str]) -> list[TableMerge]:
        """Returns the tables of theirs that ours has too, by now."""
        there = read_objects(self._database)
        names = [
            name
            for (kind, name), one in self._objects[Side.THEIRS].items()
            if kind == "table" and not one.is_external
        ]
        names = [name for name in names if ("table", name) in there and name not in broken]
        theirs = add_references(
            {name: self._read("theirs", Side.THEIRS, name) for name in names}, self._references
        )
        maps = {
            name: (number, table.alias.lower())
            for number, (name, table) in enumerate(theirs.items())
            if table.alias is not None
        }
        found = []
        for number, name in enumerate(names):
            ours = read_table(self._database, "main", there["table", name])
            for other in (theirs[name], self._read_base(name)):
                if other.is_keyless:  # a primary key of one version holds NULL
                    ours = replace(ours, key=other.key, rowid=None)
                elif not ours.is_keyless and _lower(ours.key) != _lower(other.key):
                    raise RefusedDatabaseError(f"the sides tell rows of {name!r} apart differently")
            before = self._database.execute(f"PRAGMA base.table_xinfo({quote(ours.name)})")
            columns = [str(row[1]) for row in before.fetchall()]
            found.append(
                TableMerge(
                    TableSql(
                        self._database, number, ours, theirs[name], columns, maps, self._policy
                    )
                )
            )
        return found

    def _find(self, tables: list[TableMerge]) -> None:
        """Finds what theirs changed, and new ids until no row of theirs needs one any more."""
        for table in tables:
            table.make_map()
        for table in tables:
            table.find()
        # All tables in every round; equal rows first, for they need no new id.
        while sum(table.match() for table in tables) or sum(table.renumber() for table in tables):
            for table in tables:
                table.fill_added()
        given = 0
        for number in range(len(tables)):
            query = f"SELECT count(*) FROM stage.m{number} "
            query += f"WHERE old NOT IN (SELECT old FROM stage.w{number})"
            given += int(str(self._database.execute(query).fetchall()[0][0]))
        rows = "row" if given == 1 else "rows"
        self.note = f"{given} {rows} of theirs got new ids" if given else ""

    def _has_changed(self, schema: str, name: str) -> bool:
        """Whether a side changed rows of a table that the other dropped."""
        table = read_table(self._database, schema, self._objects[Side.BASE]["table", name.lower()])
        listed = ", ".join(f"{quote(one)} COLLATE BINARY" for one in table.columns)
        one, other = (f"SELECT {listed} FROM {db}.{quote(name)}" for db in (schema, "base"))
        for left, right in ((one, other), (other, one)):
            query = f"SELECT EXISTS ({left} EXCEPT {right})"
            if self._database.execute(query).fetchall()[0][0]:
                return True
        counts = [
            self._database.execute(f"SELECT count(*) FROM {db}.{quote(name)}").fetchall()
            for db in (schema, "base")
        ]
        return counts[0] != counts[1]

    def _merge_sequences(self) -> None:
        """Lets no id be given again that theirs has given."""
        for schema in ("main", "theirs"):
            query = f"SELECT 1 FROM {schema}.sqlite_schema WHERE name = 'sqlite_sequence'"
            if not self._database.execute(query).fetchall():
                return
        self._database.execute(
            "UPDATE main.sqlite_sequence AS o SET seq = t.seq "
            "FROM theirs.sqlite_sequence AS t WHERE t.name = o.name AND t.seq > o.seq"
        ).fetchall()

    def _merge_numbers(self, schema: SchemaMerge) -> bool:
        """Merges the two numbers that programs keep in the header."""
        changed = False
        for pragma in ("user_version", "application_id"):
            before, mine, other = (
                self._database.execute(f"PRAGMA {name}.{pragma}").fetchall()[0][0]
                for name in ("base", "main", "theirs")
            )
            if other in (mine, before):
                continue
            if mine == before:
                self._database.execute(f"PRAGMA main.{pragma} = {int(str(other))}").fetchall()
                changed = True
            else:
                schema.tell_number(pragma, str(before), str(mine), str(other))
        return changed

    # Checks

    def _check(self) -> list[RowConflict]:
        """Returns what is wrong with the result and was right on both sides."""
        found = self._violations("main")
        if found:
            found -= self._violations("theirs") | self._violations("base")
        problems = self._database.execute(f"PRAGMA main.integrity_check({_MAX_PROBLEMS})")
        found |= {str(row[0]) for row in problems.fetchall()} - {"ok"}
        found |= self._unusable()
        return [RowConflict(ConflictKind.CONSTRAINT, "", one) for one in sorted(found)]

    def _violations(self, schema: str) -> set[str]:
        rows = self._database.execute(f"PRAGMA {schema}.foreign_key_check").fetchall()
        return {
            f"row {row[1]} of {row[0]} refers to a row of {row[2]} that is not there"
            for row in rows
        }

    def _unusable(self) -> set[str]:
        """Returns what fits the merged tables no more, and did fit those that it came with."""
        return {
            f"{name} is not possible any more: {why}"
            for name, why in find_unusable(self._database, "main").items()
            if name not in self._unusable_before
        }


def _lower(names: Sequence[str]) -> list[str]:
    return [name.lower() for name in names]


def _take_encoding(path: Path, other: Path) -> None:
    """Gives an empty database the encoding of another: only equal ones are read together."""
    one = open_database(other)
    encoding = one.execute("PRAGMA encoding").fetchall()[0][0]
    one.close()
    database = apsw.Connection(str(path))  # it takes an encoding before anything else only
    database.execute(f"PRAGMA encoding = '{encoding}'").fetchall()
    database.execute("CREATE TABLE first (x); DROP TABLE first").fetchall()  # and keeps it then
    database.close()


def _conflict(path: bytes, found: RowConflict) -> Conflict:
    base, ours, theirs = found.texts
    return Conflict(
        path,
        found.kind,
        found.message,
        where=found.where,
        base=base,
        ours=ours,
        theirs=theirs,
        settled=found.settled,
    )
