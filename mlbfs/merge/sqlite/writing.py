"""Writes what theirs did to the rows of one table into ours.

Owns: what becomes of each row, and in which order it is written.
Layer: merge.

First rows go, those that change among them, then rows come. So two rows may swap what has to be
unique.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw

from mlbfs.merge.sqlite.sqltext import quote
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlbfs.merge.sqlite.tablesql import TableSql
    from mlbfs.merge.sqlite.telling import Telling


class Writing:
    """Changes the rows of ours; what could not be decided is told."""

    def __init__(self, sql: TableSql, telling: Telling) -> None:
        self._sql = sql
        self._telling = telling

    def write(self) -> None:
        """Writes what theirs changed."""
        self._merge_updates()
        self._merge_removals()
        self._merge_additions()

    def _merge_updates(self) -> None:
        sql = self._sql
        name = f"stage.u{sql.number}"
        columns = sql.table.columns
        place = sql.table.rowid
        values = [sql.merged_value(column) for column in columns]
        extra = [f"o.{place}"] if place is not None else []
        names = [f"v{at}" for at in range(len(columns))] + (["r"] if extra else [])
        sql.run(f"CREATE TABLE {name} ({', '.join([*sql.staged(), *names])})")
        joined = (
            f"FROM stage.c{sql.number} AS c JOIN {sql.source('theirs', 't')} "
            f"ON {sql.staged_key('t', 'c')} JOIN {sql.source('base', 'b')} "
            f"ON {sql.staged_key('b', 'c')} "
        )
        met = f"{joined} JOIN {sql.source('main', 'o')} ON {sql.staged_key('o', 'c')}"
        sql.run(
            f"INSERT INTO {name} SELECT {sql.listed('o')}, {', '.join([*values, *extra])} {met} "
            "WHERE c.kind = 'U'"
        )
        for column in sql.common():
            self._telling.tell_cells(column, met + " WHERE c.kind = 'U' AND " + sql.clash(column))
        lost = (
            f"{joined} LEFT JOIN {sql.source('main', 'o')} ON {sql.staged_key('o', 'c')} "
            f"WHERE c.kind = 'U' AND {sql.key('o')[0]} IS NULL"
        )
        told = self._telling.tell_rows("ours removed this row, theirs changed it", "t", lost)
        if told and sql.policy is Side.THEIRS:
            values = [sql.value(one) for one in sql.theirs.columns]
            listed = ", ".join([*sql.listed_all("c"), *values])
            sql.run(f"INSERT INTO stage.i{sql.number} SELECT {listed} {lost}")
        self._delete(f"SELECT {', '.join(sql.staged())} FROM {name}")
        own = [f"v{at}" for at in range(len(columns))]
        targets = [quote(one) for one in columns]
        if place is not None or sql.table.is_keyless or self._is_full_text():
            targets.append(place or sql.table.key[0])
            own.append("r" if place is not None else "k0")
        self._insert(targets, own, name)

    def _merge_removals(self) -> None:
        sql = self._sql
        kept = (
            f"FROM stage.c{sql.number} AS c JOIN {sql.source('base', 'b')} "
            f"ON {sql.staged_key('b', 'c')} JOIN {sql.source('main', 'o')} "
            f"ON {sql.staged_key('o', 'c')} WHERE c.kind = 'D' AND "
        )
        same = sql.same("o", "b")
        changed = f"{kept} NOT ({same})"
        self._telling.tell_rows("theirs removed this row, ours changed it", "o", changed)
        goes = kept + ("1" if sql.policy is Side.THEIRS else f"({same})")
        keys = ", ".join(f"c.{one}" for one in sql.staged())
        self._delete(f"SELECT {keys} {goes}")

    def _merge_additions(self) -> None:
        sql = self._sql
        if sql.is_renumbered:
            self._settle_matches()
        elif not sql.table.is_keyless:
            self._settle_additions()
        stage = f"stage.i{sql.number}"
        columns = sql.theirs.columns
        same = " AND ".join(sql.same_added(name) for name in columns) or "1"
        met = f"SELECT 1 FROM {sql.source('main', 'o')} WHERE {sql.staged_key('o', 'i')}"
        if sql.is_renumbered:
            there = f"{met} AND i.k0 NOT IN (SELECT old FROM stage.m{sql.number})"
        elif sql.table.is_keyless:
            there = f"{met} AND {same}"
        else:
            there = met
        sql.run(f"DELETE FROM {stage} AS i WHERE EXISTS ({there})")
        targets = [quote(one) for one in columns]
        own = [f"v{at}" for at in range(len(columns))]
        if sql.is_renumbered:
            at = [name.lower() for name in columns].index(sql.table.key[0].lower())
            own[at] = f"coalesce((SELECT new FROM stage.m{sql.number} WHERE old = k0), v{at})"
        elif sql.table.is_keyless:
            targets.append(sql.table.key[0])
            own.append(f"CASE WHEN EXISTS ({met}) THEN NULL ELSE k0 END")
        elif self._is_full_text():
            targets.append("rowid")
            own.append("k0")
        self._insert(targets, own, f"{stage} AS i")

    def _settle_matches(self) -> None:
        """Tells of rows that a unique value shows to be one, each with other cells."""
        sql = self._sql
        (key,) = sql.table.key
        joined = (
            f"FROM stage.i{sql.number} AS i JOIN stage.w{sql.number} AS w ON w.old = i.k0 "
            f"JOIN {sql.source('main', 'o')} ON o.{quote(key)} = w.new WHERE "
        )
        for at, name in enumerate(sql.theirs.columns):
            if name.lower() == key.lower():
                continue
            told = self._telling.tell_cells(
                name, joined + f"NOT ({sql.same_added(name)})", added=True
            )
            if told and sql.policy is Side.THEIRS:
                sql.run(
                    f"UPDATE main.{quote(sql.table.name)} AS o SET {quote(name)} = i.v{at} "
                    f"FROM stage.i{sql.number} AS i, stage.w{sql.number} AS w "
                    f"WHERE w.old = i.k0 AND o.{quote(key)} = w.new",
                    counted=True,
                )
        sql.run(
            f"DELETE FROM stage.i{sql.number} WHERE k0 IN (SELECT old FROM stage.w{sql.number})"
        )

    def _settle_additions(self) -> None:
        """Tells of rows that both added under one key, each with other cells."""
        sql = self._sql
        joined = (
            f"FROM stage.i{sql.number} AS i JOIN {sql.source('main', 'o')} "
            f"ON {sql.staged_key('o', 'i')} WHERE "
        )
        clash = False
        for name in sql.theirs.columns:
            if name not in sql.table.key:
                query = joined + f"NOT ({sql.same_added(name)})"
                clash |= self._telling.tell_cells(name, query, added=True)
        if clash and sql.policy is Side.THEIRS:
            keys = [f"i.{one}" for one in sql.staged()]
            self._delete(f"SELECT {', '.join(keys)} {joined} 1")

    def _is_full_text(self) -> bool:
        return self._sql.table.is_virtual and self._sql.table.key == ("rowid",)

    def _delete(self, keys: str) -> None:
        sql = self._sql
        key = sql.listed("o")
        sql.run(f"DELETE FROM {sql.source('main', 'o')} WHERE ({key}) IN ({keys})", counted=True)

    def _insert(self, targets: Sequence[str], values: Sequence[str], source: str) -> None:
        sql = self._sql
        head = f"INSERT INTO main.{quote(sql.table.name)} ({', '.join(targets)}) "
        query = f"SELECT {', '.join(values)} FROM {source}"
        try:
            with sql.database:
                sql.run(head + query, counted=True)
        except apsw.ConstraintError:
            self._insert_singly(head, query, source)

    def _insert_singly(self, head: str, query: str, source: str) -> None:
        """Finds out which rows break a rule."""
        sql = self._sql
        rows = sql.database.execute(f"SELECT rowid FROM {source}").fetchall()
        for (rowid,) in rows:
            try:
                with sql.database:
                    sql.run(f"{head}{query} WHERE rowid = {rowid}", counted=True)
            except apsw.ConstraintError as err:
                self._telling.tell_broken(source, rowid, str(err))
