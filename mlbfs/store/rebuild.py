"""Rebuilding the chunk index from packs alone.

Owns: how a pack's records become index rows, for rebuilding, repair and gc.
Layer: store. Imports the leaves, index, packs, packscan, recipe and recordformat.

Order: the index says "rebuilding" from the first change to the last, so a rebuild that is
interrupted is noticed and begun again; readers of the old rows are not served meanwhile.
"""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING

from mlbfs.errors import CorruptionError
from mlbfs.ids import PACK_ID_SIZE, PackId
from mlbfs.store import kernels
from mlbfs.store.index import (
    INLINE_LIMIT,
    LOCATION,
    LOST,
    FileRow,
    Location,
    inline_row,
    located_row,
)
from mlbfs.store.packs import damaged_pack, list_packs
from mlbfs.store.packscan import load_records
from mlbfs.store.recipe import RecipeList, is_root, parse_node, parse_root, root_size
from mlbfs.store.recordformat import ReadStatus, RecordKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from mlbfs.store.chunkreader import ChunkReader
    from mlbfs.store.index import ChunkIndex
    from mlbfs.store.packformat import PackRecord

Row = tuple[bytes, bytes]
_BATCH = 1000


def rebuild(
    index: ChunkIndex,
    packs: Path,
    chunks: ChunkReader,
    *,
    skip: Collection[PackId] = (),
) -> None:
    """Fills the index from the packs; directory indexes are kept, for they name Git trees only.

    Args:
        index: The index; what it says of chunks, files and packs is thrown away.
        packs: The directory of the packs.
        chunks: Reads recipe nodes.
        skip: Packs to be left out, for they cannot be read.

    Raises:
        FormatVersionError: A pack is of a version that this mlbfs does not read.
        StorageError: The device failed.
    """
    with index.begin() as txn:
        txn.clear()
        txn.set_state(b"rebuilding")
    for path in list_packs(packs):
        if pack_id_of(path) not in skip:
            index_pack(index, path)
    mark_lost_files(index, chunks)
    with index.begin() as txn:
        txn.set_state(b"ready")


def index_pack(index: ChunkIndex, path: Path, *, overwrite: bool = True) -> int:
    """Adds one pack and its rows to the index, in one transaction; returns its number.

    Raises:
        FormatVersionError: The pack is of a version that this mlbfs does not read.
        StorageError: The device failed.
    """
    pack_id = pack_id_of(path)
    records, _ = load_records(path)
    roots = dict(_read_roots(path, records))
    with index.begin() as txn:
        number = txn.add_pack(pack_id, path.stat().st_size, len(records), verified_at=0)
        chunk_rows = list(_chunk_rows(records, number))
        file_rows = list(_file_rows(records, roots, number))
        if not overwrite:
            chunk_rows = [row for row in chunk_rows if txn.get_chunk(row[0]) is None]
            file_rows = [row for row in file_rows if txn.get_file(row[0]) is None]
        txn.put_chunks(chunk_rows)
        txn.put_files(file_rows)
    return number


def pack_id_of(path: Path) -> PackId:
    """Returns the id that the name of a pack file states.

    Raises:
        CorruptionError: The name is not that of a pack.
    """
    try:
        raw = bytes.fromhex(path.stem)
    except ValueError:
        raw = b""
    if len(raw) != PACK_ID_SIZE:
        raise damaged_pack(path, "its name is no pack id")
    return PackId(raw)


def _chunk_rows(records: Iterable[PackRecord], number: int) -> Iterator[Row]:
    for record in records:
        if record.kind != RecordKind.RECIPE_ROOT:
            yield (
                record.id,
                LOCATION.pack(number, record.offset, record.record_len, record.plain_len),
            )


def _file_rows(
    records: Iterable[PackRecord], roots: dict[bytes, bytes], number: int
) -> Iterator[Row]:
    for record in records:
        root = roots.get(record.id) if record.kind == RecordKind.RECIPE_ROOT else None
        if root is not None:
            place = Location(number, record.offset, record.record_len, record.plain_len)
            yield record.id, file_row(root, place)


def file_row(root: bytes, place: Location) -> bytes:
    """Returns the index row of a file."""
    if len(root) <= INLINE_LIMIT:
        return inline_row(root)
    return located_row(place, root_size(root))


def _read_roots(path: Path, records: Iterable[PackRecord]) -> Iterator[Row]:
    """Yields (file id, root) for every sound root of a pack; fsck reports the others."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for record in records:
            if record.kind != RecordKind.RECIPE_ROOT:
                continue
            status, root = kernels.read_record(
                fd, record.offset, record.record_len, record.id, False
            )
            if status == ReadStatus.OK and is_root(root):
                yield record.id, root
    finally:
        os.close(fd)


def mark_lost_files(index: ChunkIndex, chunks: ChunkReader) -> int:
    """Marks every file that a chunk is missing of (I3 of the index); returns how many there are.

    Raises:
        StorageError: The device failed.
    """
    rows = index.iter_files()
    lost = 0
    while batch := list(islice(rows, _BATCH)):
        changed: list[Row] = []
        for file_id, row in batch:
            complete = is_complete(index, chunks, file_id, row)
            lost += not complete
            if complete == row.lost:
                changed.append((file_id, mark_row(row, lost=not complete)))
        if changed:
            with index.begin() as txn:
                txn.put_files(changed)
    return lost


def mark_row(row: FileRow, *, lost: bool) -> bytes:
    """Returns a file row with or without the mark that a chunk is lost."""
    if row.root is not None:
        data = inline_row(row.root)
    else:
        assert row.location is not None
        data = located_row(row.location, row.size)
    return bytes([data[0] | LOST]) + data[1:] if lost else data


def is_complete(index: ChunkIndex, chunks: ChunkReader, file_id: bytes, row: FileRow) -> bool:
    """Whether the recipe of a file can be read and every chunk of it has a row."""
    try:
        for ids in iter_recipe(chunks, file_id, row):
            wanted = set(ids)
            if len(index.chunks(list(wanted))) != len(wanted):
                return False
    except CorruptionError:
        return False
    return True


def iter_recipe(chunks: ChunkReader, file_id: bytes, row: FileRow) -> Iterator[tuple[bytes, ...]]:
    """Yields the ids in the root and in every node of a file: nodes before what they list.

    Raises:
        CorruptionError: A node is missing or damaged.
        StorageError: The device failed.
    """
    root = row.root
    if root is None:
        assert row.location is not None
        root = chunks.read_at(row.location, file_id, relocate=lambda _: None)
        assert root is not None
    yield from _iter_list(chunks, parse_root(root))


def _iter_list(chunks: ChunkReader, listed: RecipeList) -> Iterator[tuple[bytes, ...]]:
    yield listed.ids
    if listed.depth:
        for node_id in listed.ids:
            node = chunks.read(node_id)
            assert node is not None
            yield from _iter_list(chunks, parse_node(node))
