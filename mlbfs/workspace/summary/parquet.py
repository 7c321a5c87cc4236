"""Summaries of Parquet files, where pyarrow is installed: columns, rows and groups of rows.

Layer: workspace. Only the footer is read.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from mlbfs.workspace.summary.subject import UnreadableError

if TYPE_CHECKING:
    from mlbfs.workspace.summary.subject import Subject

MAGIC = b"PAR1"


def parquet(subject: Subject) -> list[str]:
    """Returns the rows, and name and type of each column."""
    try:
        library = import_module("pyarrow.parquet")
    except ImportError as err:
        raise UnreadableError("pyarrow is not installed") from err
    try:
        with subject.stream() as stream:
            file = library.ParquetFile(stream)
            rows, groups = file.metadata.num_rows, file.metadata.num_row_groups
            fields = [f"{field.name}: {field.type}" for field in file.schema_arrow]
    except (ValueError, OSError, RuntimeError, MemoryError) as err:  # ArrowInvalid is a ValueError
        raise UnreadableError(f"pyarrow says: {err}") from err
    return [f"rows: {rows}, groups of rows: {groups}", *fields]
