"""Merges the rows of one table.

Owns: the table of each version, and the steps that its rows take.
Layer: merge.

All is done by SQL over three databases: `main` is ours and becomes the result, `base` and `theirs`
are read, `stage` takes what is found out. Values never become Python objects, so that what SQLite
holds comes through as it is, text that is no UTF-8 too; memory is bounded by the cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.merge.sqlite.finding import Finding
from mlbfs.merge.sqlite.numbering import Numbering
from mlbfs.merge.sqlite.telling import RowConflict, Telling
from mlbfs.merge.sqlite.writing import Writing

if TYPE_CHECKING:
    from mlbfs.merge.sqlite.tablesql import TableSql


class TableMerge:
    """Merges the rows of one table into ours.

    Args:
        sql: What is said in SQL of its versions.
    """

    def __init__(self, sql: TableSql) -> None:
        self._sql = sql
        self._telling = Telling(sql)
        self._finding = Finding(sql)
        self._numbering = Numbering(sql)

    @property
    def conflicts(self) -> list[RowConflict]:
        """What could not be decided, or was by the policy."""
        return self._telling.conflicts

    @property
    def changed(self) -> int:
        """How many rows of ours were written."""
        return self._sql.changed

    def find(self) -> None:
        """Finds what theirs changed, with the maps of new ids of all tables there."""
        self._finding.find_changes()

    def make_map(self) -> None:
        """Makes the map of new ids."""
        self._numbering.make_map()

    def match(self) -> bool:
        """Finds added rows that are rows of ours already; True if there are any."""
        return self._numbering.match()

    def renumber(self) -> bool:
        """Gives new ids where ours took them; True if there are any."""
        return self._numbering.renumber()

    def fill_added(self) -> None:
        """Takes the added rows again, with the new ids of what they refer to."""
        self._finding.fill_added()

    def merge(self) -> None:
        """Writes what theirs changed into ours; `conflicts` has what could not be decided."""
        if self._sql.table.is_keyless and self._finding.has_moved():
            self._telling.tell_table(
                "one side gave its rows other rowids (VACUUM), the other changed rows"
            )
            return
        Writing(self._sql, self._telling).write()
