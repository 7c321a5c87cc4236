"""Finds what theirs did to the rows of one table.

Owns: which rows count as added, changed and removed.
Layer: merge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.merge.sqlite.sqltext import quote

if TYPE_CHECKING:
    from mlbfs.merge.sqlite.tablesql import TableSql


class Finding:
    """Compares the versions of a table; what is found lies in the stage.

    The table `c` has the kind and the key of each row that theirs added (I), changed (U) or removed
    (D), the table `i` those that it added, whole.
    """

    def __init__(self, sql: TableSql) -> None:
        self._sql = sql

    def find_changes(self) -> None:
        """Finds which rows theirs added, changed and removed."""
        sql = self._sql
        keys = sql.staged()
        sql.run(f"CREATE TABLE stage.c{sql.number} (kind, {', '.join(keys)})")
        first = sql.key("b")[0]
        sql.run(
            f"INSERT INTO stage.c{sql.number} "
            f"SELECT CASE WHEN {first} IS NULL THEN 'I' ELSE 'U' END, {sql.listed('t')} "
            f"FROM {sql.scanned('theirs', 't')} LEFT JOIN {sql.source('base', 'b')} "
            f"ON {sql.same_key('b', 't')} WHERE {first} IS NULL OR NOT ({sql.same('t', 'b')})"
        )
        sql.run(
            f"INSERT INTO stage.c{sql.number} SELECT 'D', {sql.listed('b')} "
            f"FROM {sql.scanned('base', 'b')} LEFT JOIN {sql.source('theirs', 't')} "
            f"ON {sql.same_key('t', 'b')} WHERE {sql.key('t')[0]} IS NULL"
        )
        columns = [f"v{at}" for at in range(len(sql.theirs.columns))]
        sql.run(f"CREATE TABLE stage.i{sql.number} ({', '.join([*keys, *columns])})")
        self.fill_added()

    def fill_added(self) -> None:
        """Takes the rows that theirs added, with the new ids of what they refer to."""
        sql = self._sql
        values = [sql.value(name) for name in sql.theirs.columns]
        sql.run(f"DELETE FROM stage.i{sql.number}")
        sql.run(
            f"INSERT INTO stage.i{sql.number} "
            f"SELECT {', '.join([*sql.added_key(), *values])} "
            f"FROM stage.c{sql.number} AS c JOIN {sql.source('theirs', 't')} "
            f"ON {sql.staged_key('t', 'c')} WHERE c.kind = 'I'"
        )

    def has_moved(self) -> bool:
        """Whether rows lie elsewhere on one side, and the other changed or removed some."""
        sql = self._sql
        name = sql.staged()[0]
        changed = f"SELECT {name} FROM stage.c{sql.number} WHERE kind <> 'I'"
        if not sql.exists(changed):
            return False
        other = (
            f"FROM {sql.scanned('base', 'b')} LEFT JOIN {sql.source('main', 'o')} "
            f"ON {sql.same_key('o', 'b')} WHERE {sql.key('o')[0]} IS NULL "
            f"OR NOT ({sql.same('o', 'b')})"
        )
        if not sql.exists(f"SELECT 1 {other}"):
            return False
        return any(self._moved(schema) for schema in ("main", "theirs"))

    def _moved(self, schema: str) -> bool:
        """Whether a row of the base lies at another rowid, which its content tells."""
        sql = self._sql
        columns = [one for one in sql.common() if one in sql.base]
        left, right = (
            f"SELECT {', '.join(f'{one}.{quote(name)}' for name in columns)} "
            f"FROM {sql.scanned(there, one)} LEFT JOIN {sql.source(here, other)} "
            f"ON {sql.same_key(other, one)} WHERE {sql.key(other)[0]} IS NULL "
            f"OR NOT ({sql.same('s', 'b')})"
            for there, one, here, other in (("base", "b", schema, "s"), (schema, "s", "base", "b"))
        )
        return sql.exists(f"{left} INTERSECT {right}")
