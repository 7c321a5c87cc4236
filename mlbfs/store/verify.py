"""Verifies files as wholes: that the bytes of each have the SHA-256 that names it.

Records and chunks are verified by their own ids (`fsck.py`); that a recipe puts the right ones in
the right order is seen only by reading the file.

Owns: what it takes for a file to be what its id says, midstates included.
Layer: store. Imports the leaves, findings, readahead and sha256.

Concurrency: threads of its own read ahead; readers and writers go on.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

from mlbfs.errors import CorruptionError
from mlbfs.ids import FileId, short_hex
from mlbfs.store import sha256
from mlbfs.store.findings import Finding, FindingKind
from mlbfs.store.readahead import AHEAD, read_ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlbfs.store.chunkstore import ChunkStore
    from mlbfs.store.filereader import FileReader


def verify_files(
    store: ChunkStore, progress: Callable[[int, int], None] | None = None
) -> Iterator[Finding]:
    """Yields the files whose content is not what their id says; those that cannot be read are left.

    Args:
        store: The store.
        progress: Told the bytes that are done and those there are.

    Raises:
        StorageError: The device failed.
    """
    with ThreadPoolExecutor(AHEAD, "mlbfs-verify") as pool:
        yield from _verify_all(store, pool, progress)


def _verify_all(
    store: ChunkStore, pool: ThreadPoolExecutor, progress: Callable[[int, int], None] | None
) -> Iterator[Finding]:
    total, done = sum(row.size for _, row in store.index.iter_files()), 0
    for file_id, row in store.index.iter_files():
        if progress is not None:
            progress(done, total)
        done += row.size
        try:
            yield from _verify(store.open_file(FileId(file_id)), pool)
        except CorruptionError:
            continue  # fsck has said so: FILE_INCOMPLETE


def _verify(reader: FileReader, pool: ThreadPoolExecutor) -> Iterator[Finding]:
    state = sha256.new_hash()
    with closing(read_ahead(pool, reader, 0, reader.size)) as parts:
        for part in parts:
            state.update(part)
    name = f"file {short_hex(reader.file_id)}"
    if state.digest() != reader.file_id:
        yield Finding(
            FindingKind.FILE_ID_WRONG,
            f"{name}: its content has another SHA-256",
            record_id=reader.file_id,
        )
    # Where none are kept there is nothing to compare with, and nobody goes on from them either.
    elif reader.root.midstates and state.midstates() not in (b"", reader.root.midstates):
        yield Finding(
            FindingKind.MIDSTATES_WRONG,
            f"{name}: its midstates are not those of its content",
            record_id=reader.file_id,
        )
