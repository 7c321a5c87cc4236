"""Driver `parquet`: tables of columns, appended by both sides, or merged by cell.

    *.parquet   merge=parquet
    *.parquet   merge=parquet:key=id
    *.parquet   merge=parquet:key=run,step:conflict=theirs

Without a key, rows are told apart by all columns that every version has: the table is ours without
the rows that theirs took away, then those that theirs added; what both added is there once. With a
key, a row that both changed in different columns merges, and the same cell changed in two ways is a
conflict with its key and column. Columns that a side added, removed or gave another type follow.

Column chunks that did not change keep their bytes, whoever wrote them, with their packing,
statistics and indexes; the others are written by pyarrow in the form of the side that defines the
column, and are read again before they count. Without pyarrow a table is a conflict, as what is of
no known kind.

Layer: merge. Needs pyarrow and NumPy, the extra `parquet`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from mlbfs.errors import InvalidInputError
from mlbfs.merge.conflicts import Conflict, ConflictKind
from mlbfs.merge.driver import MergeResult, Take
from mlbfs.merge.unmergeable import UnmergeableError
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from mlbfs.merge.driver import MergeCall

_NEEDED = ("numpy", "pyarrow.parquet")


class Parquet:
    """Merges tables of columns."""

    name = "parquet"

    def merge(self, call: MergeCall) -> MergeResult:
        """Merges by row or by cell; a version that cannot be merged is a conflict that says why."""
        call.choice.check_options("key", "conflict")
        call.choice.policy()  # a wrong one is told before anything is read
        key = call.choice.option("key")
        names = None if key is None else key.split(",")
        if names is not None and (not all(names) or len(set(names)) < len(names)):
            raise InvalidInputError("key= names columns, each once, with commas between")
        missing = _missing_library()
        if missing is not None:
            return _not_merged(call, missing)
        from mlbfs.merge.parquet.merging import merge_tables  # needs what was looked for

        try:
            return merge_tables(call, names)
        except UnmergeableError as err:
            return err.result(call)


def _missing_library() -> str | None:
    for name in _NEEDED:
        try:
            import_module(name)
        except ImportError:
            return name.partition(".")[0]
    return None


def _not_merged(call: MergeCall, library: str) -> MergeResult:
    message = (
        f"tables are merged with {library}, which is not installed: pip install 'mlbfs[parquet]'"
    )
    conflict = Conflict(call.path, ConflictKind.BINARY, message)
    return MergeResult(Take(Side.OURS), (conflict,))
