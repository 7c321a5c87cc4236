"""Adding durable packs and their rows to the chunk index.

Owns: how many transactions that takes and in which order the rows go.
Layer: store. Imports the leaves, index, packs, rebuild, recordformat and spool.

A small commit is one transaction. A large one is several, each over one range of keys: ids are
random, and rows in any other order would touch every page of the index in every transaction.
Rows of durable packs harm nobody while no file needs them, so packs and chunks go first, files
after them, directory indexes last.
"""

from __future__ import annotations

import time
from itertools import chain
from typing import TYPE_CHECKING

from mlbfs.limits import MIB
from mlbfs.store.index import LOCATION, located_row, parse_file_row
from mlbfs.store.recordformat import RecordKind
from mlbfs.store.spool import RowSpool, in_key_ranges

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mlbfs.store.index import ChunkIndex, IndexTransaction
    from mlbfs.store.packs import SealedPack
    from mlbfs.store.spool import SpoolFolder

    Row = tuple[bytes, bytes]

ROWS_PER_TRANSACTION = 100_000
"""LMDB keeps every page that a transaction touches in memory: in a large index, a page per row."""

DIRECTORY_BYTES_PER_TRANSACTION = 32 * MIB
"""The same for directory indexes, which may be long."""


def publish_rows(
    index: ChunkIndex,
    packs: Sequence[SealedPack],
    files: RowSpool,
    directories: Iterable[tuple[bytes, bytes]],
    sources: RowSpool,
    *,
    spools: SpoolFolder,
) -> None:
    """Adds everything that one writer has made; durable when it returns.

    Args:
        index: The chunk index.
        packs: Its packs, durable under their final names.
        files: Rows of files; they name packs by their position in `packs`.
        directories: Directory indexes.
        sources: Rows of the files of the host that were read.
        spools: Where rows wait that memory may have no room for.

    Raises:
        OSError: The device refused a spool.
        StorageError: The device failed.
    """
    count = sum(pack.count for pack in packs)
    batches = _directory_batches(directories)
    if count + len(files) + len(sources) <= ROWS_PER_TRANSACTION:
        with index.begin() as txn:
            numbers = _add_packs(txn, packs)
            txn.put_chunks(list(_chunk_rows(packs, numbers)))
            txn.put_files(list(_file_rows(files, numbers)))
            txn.put_directories(next(batches, ()))
            txn.put_sources(list(sources))
        _put_directories(index, batches)
        return
    numbers = publish_packs(index, packs, spools=spools)
    for rows in in_key_ranges(_file_rows(files, numbers), len(files), ROWS_PER_TRANSACTION, spools):
        with index.begin() as txn:
            txn.put_files(rows)
    _put_directories(index, batches)
    for rows in in_key_ranges(sources, len(sources), ROWS_PER_TRANSACTION, spools):
        with index.begin() as txn:
            txn.put_sources(rows)


def put_directories(index: ChunkIndex, directories: Iterable[tuple[bytes, bytes]]) -> None:
    """Adds or replaces directory indexes, those of a small commit in one transaction.

    Raises:
        StorageError: The device failed; some may be there, which harms nobody.
    """
    _put_directories(index, _directory_batches(directories))


def _put_directories(index: ChunkIndex, batches: Iterable[list[Row]]) -> None:
    for rows in batches:
        with index.begin() as txn:
            txn.put_directories(rows)


def _directory_batches(directories: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    size = 0
    for row in directories:
        batch.append(row)
        size += len(row[1])
        if size >= DIRECTORY_BYTES_PER_TRANSACTION:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def publish_packs(
    index: ChunkIndex, packs: Sequence[SealedPack], *, spools: SpoolFolder
) -> list[int]:
    """Adds packs and their chunks, but no files; returns the numbers of the packs.

    Raises:
        OSError: The device refused a spool.
        StorageError: The device failed.
    """
    with index.begin() as txn:
        numbers = _add_packs(txn, packs)
    count = sum(pack.count for pack in packs)
    for rows in in_key_ranges(_chunk_rows(packs, numbers), count, ROWS_PER_TRANSACTION, spools):
        with index.begin() as txn:
            txn.put_chunks(rows)
    return numbers


def _add_packs(txn: IndexTransaction, packs: Sequence[SealedPack]) -> list[int]:
    now = int(time.time())
    return [txn.add_pack(pack.pack_id, pack.size, pack.count, now) for pack in packs]


def _chunk_rows(packs: Sequence[SealedPack], numbers: Sequence[int]) -> Iterator[Row]:
    return chain.from_iterable(map(_chunk_rows_of, packs, numbers))


def _chunk_rows_of(pack: SealedPack, number: int) -> list[Row]:
    encode = LOCATION.pack
    return [
        (rid, encode(number, offset, record_len, plain_len))
        for rid, offset, record_len, plain_len, kind, _ in pack.iter_table()
        if kind != RecordKind.RECIPE_ROOT
    ]


def _file_rows(rows: Iterable[Row], numbers: Sequence[int]) -> Iterator[Row]:
    """Puts the numbers of packs in place of their positions."""
    for key, row in rows:
        parsed = parse_file_row(row)
        if parsed.location is None:
            yield key, row
        else:
            place = parsed.location._replace(pack=numbers[parsed.location.pack])
            yield key, located_row(place, parsed.size)
