"""A database of the scratch folder, for what may be more than memory holds.

Owns: how one is opened, and that it goes when it is no longer needed. Nothing of it outlives the
call of a driver, so nothing is ever made durable.
Layer: merge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import apsw

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_OPEN = """
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;
PRAGMA locking_mode = EXCLUSIVE;
"""


class ScratchDatabase:
    """A new database with one transaction; a context manager that removes its file.

    Args:
        path: Where that file is made.
        schema: What makes its tables.
    """

    def __init__(self, path: Path, schema: str) -> None:
        self._path = path
        self._database = apsw.Connection(str(path))
        self._database.execute(f"{_OPEN}{schema}BEGIN").fetchall()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()
        self._path.unlink(missing_ok=True)
