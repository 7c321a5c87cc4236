"""Which column chunks of three tables are the same, told by their bytes.

Owns: what needs no look at its values.
Layer: merge. Pure Python, and blake3.

Two chunks are the same if they have the same bytes in the same form: then they have the same values
in the same order. The same values may have been written in other bytes; then they are looked at.

Memory: a number for each chunk.
"""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import TYPE_CHECKING

from blake3 import blake3

from mlbfs.merge.parquet.footer import Meta
from mlbfs.merge.windows import STEP, window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlbfs.merge.parquet.footer import Column, RowGroup
    from mlbfs.merge.parquet.table import Table
    from mlbfs.merge.versions import Side

_NUMBERS = (Meta.CODEC, Meta.VALUES, Meta.PACKED_BYTES, Meta.BYTES)

ChunkIds = dict["Side", dict[str, list[int]]]
"""A number for each column chunk: by side, by column, by row group. Equal ones are the same."""


def chunk_ids(tables: Mapping[Side, Table]) -> ChunkIds:
    """Returns what tells chunks apart.

    Chunks are read if one of another side has the same size and form.

    Raises:
        CorruptionError: A version is damaged.
    """
    shapes = {side: dict(_shapes(table)) for side, table in tables.items()}
    sides = Counter(shape for found in shapes.values() for shape in set(found.values()))
    ids: dict[object, int] = {}
    fresh = count()
    found: ChunkIds = {}
    for side, table in tables.items():
        found[side] = {name: [] for name in table.footer.columns}
        for (name, group), shape in shapes[side].items():
            identity: object = (side, name, group)
            if sides[shape] > 1:
                column = table.footer.columns[name]
                identity = (shape, _digest(table, table.footer.groups[group], column))
            if identity not in ids:
                ids[identity] = next(fresh)
            found[side][name].append(ids[identity])
    return found


def _shapes(table: Table) -> Iterator[tuple[tuple[str, int], object]]:
    """Yields, by column and row group, what is equal for chunks that are the same."""
    for name, column in table.footer.columns.items():
        form = column.form
        for number, group in enumerate(table.footer.groups):
            chunks = group.chunks[column.leaves.start : column.leaves.stop]
            sizes = [tuple(chunk.meta.integer(one) for one in _NUMBERS) for chunk in chunks]
            yield (name, number), (form, group.rows, *sizes)


def _digest(table: Table, group: RowGroup, column: Column) -> bytes:
    hasher = blake3()
    for chunk in group.chunks[column.leaves.start : column.leaves.stop]:
        with window(table.reader, chunk.pages.start, chunk.pages.stop) as stream:
            while data := stream.read(STEP):
                hasher.update(data)
    return hasher.digest()
