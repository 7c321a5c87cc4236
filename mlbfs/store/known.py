"""What need not be stored again, as one writer sees it.

Owns: the dedup decision. A hit is a promise that bytes can be thrown away, so it counts only when
the stored copy was verified lately; otherwise it is read and verified on the spot.
Layer: store. Imports the leaves, index, recipe, chunkreader and sink.

Concurrency: asked from the threads of an ingest.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mlbfs.errors import CorruptionError, StorageError
from mlbfs.store.index import LOST, TAG_INLINE, parse_location
from mlbfs.store.recipe import parse_root

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlbfs.store.chunkreader import ChunkReader
    from mlbfs.store.index import ChunkIndex, Location
    from mlbfs.store.seen import Seen

TRUSTED_SECONDS = 7 * 24 * 3600
"""A pack verified (or written) within this time is trusted by a dedup hit."""


class StoredContent:
    """Answers from the chunk index and from what the writer itself has stored."""

    def __init__(self, index: ChunkIndex, chunks: ChunkReader, seen: Seen) -> None:
        self._index = index
        self._chunks = chunks
        self._seen = seen
        oldest = int(time.time()) - TRUSTED_SECONDS
        self._stale = {pack.number for pack in index.packs() if pack.verified_at < oldest}
        # Nothing is removed while a writer is at work, and what another one adds meanwhile may be
        # missed; so an index that was empty need not be asked.
        self._empty = index.counts().chunks == 0

    def known_files(self, ids: Sequence[bytes]) -> set[bytes]:
        """Returns those files that need not be stored again."""
        seen = self._seen
        known = {file_id for file_id in ids if file_id in seen}
        if self._empty:
            return known
        for file_id, row in self._index.files(ids).items():
            if not row[0] & LOST and (not self._stale or self._is_sound(row)):
                known.add(file_id)
        return known

    def known_chunks(self, ids: Sequence[bytes]) -> set[bytes]:
        """Returns those chunks that need not be stored again."""
        seen = self._seen
        known = {chunk_id for chunk_id in ids if chunk_id in seen}
        if self._empty:
            return known
        rows = self._index.chunks(ids)
        if self._stale:
            known |= {chunk_id for chunk_id, row in rows.items() if self._verified(chunk_id, row)}
        else:
            known |= rows.keys()
        return known

    def has_root(self, file_id: bytes) -> bool:
        """Whether the recipe of a file whose chunks are all stored need not be stored again."""
        if file_id in self._seen:
            return True
        row = self._index.file(file_id)
        if row is None or row.lost:
            return False
        return row.location is None or self._is_readable(row.location, file_id)

    def _is_sound(self, row: bytes) -> bool:
        """Whether every chunk of a known file may be trusted; a long file is not asked here."""
        if row[0] != TAG_INLINE:
            return False
        root = parse_root(row[1:])
        if root.depth:
            return False
        wanted = set(root.ids)
        return len(self.known_chunks(list(wanted))) == len(wanted)

    def _verified(self, chunk_id: bytes, row: bytes) -> bool:
        return self._is_readable(parse_location(row), chunk_id)

    def _is_readable(self, location: Location, record_id: bytes) -> bool:
        """Whether a record was verified lately or, failing that, verifies now."""
        if location.pack not in self._stale:
            return True
        try:
            # Asked for at this very place: a copy elsewhere is not the one that is trusted.
            self._chunks.read_at(location, record_id, relocate=lambda _: None)
        except (CorruptionError, StorageError):
            return False  # The new bytes are written and the index will point to them.
        return True
