"""Tells of rows and cells that two sides disagree about.

Owns: how a row is named and how a value is shown.
Layer: merge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mlbfs.merge.conflicts import ConflictKind
from mlbfs.merge.sqlite.sqltext import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlbfs.merge.sqlite.tablesql import TableSql
    from mlbfs.merge.versions import Side

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


class Telling:
    """Gathers the conflicts of one table.

    Attributes:
        conflicts: Those found so far.
    """

    def __init__(self, sql: TableSql) -> None:
        self._sql = sql
        self.conflicts: list[RowConflict] = []

    def tell_cells(self, column: str, query: str, *, added: bool = False) -> bool:
        """Tells of the cells of a query, which both sides set; True if there are any."""
        sql = self._sql
        name = quote(column)
        at = [one.lower() for one in sql.theirs.columns].index(column.lower())
        shown = [
            "NULL" if added else self._shown(sql.base_value("b", column)),
            self._shown(f"o.{name}"),
            self._shown(f"i.v{at}" if added else sql.value(column)),
        ]
        keys = [self._shown(one) for one in sql.key("o")]
        found = sql.database.execute(f"SELECT {', '.join([*keys, *shown])} {query}").fetchall()
        for row in found:
            base, ours, theirs = (_text(value) for value in row[-3:])
            self.conflicts.append(
                RowConflict(
                    ConflictKind.CELL,
                    f"{self._where(row[:-3])}.{column}",
                    "both sides set this cell, each in its own way",
                    (None if added else base, ours, theirs),
                    sql.policy,
                )
            )
        return bool(found)

    def tell_rows(self, message: str, alias: str, query: str) -> bool:
        """Tells of the rows of a query; True if there are any."""
        sql = self._sql
        keys = ", ".join(self._shown(one) for one in sql.key(alias))
        found = sql.database.execute(f"SELECT {keys} {query}").fetchall()
        for row in found:
            self.conflicts.append(
                RowConflict(ConflictKind.RECORD, self._where(row), message, settled=sql.policy)
            )
        return bool(found)

    def _where(self, key: Sequence[object]) -> str:
        return f"{self._sql.table.name}[{', '.join(str(_text(one)) for one in key)}]"

    def _shown(self, value: str) -> str:
        cut = f"substr({value}, 1, {_MAX_SHOWN})"
        more = f"iif(length({value}) > {_MAX_SHOWN}, '...', '')"
        return (
            f"CASE typeof({value}) WHEN 'null' THEN 'NULL' "
            f"WHEN 'blob' THEN 'x''' || hex({cut}) || '''' || {more} "
            f"ELSE CAST({cut} || {more} AS BLOB) END"
        )

    def tell_broken(self, source: str, rowid: object, why: str) -> None:
        """Tells of a row of the stage that breaks a rule."""
        keys = ", ".join(self._shown(one) for one in self._sql.staged())
        key = self._sql.one(f"SELECT {keys} FROM {source} WHERE rowid = {rowid}")
        self.conflicts.append(RowConflict(ConflictKind.CONSTRAINT, self._where(key), why))

    def tell_table(self, message: str) -> None:
        """Tells of all rows of the table."""
        self.conflicts.append(RowConflict(ConflictKind.RECORD, self._sql.table.name, message))


def _text(value: object) -> str | None:
    if value is None:
        return None
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
