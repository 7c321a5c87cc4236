"""Files of the host that an import has read before, told by their stamps.

A stamp is what a change of a file changes: device, inode, length, modification and change time. A
file that shows the stamp under which it was read need not be read again.

Row of the table `sources`, by BLAKE3-256 of the absolute path:

    ==  ====  =======================================================
    0   40    stamp: device u64, inode u64, length i64, mtime i64, ctime i64 (nanoseconds)
    40  u8    flags: 1 executable, 2 known not to be text
    41  32    file id
    ==  ====  =======================================================

Owns: what a stamp is and when it is trusted.
Layer: store. Imports the leaves, index and source.

Invariants:
  S1. A stamp is noted only if the file last changed well before it was read: a change within the
      same tick of the file system's clock would not show.
  S2. A noted file counts only while the store has all of its content; rows may be lost or stale at
      no cost but reading again.

Concurrency: asked from the threads of an ingest.
"""

from __future__ import annotations

import os
import struct
import time
from typing import TYPE_CHECKING

from blake3 import blake3

from mlbfs.ids import FileId
from mlbfs.store.filestamp import STAMP
from mlbfs.store.source import Ingested, Policy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlbfs.store.index import ChunkIndex
    from mlbfs.store.known import StoredContent
    from mlbfs.store.source import Source

    Row = tuple[bytes, bytes]

ROW = struct.Struct(f"<{STAMP.size}sB32s")
EXECUTABLE = 1
NOT_TEXT = 2

SETTLED_NS = 2_000_000_000
"""A file must have been left alone for this long before its stamp is noted. File systems stamp
changes with ticks of up to two seconds (FAT); Linux's own take a few milliseconds."""


def _key(source: Source) -> bytes:
    return blake3(os.fsencode(source.path)).digest()


class StampTable:
    """The stamps of one writer's sources: asked before reading, noted after."""

    def __init__(self, index: ChunkIndex, known: StoredContent) -> None:
        self._index = index
        self._known = known
        self._settled = time.time_ns() - SETTLED_NS
        self._empty = index.source_count() == 0

    def unchanged(self, sources: Sequence[Source], text_limit: int) -> list[Ingested | None]:
        """Returns of each source what became of it, or None if it has to be read."""
        if self._empty:
            return [None] * len(sources)
        keys = [_key(source) for source in sources]
        rows = self._index.sources(keys)
        found = [
            _recall(source, rows.get(key), text_limit)
            for source, key in zip(sources, keys, strict=True)
        ]
        ids = [result.file_id for result in found if result is not None and result.file_id]
        stored = self._known.known_files(ids)  # S2
        return [
            result if result is not None and result.file_id in stored else None for result in found
        ]

    def note(self, result: Ingested, text_limit: int) -> Row | None:
        """Returns the row of a file that was read, or None if it should not be noted."""
        source = result.source
        if not source.stamp or result.file_id is None:
            return None
        changed = STAMP.unpack(source.stamp)[4]
        if changed > self._settled:  # S1
            return None
        is_binary = source.policy is Policy.AUTO and result.size <= text_limit
        flags = EXECUTABLE * result.executable | NOT_TEXT * is_binary
        return _key(source), ROW.pack(source.stamp, flags, result.file_id)


def _recall(source: Source, row: bytes | None, text_limit: int) -> Ingested | None:
    """Returns what became of a source when it was read, if that would be so again."""
    if row is None or len(row) != ROW.size or source.policy is Policy.GIT:
        return None
    stamp, flags, file_id = ROW.unpack(row)
    if stamp != source.stamp:
        return None
    if source.policy is Policy.AUTO and source.size <= text_limit and not flags & NOT_TEXT:
        return None
    return Ingested(source, source.size, bool(flags & EXECUTABLE), FileId(file_id), None)


def stored_file(row: bytes) -> bytes:
    """Returns the file id in a row; for gc."""
    return row[STAMP.size + 1 :]
