"""Tells a database of MLflow from others by the names of its tables, without opening it.

Owns: that look.
Layer: merge. Pure.

The choice of a driver is made where no database may be opened. A schema is a tree of pages that
begins at the first one (https://www.sqlite.org/fileformat2.html, "B-tree Pages"); a row of it has
kind, name and table one behind the other, so the names are looked for in its leaves. Whatever does
not look like that is no database of MLflow: the driver `sqlite` will say what it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlbfs.merge.versions import Reader

_TABLES = ("alembic_version", "experiments", "runs", "metrics")
_MARKS = frozenset(f"table{name}{name}".encode() for name in _TABLES)

_HEADER = 100
_INTERIOR = 5
_LEAF = 13
_MAX_PAGES = 512
"""Pages of a schema that are looked at; that of MLflow has about thirty."""


def is_mlflow_database(reader: Reader) -> bool:
    """Returns whether a database has the tables of MLflow's store.

    Args:
        reader: A file that begins like a database.

    Raises:
        CorruptionError: The content is damaged.
    """
    size = int.from_bytes(reader.read(16, 2), "big")
    size = 65536 if size == 1 else size
    if size < 512:
        return False
    missing = set(_MARKS)
    pages, seen = [1], {1}
    while pages and missing:
        number = pages.pop()
        page = reader.read((number - 1) * size, size)
        start = _HEADER if number == 1 else 0
        if len(page) < size:
            continue
        if page[start] == _LEAF:
            missing -= {mark for mark in missing if mark in page}
        elif page[start] == _INTERIOR:
            below = [one for one in _children(page, start) if one > 0 and one not in seen]
            pages += below[: _MAX_PAGES - len(seen)]
            seen.update(below)
    return not missing


def _children(page: bytes, start: int) -> list[int]:
    """Returns the pages below an interior one."""
    count = int.from_bytes(page[start + 3 : start + 5], "big")
    found = [int.from_bytes(page[start + 8 : start + 12], "big")]
    for at in range(start + 12, start + 12 + 2 * count, 2):
        cell = int.from_bytes(page[at : at + 2], "big")
        found.append(int.from_bytes(page[cell : cell + 4], "big"))
    return found
