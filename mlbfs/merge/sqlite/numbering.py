"""Gives ids anew to rows of theirs whose ids ours gave to others.

Owns: which rows of both sides are one, which get another id, and which id that is.
Layer: merge.

The table `m` of the stage has the old and the new id of each row of theirs that gets one, by which
what refers to it follows; the table `w` has those of them that are rows of ours already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.merge.sqlite.sqltext import quote

if TYPE_CHECKING:
    from mlbfs.merge.sqlite.tablesql import TableSql


class Numbering:
    """Numbers the rows that theirs added to one table."""

    def __init__(self, sql: TableSql) -> None:
        self._sql = sql

    def make_map(self) -> None:
        """Makes the table of new ids, to which other tables refer, and that of equal rows."""
        sql = self._sql
        sql.run(f"CREATE TABLE stage.m{sql.number} (old INTEGER PRIMARY KEY, new INT)")
        sql.run(f"CREATE TABLE stage.w{sql.number} (old INTEGER PRIMARY KEY, new INT)")

    def match(self) -> bool:
        """Finds rows that both sides added and a unique value shows to be one; True if there are.

        Their number says nothing then: the row of theirs gets that of ours, and is not added.
        """
        sql = self._sql
        if not sql.is_renumbered:
            return False
        found = 0
        key = quote(sql.table.key[0])
        for columns in self._unique_columns():
            same = " AND ".join(
                f"o.{quote(name)} = i.v{sql.theirs.columns.index(name)}" for name in columns
            )
            sql.run(
                f"INSERT OR IGNORE INTO stage.w{sql.number} SELECT i.k0, o.{key} "
                f"FROM stage.i{sql.number} AS i JOIN {sql.source('main', 'o')} ON {same} "
                f"WHERE o.{key} NOT IN (SELECT {key} FROM base.{quote(sql.table.name)}) "
                f"AND i.k0 NOT IN (SELECT old FROM stage.m{sql.number})"
            )
            sql.run(
                f"INSERT INTO stage.m{sql.number} SELECT old, new FROM stage.w{sql.number} "
                f"WHERE old NOT IN (SELECT old FROM stage.m{sql.number})"
            )
            found += int(str(sql.one("SELECT changes()")[0]))
        return found > 0

    def _unique_columns(self) -> list[list[str]]:
        """Returns the columns of each unique index that is on nothing but columns."""
        sql = self._sql
        listed = f"PRAGMA main.index_list({quote(sql.table.name)})"
        found = []
        for _, name, unique, _, partial in sql.database.execute(listed).fetchall():
            info = sql.database.execute(f"PRAGMA main.index_info({quote(str(name))})").fetchall()
            columns = [str(row[2]) for row in info]
            if unique and not partial and all(one in sql.theirs.columns for one in columns):
                found.append(columns)
        return found

    def renumber(self) -> bool:
        """Gives new ids to rows of theirs whose ids ours took for others; True if there are any."""
        sql = self._sql
        if not sql.is_renumbered:
            return False
        (alias,) = sql.table.key
        own = [name for name in sql.theirs.columns if name.lower() != alias.lower()]
        same = " AND ".join(sql.same_added(name) for name in own) or "1"
        (count,) = sql.one(
            f"SELECT count(*) FROM stage.i{sql.number} AS i JOIN {sql.source('main', 'o')} "
            f"ON {sql.staged_key('o', 'i')} WHERE NOT ({same}) "
            f"AND i.k0 NOT IN (SELECT old FROM stage.m{sql.number})"
        )
        if not count:
            return False
        sql.run(
            f"INSERT INTO stage.m{sql.number} SELECT i.k0, {self._top_id()} + "
            f"(SELECT count(*) FROM stage.m{sql.number}) + row_number() OVER (ORDER BY i.k0) "
            f"FROM stage.i{sql.number} AS i JOIN {sql.source('main', 'o')} "
            f"ON {sql.staged_key('o', 'i')} WHERE NOT ({same}) "
            f"AND i.k0 NOT IN (SELECT old FROM stage.m{sql.number})"
        )
        return True

    def _top_id(self) -> int:
        """Returns the largest id that any version has used.

        Raises:
            ValueError: There are none left.
        """
        sql = self._sql
        name, alias = quote(sql.table.name), quote(sql.table.key[0])
        tops = [
            sql.one(f"SELECT coalesce(max({alias}), 0) FROM {schema}.{name}")[0]
            for schema in ("main", "base", "theirs")
        ]
        for schema in ("main", "base", "theirs"):
            has = sql.one(
                f"SELECT count(*) FROM {schema}.sqlite_schema WHERE name = 'sqlite_sequence'"
            )[0]
            if has:
                tops += sql.one(
                    f"SELECT coalesce(max(CAST(seq AS INT)), 0) FROM {schema}.sqlite_sequence "
                    "WHERE name = ? COLLATE NOCASE",
                    (sql.table.name,),
                )
        top = max(int(str(one)) for one in tops)
        if top > (1 << 62):
            raise ValueError(f"{sql.table.name} has no ids left")
        return top
