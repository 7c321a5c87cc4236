"""Reading records: id to location, location to checked bytes, with a cache of decoded ones.

Owns: the cache of decoded chunks and nodes, shared by all files of a store.
Layer: store. Imports the leaves, index, packs, recordformat and kernels.

Concurrency: any thread. No lock is held while the disk is read.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from mlbfs.errors import CorruptionError, ErrorKind, storage_error
from mlbfs.ids import short_hex
from mlbfs.limits import MIB
from mlbfs.store import kernels
from mlbfs.store.packs import pack_name
from mlbfs.store.recordformat import ReadStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlbfs.ids import PackId
    from mlbfs.store.index import ChunkIndex, Location
    from mlbfs.store.packs import PackFiles

CACHE_SIZE = 32 * MIB
"""Decoded bytes kept: 512 chunks, enough that neighbouring reads do not decode a chunk twice."""

FSCK_HINT = "run 'mlbfs fsck'"
_REASONS = {
    ReadStatus.TRUNCATED: "is cut off",
    ReadStatus.BAD_HEADER: "has a wrong header",
    ReadStatus.BAD_CHECKSUM: "does not match its checksum",
    ReadStatus.BAD_PAYLOAD: "cannot be decompressed",
}


class ByteCache:
    """Values by id, the least recently used given up first; bounded by their bytes."""

    def __init__(self, size: int = CACHE_SIZE) -> None:
        self._size = size
        self._used = 0
        self._items: OrderedDict[bytes, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: bytes) -> bytes | None:
        """Returns a value and marks it as used."""
        with self._lock:
            value = self._items.get(key)
            if value is not None:
                self._items.move_to_end(key)
            return value

    def put(self, key: bytes, value: bytes) -> None:
        """Keeps a value."""
        with self._lock:
            if key in self._items:
                return
            self._items[key] = value
            self._used += len(value)
            while self._used > self._size and len(self._items) > 1:
                self._used -= len(self._items.popitem(last=False)[1])

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._items.clear()
            self._used = 0


class ChunkReader:
    """Returns chunks, recipe nodes and recipe roots, verified."""

    def __init__(self, index: ChunkIndex, packs: PackFiles) -> None:
        self.cache = ByteCache()
        self._index = index
        self._packs = packs
        self._pack_ids: dict[int, PackId] = {}

    def read(self, record_id: bytes, *, nowait: bool = False) -> bytes | None:
        """Returns the plain bytes of a chunk or node, or None when nowait and it would wait.

        Raises:
            CorruptionError: The chunk is missing or its bytes are damaged.
            StorageError: The device failed.
        """
        plain = self.cache.get(record_id)
        if plain is not None:
            return plain
        location = self._index.chunk(record_id)
        if location is None:
            raise CorruptionError(
                f"chunk {short_hex(record_id)} is missing",
                kind=ErrorKind.CHUNK_NOT_FOUND,
                hint=FSCK_HINT,
            )
        plain = self.read_at(location, record_id, relocate=self._index.chunk, nowait=nowait)
        if plain is not None:
            self.cache.put(record_id, plain)
        return plain

    def read_at(
        self,
        location: Location,
        record_id: bytes,
        *,
        relocate: Callable[[bytes], Location | None],
        nowait: bool = False,
    ) -> bytes | None:
        """Returns the plain bytes of the record at a location; past the cache.

        Args:
            location: Where the record lies, as far as is known.
            record_id: Its id.
            relocate: Asks the index again when the record is not there or not sound: gc may have
                rewritten the pack, or an import stored the content anew.
            nowait: Return None rather than wait for the disk.

        Raises:
            CorruptionError: The record is damaged or its pack is missing.
            StorageError: The device failed.
        """
        try:
            return self._read_record(location, record_id, nowait=nowait)
        except CorruptionError:
            moved = relocate(record_id)
            replaced = self._packs.refresh(self._pack_id(location.pack))
            if not replaced and moved in (None, location):
                raise
        return self._read_record(moved or location, record_id, nowait=nowait)

    def _read_record(self, location: Location, record_id: bytes, *, nowait: bool) -> bytes | None:
        pack_id = self._pack_id(location.pack)
        try:
            pack = self._packs.open(pack_id)
        except FileNotFoundError as err:
            raise CorruptionError(
                f"pack {pack_name(pack_id)} is missing, and with it chunk {short_hex(record_id)}",
                hint=FSCK_HINT,
            ) from err
        status, plain = kernels.read_record(
            pack.fd, location.offset, location.record_len, record_id, nowait
        )
        if status == ReadStatus.OK:
            return plain
        if status == ReadStatus.WOULD_BLOCK:
            return None
        raise _read_error(status, pack.path.name, location.offset, record_id)

    def _pack_id(self, number: int) -> PackId:
        # Numbers are never given twice, so what was learnt once stays true.
        known = self._pack_ids.get(number)
        if known is None:
            row = self._index.pack(number)
            if row is None:
                raise CorruptionError(
                    f"chunk index: pack number {number} is unknown",
                    kind=ErrorKind.CORRUPT_INDEX,
                    hint="run 'mlbfs fsck --repair'",
                )
            known = self._pack_ids[number] = row.pack_id
        return known


def _read_error(status: int, pack: str, offset: int, record_id: bytes) -> Exception:
    if status < 0:
        return storage_error(OSError(-status, os.strerror(-status)), f"pack {pack}")
    reason = _REASONS.get(ReadStatus(status), "is damaged")
    return CorruptionError(
        f"pack {pack}: the record of chunk {short_hex(record_id)} at {offset} {reason}",
        kind=ErrorKind.CORRUPT_CHUNK,
        hint=FSCK_HINT,
    )
