"""The kernels in pure Python: the reference for the native ones, and their stand-in.

Each function here has a twin of the same name and meaning in `mlbfs._native`. They agree in every
cut point, choice of plane width, status code and decoded byte; compressed bytes may differ with the
version of the zstd library, which no reader depends on.

Layer: store. Imports recordformat, codec, chunker.
Concurrency: safe from any thread; zstd contexts are kept per thread.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from typing import TYPE_CHECKING, Final

import zstandard

from mlbfs.store import chunker, codec, sha256twin
from mlbfs.store.codec import Codec
from mlbfs.store.filestamp import stamp_of
from mlbfs.store.recordformat import (
    ID_SIZE,
    MAX_PACK_OFFSET,
    MAX_RECORD_SIZE,
    RECORD_HEADER_SIZE,
    FileStatus,
    ReadStatus,
    RecordHeader,
    RecordKind,
    encode_record_parts,
    max_plain_length,
    parse_record_header,
    record_checksum,
    stays_in_place,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NOT_CACHED: Final = frozenset((errno.EAGAIN, errno.EOPNOTSUPP, errno.ENOSYS))
MAX_BATCH_SIZE: Final = 1 << 30
"""Most bytes one `read_files` call makes room for."""


class _Contexts(threading.local):
    """Zstd contexts of one thread."""

    def __init__(self) -> None:
        self.compressors: dict[int, zstandard.ZstdCompressor] = {}
        self.decompressor = zstandard.ZstdDecompressor()

    def compressor(self, level: int) -> zstandard.ZstdCompressor:
        if level not in self.compressors:
            self.compressors[level] = zstandard.ZstdCompressor(level=level)
        return self.compressors[level]


_contexts = _Contexts()


def cut_points(data: Buffer, final: bool) -> list[int]:
    """Returns the end offsets of the chunks of `data`, which begins at a chunk start.

    Args:
        data: The bytes to cut.
        final: Whether the data ends here. If not, a last piece whose end depends on bytes still
            to come is not reported.
    """
    view = memoryview(data).cast("B")
    cuts: list[int] = []
    position = 0
    while position < len(view):
        cut = chunker.next_cut(view, position, final=final)
        if cut is None:
            break
        cuts.append(cut)
        position = cut
    return cuts


def best_width(data: Buffer) -> int:
    """Returns the plane width the sample promises most from: 0 for raw, 1, 2, 4 or 8."""
    return codec.best_width(bytes(data))


def encode_records(
    data: Buffer, spans: Sequence[tuple[int, int, bytes]], kind: int, level: int
) -> tuple[bytes, list[tuple[int, int, int]]]:
    """Makes one record of each span of `data`.

    Args:
        data: Plain bytes.
        spans: Start, end and id of each payload.
        kind: Kind of all of the records.
        level: Zstd level.

    Returns:
        The records one after the other, and of each its offset there, its length and its codec.
        A raw payload of at least `REFERENCE_SIZE` bytes is left out: only its header is there.

    Raises:
        ValueError: A span, an id or the kind is not acceptable.
    """
    view = memoryview(data).cast("B")
    records: list[bytes] = []
    table: list[tuple[int, int, int]] = []
    offset = 0
    for start, end, id32 in spans:
        if not 0 <= start <= end <= len(view):
            raise ValueError("span is outside the data")
        record = encode_record(kind, id32, view[start:end], level)
        table.append((offset, len(record), record[5]))
        if stays_in_place(record[5], end - start):
            record = record[:RECORD_HEADER_SIZE]
        records.append(record)
        offset += len(record)
    return b"".join(records), table


def encode_record(kind: int, id32: bytes, plain: Buffer, level: int) -> bytes:
    """Makes one record.

    Raises:
        ValueError: The kind, the id or the length is not acceptable.
    """
    content = bytes(plain)
    if not RecordKind.CHUNK <= kind <= RecordKind.RECIPE_ROOT:
        raise ValueError("unknown record kind")
    if not codec.MIN_LEVEL <= level <= codec.MAX_LEVEL:
        raise ValueError("level must be from -7 to 22")
    _check_id(id32)
    if len(content) > max_plain_length(kind):
        raise ValueError("payload is longer than a record may be")
    chosen, stored = _store(content, level)
    return encode_record_parts(kind, chosen, len(content), id32, stored)


def _check_id(id32: bytes) -> None:
    if len(id32) != ID_SIZE:
        raise ValueError("id must have 32 bytes")


def _store(plain: bytes, level: int) -> tuple[Codec, bytes]:
    """Returns the codec chosen for `plain` and the bytes to store."""
    width = _tried_width(plain, codec.best_width(plain), level)
    if width:
        stored = _compress(plain, width, level)
        if len(stored) <= codec.gain_limit(len(plain)):
            return codec.CODEC_OF_WIDTH[width], stored
    return Codec.RAW, plain


def _tried_width(plain: bytes, width: int, level: int) -> int:
    """Returns `width`, or 1 if planes turn out no better than plain zstd on a piece."""
    if width < 2:
        return width
    trial, level = codec.trial_of(plain), min(level, codec.TRIAL_LEVEL)
    better = len(_compress(trial, width, level)) < len(_compress(trial, 1, level))
    return width if better else 1


def _compress(plain: bytes, width: int, level: int) -> bytes:
    compressor = _contexts.compressor(level)
    if width == 1:
        return compressor.compress(plain)
    out = compressor.compressobj(size=len(plain))
    parts: list[bytes] = []
    for plane in codec.split_planes(plain, width):
        parts += (out.compress(plane), out.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))
    parts.append(out.flush())
    return b"".join(parts)


def read_record(fd: int, offset: int, length: int, id32: bytes, nowait: bool) -> tuple[int, bytes]:
    """Reads and decodes the record of `length` bytes at `offset` of an open pack.

    Args:
        fd: Descriptor of the pack.
        offset: Where the record begins.
        length: Bytes of the whole record, header included.
        id32: The id it must carry.
        nowait: Return WOULD_BLOCK rather than wait for the disk.

    Returns:
        A `ReadStatus` or -errno, and the plain bytes (empty unless the status is OK).

    Raises:
        ValueError: The id does not have 32 bytes.
    """
    _check_id(id32)
    if not (RECORD_HEADER_SIZE <= length <= MAX_RECORD_SIZE and 0 <= offset <= MAX_PACK_OFFSET):
        return ReadStatus.BAD_HEADER, b""
    record = bytearray(length)
    view = memoryview(record)
    done = 0
    while done < length:
        try:
            count = os.preadv(fd, [view[done:]], offset + done, os.RWF_NOWAIT if nowait else 0)
        except OSError as err:
            blocked = nowait and err.errno in _NOT_CACHED
            return (ReadStatus.WOULD_BLOCK if blocked else -(err.errno or errno.EIO)), b""
        if count == 0:
            return ReadStatus.TRUNCATED, b""
        done += count
    return decode_record(record, id32)


def decode_record(record: Buffer, id32: bytes | None) -> tuple[int, bytes]:
    """Checks a record in memory and returns its plain bytes.

    Args:
        record: The whole record and nothing more.
        id32: The id it must carry, or None for any.

    Returns:
        A `ReadStatus`, and the plain bytes (empty unless the status is OK).

    Raises:
        ValueError: The id does not have 32 bytes.
    """
    if id32 is not None:
        _check_id(id32)
    view = memoryview(record).cast("B")
    if len(view) < RECORD_HEADER_SIZE:
        return ReadStatus.TRUNCATED, b""
    header = parse_record_header(view)
    if header is None or (id32 is not None and header.id32 != id32):
        return ReadStatus.BAD_HEADER, b""
    if header.record_length != len(view):
        short = len(view) < header.record_length
        return (ReadStatus.TRUNCATED if short else ReadStatus.BAD_HEADER), b""
    stored = view[RECORD_HEADER_SIZE:]
    if record_checksum(view, stored) != header.checksum:
        return ReadStatus.BAD_CHECKSUM, b""
    plain = _restore(header, bytes(stored))
    return (ReadStatus.BAD_PAYLOAD, b"") if plain is None else (ReadStatus.OK, plain)


def _restore(header: RecordHeader, stored: bytes) -> bytes | None:
    """Returns the plain bytes, or None if the stored ones are not what the header says."""
    if header.codec == Codec.RAW:
        return stored
    try:
        # The size in the frame bounds what decompressing takes, so it is checked first.
        if stored[:4] != ZSTD_MAGIC or zstandard.frame_content_size(stored) != header.plain_length:
            return None
        plain = _contexts.decompressor.decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError:
        return None
    if len(plain) != header.plain_length:
        return None
    width = codec.WIDTH_OF[header.codec]
    return plain if width == 1 else codec.join_planes(plain, width)


def read_files(
    paths: Sequence[bytes], sizes: Sequence[int]
) -> tuple[bytes, list[tuple[int, int, int, int]]]:
    """Reads whole files, each of which must not change meanwhile.

    Args:
        paths: Host paths.
        sizes: Size of each as seen before; a file that has grown since is CHANGED.

    Returns:
        The contents one after the other, and of each file its `FileStatus` or -errno, its offset
        and length there, and its `st_mode`.

    Raises:
        ValueError: The lists differ in length, or a size or their sum is not acceptable.
    """
    if len(paths) != len(sizes):
        raise ValueError("paths and sizes differ in length")
    if any(size < 0 for size in sizes) or sum(sizes) > MAX_BATCH_SIZE:
        raise ValueError("sizes are not acceptable")
    contents: list[bytes] = []
    table: list[tuple[int, int, int, int]] = []
    offset = 0
    for path, size in zip(paths, sizes, strict=True):
        status, content, mode = _read_file(path, size)
        table.append((status, offset, len(content), mode))
        contents.append(content)
        offset += len(content)
    return b"".join(contents), table


def list_folder(path: bytes) -> tuple[int, list[tuple[bytes, int, int, bytes]]]:
    """Lists a folder, links not followed.

    Args:
        path: Host path.

    Returns:
        0 or -errno of the folder; of each entry, by name in byte order, its name, `st_mode`,
        `st_size` and stamp (`stamps.stamp_of`). An entry that could not be looked at has mode 0,
        its -errno as size, and no stamp.
    """
    if b"\0" in path:
        return -errno.EINVAL, []
    try:
        names = sorted(os.listdir(path))  # noqa: PTH208 - names are bytes
    except OSError as err:
        return -(err.errno or errno.EIO), []
    return 0, [_look_at(path, name) for name in names]


def sha256_blocks(state: bytes, data: Buffer) -> bytes:
    """Hashes whole blocks into a state of SHA-256 and returns the new one.

    Args:
        state: The eight words of the hash, most significant byte first, as in a digest.
        data: The bytes that follow, a multiple of 64.

    Raises:
        ValueError: A length is not acceptable.
    """
    return sha256twin.hash_blocks(state, memoryview(data).cast("B"))


def sha256_is_fast() -> bool:
    """Returns whether `sha256_blocks` is at least as fast as hashlib: never, here."""
    return False


def _look_at(folder: bytes, name: bytes) -> tuple[bytes, int, int, bytes]:
    try:
        status = os.lstat(folder + b"/" + name)
    except OSError as err:
        return name, 0, -(err.errno or errno.EIO), b""
    return name, status.st_mode, status.st_size, stamp_of(status)


def _read_file(path: bytes, room: int) -> tuple[int, bytes, int]:
    """Returns status, content and mode of one file of at most `room` bytes."""
    if b"\0" in path:
        return -errno.EINVAL, b"", 0
    try:
        fd = os.open(path, _OPEN_FLAGS)
    except OSError as err:
        return -(err.errno or errno.EIO), b"", 0
    try:
        before = os.fstat(fd)
        if not stat.S_ISREG(before.st_mode):
            return FileStatus.NOT_REGULAR, b"", before.st_mode
        if before.st_size > room:
            return FileStatus.CHANGED, b"", before.st_mode
        content = _read_fully(fd, before.st_size)
        if len(content) != before.st_size or _stamp(os.fstat(fd)) != _stamp(before):
            return FileStatus.CHANGED, b"", before.st_mode
        return FileStatus.OK, content, before.st_mode
    except OSError as err:
        return -(err.errno or errno.EIO), b"", 0
    finally:
        os.close(fd)


def _read_fully(fd: int, size: int) -> bytes:
    """Reads up to `size` bytes, stopping early only at the end of the file."""
    parts: list[bytes] = []
    while size > 0:
        part = os.read(fd, size)
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _stamp(info: os.stat_result) -> tuple[int, int, int]:
    """Returns what differs after a file was written to."""
    return info.st_size, info.st_mtime_ns, info.st_ctime_ns
