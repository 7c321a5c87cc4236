"""Git packs: many new objects in one file, with its index.

Owns: writing `pack-<id>.pack` and `.idx` (version 2). Reading is libgit2's and C Git's.
Layer: git. Format: docs/format/objects-git.md and Git's own gitformat-pack.

    pack:  "PACK"  version u32 = 2  count u32
           count x (type and length as varint, zlib stream)
           SHA-1 of all before
    idx:   ff 74 4f 63  version u32 = 2
           256 x u32   number of objects whose first byte is at most i
           count x 20  ids, sorted
           count x u32 CRC-32 of the packed object
           count x u32 offset, or 2^31 + place in the next table
           n x u64     offsets of 2^31 and more
           SHA-1 of the pack, SHA-1 of all before                    (all big-endian)

Objects are whole, never deltas: pointers and trees are short, and `git gc` makes deltas when it
is worth it. Data of up to `STORED_LIMIT` bytes is kept in a stored (uncompressed) zlib block: a
pointer is mostly hex digits, so deflate gains 23 of 140 bytes and costs ten times the rest.

Invariants:
  I1. The index appears last: until then no reader knows of the pack.
  I2. Pack and index are fsynced before they are named, the directory after.
  I3. No id stands in a pack twice.

Concurrency: one writer per object; any number of packs may be written beside each other.
"""

from __future__ import annotations

import errno
import hashlib
import os
import struct
import zlib
from array import array
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from mlbfs.errors import storage_error
from mlbfs.git.files import create_temporary, sync_directory, write_all
from mlbfs.git.kinds import KIND_CODES
from mlbfs.limits import KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future
    from pathlib import Path

STORED_LIMIT = 200
"""Objects up to this many bytes are stored without compression; see above."""

_LEVEL = 1
"""Of zlib. Level 6 makes text a tenth smaller and takes two to five times as long; `git gc -F` may
do that later."""

_FLUSH_SIZE = 1 * MIB
_BATCH_SIZE = 256 * KIB
"""Bytes handed to a thread at once: about 10 ms of work."""

_THREADS = 2
_MAX_BATCHES = 4
"""Batches on their way; bounds the memory they take."""

_HEADER = struct.Struct(">4sII")
_INDEX_HEAD = b"\xfftOc\0\0\0\2"
_LARGE_OFFSET = 2**31


def encode_index(entries: Iterable[tuple[bytes, int, int]], pack_hash: bytes) -> bytes:
    """Encodes a version 2 index.

    Args:
        entries: (id, CRC-32, offset), sorted by id.
        pack_hash: The trailer of the pack.
    """
    counts = [0] * 256
    names = bytearray()
    crcs, offsets, large = array("I"), array("I"), array("Q")
    for name, crc, offset in entries:
        counts[name[0]] += 1
        names += name
        crcs.append(crc)
        if offset < _LARGE_OFFSET:
            offsets.append(offset)
        else:
            offsets.append(_LARGE_OFFSET + len(large))
            large.append(offset)
    for first in range(1, 256):
        counts[first] += counts[first - 1]
    tables = [_big_endian(table) for table in (array("I", counts), crcs, offsets, large)]
    body = b"".join([_INDEX_HEAD, tables[0], names, *tables[1:], pack_hash])
    return body + hashlib.sha1(body, usedforsecurity=False).digest()


def _big_endian(values: array[int]) -> bytes:
    if struct.pack("=I", 1) != struct.pack(">I", 1):
        values.byteswap()
    return values.tobytes()


def encode_object_head(code: int, size: int) -> bytes:
    """Encodes type and length as they stand before a packed object."""
    byte = (code << 4) | (size & 15)
    size >>= 4
    head = bytearray()
    while size:
        head.append(byte | 0x80)
        byte = size & 0x7F
        size >>= 7
    head.append(byte)
    return bytes(head)


def _small_heads(code: int) -> list[bytes]:
    """Returns, by length, all that precedes the bytes of a stored object."""
    heads = []
    for size in range(STORED_LIMIT + 1):
        block = b"\x78\x01\x01" + struct.pack("<HH", size, size ^ 0xFFFF)
        heads.append(encode_object_head(code, size) + block)
    return heads


_SMALL_HEADS = {code: _small_heads(code) for code in KIND_CODES.values()}


