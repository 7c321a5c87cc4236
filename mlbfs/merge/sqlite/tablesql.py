"""Pieces of SQL about one table in three versions.

Owns: what columns, keys and rows are called in the statements of a merge, and when two values are
one.
Layer: merge.

A row is `o` in ours, `b` in the base, `t` in theirs; in the stage, `c` is the key of a changed row
and `i` an added row. The key of a row is k0, k1, ... there, its values are v0, v1, ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.merge.sqlite.sqltext import quote
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import apsw

    from mlbfs.merge.sqlite.schema import Table


class TableSql:
    """Says in SQL what is asked of a table, and runs it.

    Attributes:
        database: Ours as `main`, with `base`, `theirs` and `stage`.
        number: A number of its own, for its tables in the stage.
        table: The table as ours has it, with the columns that theirs added.
        theirs: The table as theirs has it.
        policy: The side that conflicts are settled with.
        changed: How many rows of ours were written.
    """

    def __init__(
        self,
        database: apsw.Connection,
        number: int,
        ours: Table,
        theirs: Table,
        base_columns: Iterable[str],
        maps: Mapping[str, tuple[int, str]],
        policy: Side | None,
    ) -> None:
        self.database = database
        self.number = number
        self.table = ours
        self.theirs = theirs
        self.policy = policy
        self.changed = 0
        self.base = frozenset(base_columns)
        self._mapped = {
            column: maps[table][0]
            for column, table, target in theirs.references
            if table in maps and (target is None or target == maps[table][1])
        }

    @property
    def is_renumbered(self) -> bool:
        """Whether rows of theirs may get new ids: they are nothing but numbers, then."""
        alias = self.theirs.alias
        referring = {one[0] for one in self.theirs.references}
        return alias is not None and alias.lower() not in referring

    def run(self, sql: str, *, counted: bool = False) -> None:
        """Runs a statement; `counted` ones add the rows that they write to `changed`."""
        before = self.database.total_changes()
        self.database.execute(sql).fetchall()
        if counted:
            self.changed += self.database.total_changes() - before

    def one(self, sql: str, values: tuple[str, ...] = ()) -> tuple[object, ...]:
        """Returns the first row of a query."""
        return self.database.execute(sql, values).fetchall()[0]

    def source(self, schema: str, alias: str) -> str:
        """Returns the table of a schema, as it stands behind FROM."""
        return f"{schema}.{quote(self.table.name)} AS {alias}"

    def scanned(self, schema: str, alias: str) -> str:
        """Returns the same for a table of which all rows are looked up in another, by their key.

        They have to come in the order of the key, or each look-up reads another page; a small index
        that has the key in it, too, would seem cheaper.
        """
        lies_by_key = self.table.rowid is None and not self.table.is_virtual
        return self.source(schema, alias) + " NOT INDEXED" * lies_by_key

    def staged(self) -> list[str]:
        """Returns what the columns of the key are called in the stage."""
        return [f"k{at}" for at in range(len(self.table.key))]

    def key(self, alias: str) -> list[str]:
        """Returns the columns of the key."""
        return [f"{alias}.{quote(name)}" for name in self.table.key]

    def listed(self, alias: str) -> str:
        """Returns the columns of the key, with commas between."""
        return ", ".join(self.key(alias))

    def listed_all(self, alias: str) -> list[str]:
        """Returns the columns of the key in the stage."""
        return [f"{alias}.{one}" for one in self.staged()]

    def same_key(self, one: str, other: str) -> str:
        """Returns when two rows of the table have one key."""
        pairs = zip(self.key(one), self.key(other), strict=True)
        return " AND ".join(f"{left} = {right}" for left, right in pairs)

    def staged_key(self, alias: str, stage: str) -> str:
        """Returns when a row of the table and one of the stage have one key."""
        pairs = zip(self.key(alias), self.staged(), strict=True)
        return " AND ".join(f"{left} = {stage}.{right}" for left, right in pairs)

    def added_key(self) -> list[str]:
        """Returns the key of an added row; what it refers to may have a new id."""
        return [
            self.value(name) if name in self.theirs.columns else f"t.{quote(name)}"
            for name in self.table.key
        ]

    def common(self) -> list[str]:
        """Returns the columns that ours and theirs have."""
        mine = {name.lower() for name in self.table.columns}
        return [name for name in self.theirs.columns if name.lower() in mine]

    def base_value(self, alias: str, column: str) -> str:
        """Returns a value; of a column that the base lacks, what it would hold there."""
        if alias == "b" and column not in self.base:
            return f"({self.theirs.defaults[column]})"
        return f"{alias}.{quote(column)}"

    def value(self, column: str) -> str:
        """Returns a value of theirs, with the new id of what it refers to."""
        value = f"t.{quote(column)}"
        number = self._mapped.get(column.lower())
        if number is None:
            return value
        return f"coalesce((SELECT new FROM stage.m{number} WHERE old = {value}), {value})"

    def same(self, one: str, other: str) -> str:
        """Returns when two rows have the same in all columns of both sides."""
        return " AND ".join(self.same_cell(one, other, name) for name in self.common()) or "1"

    def same_cell(self, one: str, other: str, column: str) -> str:
        """Returns when two rows have the same in a column."""
        left, right = self.base_value(one, column), self.base_value(other, column)
        return self.equal(left, right, column)

    def same_added(self, column: str) -> str:
        """Returns when a row of ours has in a column what an added one has."""
        at = self.theirs.columns.index(column)
        return self.equal(f"o.{quote(column)}", f"i.v{at}", column)

    def equal(self, left: str, right: str, column: str) -> str:
        """Returns when two values of a column are one, byte by byte."""
        equal = f"{left} IS {right} COLLATE BINARY"
        if column in self.theirs.untyped:
            equal = f"({equal} AND typeof({left}) = typeof({right}))"
        return equal

    def clash(self, column: str) -> str:
        """Returns when both sides set a cell, each in its own way."""
        changed = f"NOT ({self.same_cell('t', 'b', column)})"
        mine = f"NOT ({self.same_cell('o', 'b', column)})"
        other = self.equal(f"o.{quote(column)}", self.value(column), column)
        return f"{changed} AND {mine} AND NOT ({other})"

    def merged_value(self, column: str) -> str:
        """Returns what becomes of a cell of a row that theirs changed."""
        ours = f"o.{quote(column)}"
        if column.lower() not in {name.lower() for name in self.theirs.columns}:
            return ours
        keeps = self.same_cell("t", "b", column)
        if self.policy is not Side.THEIRS:
            keeps = f"({keeps}) OR NOT ({self.same_cell('o', 'b', column)})"
        return f"CASE WHEN {keeps} THEN {ours} ELSE {self.value(column)} END"

    def exists(self, query: str) -> bool:
        """Whether a query has a row."""
        return bool(self.one(f"SELECT EXISTS ({query})")[0])