def _encode_batch(batch: list[tuple[int, bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Returns id and record of each (code, id, data). zlib lets other threads run meanwhile."""
    return [
        (oid, encode_object_head(code, len(data)) + zlib.compress(data, _LEVEL))
        for code, oid, data in batch
    ]


class PackWriter:
    """Writes one pack. `finish` publishes it, `abort` removes it.

    Objects longer than a pointer are compressed by threads of its own and land in the pack when
    they are done. Memory is about 130 bytes for each object, and the batches on their way. A
    failed write leaves only a `tmp_pack_` file, which `abort` removes, or `git gc` later.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._buffer = [_HEADER.pack(b"PACK", 2, 0)]
        self._buffered = 0
        self._places: dict[bytes, int] = {}  # id -> offset << 32 | crc; 0 while on its way
        self._batch: list[tuple[int, bytes, bytes]] = []
        self._batch_bytes = 0
        self._running: deque[Future[list[tuple[bytes, bytes]]]] = deque()
        self._pool: ThreadPoolExecutor | None = None
        self._end = _HEADER.size
        self._pack_hash: bytes | None = None
        self._index_path: Path | None = None
        try:
            directory.mkdir(exist_ok=True)
            self._descriptor, self._path = create_temporary(directory, "tmp_pack_")
        except OSError as err:
            raise storage_error(err, "writing a Git pack") from err

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, oid: bytes) -> bool:
        return oid in self._places

    @property
    def nbytes(self) -> int:
        """Length of the pack so far."""
        return self._end

    def add(self, code: int, oid: bytes, data: bytes) -> None:
        """Appends an object that is not in this pack yet (I3)."""
        size = len(data)
        if size <= STORED_LIMIT:
            head = _SMALL_HEADS[code][size]
            self._append(oid, b"%b%b%b" % (head, data, zlib.adler32(data).to_bytes(4)))
            return
        self._places[oid] = 0
        self._batch.append((code, oid, data))
        self._batch_bytes += size
        if self._batch_bytes >= _BATCH_SIZE:
            self._start_batch()
            while len(self._running) > _MAX_BATCHES:
                self._take_batch()

    def _start_batch(self) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_THREADS)
        self._running.append(self._pool.submit(_encode_batch, self._batch))
        self._batch, self._batch_bytes = [], 0

    def _take_batch(self) -> None:
        for oid, record in self._running.popleft().result():
            self._append(oid, record)

    def _append(self, oid: bytes, record: bytes) -> None:
        size = len(record)
        self._places[oid] = self._end << 32 | zlib.crc32(record)
        self._buffer.append(record)
        self._end += size
        self._buffered += size
        if self._buffered >= _FLUSH_SIZE:
            self._flush()

    def _flush(self) -> None:
        try:
            write_all(self._descriptor, b"".join(self._buffer))
        except OSError as err:
            raise storage_error(err, "writing a Git pack") from err
        self._buffer.clear()
        self._buffered = 0

    def prepare(self) -> None:
        """Writes pack and index to their ends, durable but not under their names yet.

        What takes room is done then. No object may be added afterwards.

        Raises:
            StorageError: The device refused.
        """
        if self._pack_hash is not None:
            return
        if self._batch:
            self._start_batch()
        while self._running:
            self._take_batch()
        self._stop_threads()
        self._flush()
        try:
            self._pack_hash = self._seal()
            self._index_path = self._write_index(self._pack_hash)
        except OSError as err:
            raise storage_error(err, "writing a Git pack") from err

    def finish(self) -> Path:
        """Publishes pack and index durably; returns the path of the index.

        Raises:
            StorageError: The device refused; nothing was published.
        """
        self.prepare()
        assert self._pack_hash is not None, "it was prepared"
        assert self._index_path is not None, "it was prepared"
        try:
            return self._publish(self._pack_hash, self._index_path)
        except OSError as err:
            raise storage_error(err, "writing a Git pack") from err

    def _publish(self, pack_hash: bytes, index: Path) -> Path:
        pack_path = self._directory / f"pack-{pack_hash.hex()}.pack"
        index_path = pack_path.with_suffix(".idx")
        if index_path.exists():  # the very same objects in the same order were written before
            self._path.unlink()
            index.unlink()
            return index_path
        try:
            self._path.rename(pack_path)
            index.rename(index_path)  # I1
        except BaseException:
            pack_path.unlink(missing_ok=True)
            index.unlink(missing_ok=True)
            raise
        sync_directory(self._directory)
        return index_path

    def _seal(self) -> bytes:
        """Puts the count in place and the hash at the end; both are known only now."""
        os.pwrite(self._descriptor, _HEADER.pack(b"PACK", 2, len(self._places)), 0)
        digest = hashlib.sha1(usedforsecurity=False)
        position = 0
        while block := os.pread(self._descriptor, _FLUSH_SIZE, position):
            digest.update(block)
            position += len(block)
        if position != self._end:
            raise OSError(errno.EIO, "the pack is shorter than what was written")
        write_all(self._descriptor, digest.digest())
        os.fsync(self._descriptor)  # I2
        os.close(self._descriptor)
        self._descriptor = -1
        return digest.digest()

    def _write_index(self, pack_hash: bytes) -> Path:
        places = self._places
        entries = ((oid, places[oid] & 0xFFFFFFFF, places[oid] >> 32) for oid in sorted(places))
        data = encode_index(entries, pack_hash)
        descriptor, path = create_temporary(self._directory, "tmp_idx_")
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)  # I2
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        return path

    def abort(self) -> None:
        """Removes what was written; does nothing after `finish`."""
        self._stop_threads()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._path.unlink(missing_ok=True)
        if self._index_path is not None:
            self._index_path.unlink(missing_ok=True)

    def _stop_threads(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
