"""The format npz: a zip archive of arrays, each a file `NAME.npy`.

    local header, name, extra, data     for each entry
    central directory                   the entries again, with where each begins
    end of central directory            where that lies; two more records beyond 4 GiB

An entry that is taken from a version keeps the bytes it has there, compressed or not; only the
central directory is written anew.

Owns: reading archives so that nothing in them is believed unchecked, and writing them from parts.
Layer: merge. The list of entries is read by `zipfile`.

Memory: the list of entries, and some megabytes.
"""

from __future__ import annotations

import copy
import io
import struct
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from mlbfs.merge.conflicts import ConflictKind
from mlbfs.merge.npy import check_body, read_front
from mlbfs.merge.tensorfile import same_tensor
from mlbfs.merge.unmergeable import UnmergeableError
from mlbfs.merge.windows import STEP, same_bytes, window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlbfs.merge.tensorfile import Layout
    from mlbfs.merge.versions import Reader

MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
MAX_EXPANDED = 64 << 30
"""Bytes of one entry, uncompressed; more than that is taken for a trap."""

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s4B4H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_SIZES_BEHIND = 0x8
_UTF8 = 0x800
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_METHOD_NAMES = {zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "lzma", 93: "zstd", 95: "xz"}
_LIMIT_32 = 0xFFFFFFFF
_LIMIT_16 = 0xFFFF
_EXTRA_64 = 1
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
"""What `zipfile` raises for an archive that it cannot read."""


@dataclass(frozen=True, slots=True)
class NpzFile:
    """An archive whose list of entries was read.

    Attributes:
        entries: Its entries by name, in the order of their bytes.
        comment: The comment of the archive.
    """

    entries: dict[str, Entry]
    comment: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive.

    Attributes:
        name: What the archive calls it.
        info: What the central directory says of it.
        archive: The archive, opened.
        reader: The archive, as bytes.
        start: Where its local header begins.
        data_start: Where its data begin.
        stop: Where they end.
        where: What it is called in errors.
    """

    name: str
    info: zipfile.ZipInfo
    archive: zipfile.ZipFile
    reader: Reader
    start: int
    data_start: int
    stop: int
    where: str

    @property
    def form(self) -> object:
        """Nothing: all that there is to an entry is in its bytes."""
        return None

    @property
    def size(self) -> int:
        """Number of bytes, uncompressed."""
        return self.info.file_size

    def open(self) -> BinaryIO:
        """Returns its bytes, uncompressed, as a stream; the checksum is proved at the end."""
        return io.BufferedReader(_Checked(self), STEP)

    def open_packed(self) -> BinaryIO:
        """Returns its bytes as they are stored."""
        return window(self.reader, self.data_start, self.stop)

    def layout(self) -> Layout | None:
        """Returns how the numbers of the array lie in it; None for a file that is no array.

        Raises:
            UnmergeableError: It is malformed.
        """
        if not self.name.endswith(".npy"):
            return None
        with self.open() as stream:
            layout = read_front(stream, self.where)
        check_body(layout, self.size, self.where)
        return layout


def same_entry(one: Entry, other: Entry) -> bool:
    """Whether two entries hold the same; unpacked only where they are packed in different ways."""
    if (one.size, one.info.CRC) != (other.size, other.info.CRC):
        return False
    if one.info.compress_type == other.info.compress_type:
        with one.open_packed() as mine, other.open_packed() as theirs:
            if same_bytes(mine, theirs):
                return True
    return same_tensor(one, other)


class _Checked(io.RawIOBase):
    """An entry as a stream, with errors that name it."""

    def __init__(self, entry: Entry) -> None:
        self._where = entry.where
        with self._named_errors():
            self._file = entry.archive.open(entry.info)

    def readable(self) -> bool:
        """Returns whether bytes can be read, which is always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fills the front of a buffer with the next bytes."""
        with self._named_errors():
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Ends reading."""
        self._file.close()
        super().close()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except _BROKEN as err:
            raise UnmergeableError(f"it cannot be unpacked: {err}", self._where) from None


# Reading


def read_npz(reader: Reader, where: str) -> NpzFile:
    """Reads the list of entries of an archive, and checks where each lies.

    Args:
        reader: The archive.
        where: What it is called in errors.

    Raises:
        UnmergeableError: It is malformed, encrypted, or compressed in another way.
    """
    try:
        archive = zipfile.ZipFile(window(reader, 0, reader.size))
    except (*_BROKEN, OSError, ValueError, struct.error) as err:
        raise UnmergeableError(f"not a zip archive: {err}", where) from None
    found: dict[str, Entry] = {}
    for info in sorted(archive.infolist(), key=lambda one: one.header_offset):
        name = info.orig_filename
        if name in found:
            raise UnmergeableError(f"the entry {name!r} is there twice", where)
        found[name] = _entry(reader, archive, info, f"{where}, entry {name!r}")
    _check_apart(found.values(), archive.start_dir)
    return NpzFile(found, archive.comment)


def _entry(reader: Reader, archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> Entry:
    if info.flag_bits & _ENCRYPTED:
        raise UnmergeableError("it is encrypted", where, ConflictKind.BINARY)
    if info.compress_type not in _METHODS:
        method = _METHOD_NAMES.get(info.compress_type, f"method {info.compress_type}")
        raise UnmergeableError(f"it is compressed with {method}", where, ConflictKind.BINARY)
    if info.header_offset < 0:
        raise UnmergeableError("it begins before the archive", where)
    if info.file_size > MAX_EXPANDED:
        raise UnmergeableError(f"{info.file_size} bytes uncompressed are too many", where)
    if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
        raise UnmergeableError("its two sizes differ, though it is not compressed", where)
    front = reader.read(info.header_offset, _LOCAL.size)
    if len(front) < _LOCAL.size or not front.startswith(MAGICS[0]):
        raise UnmergeableError("it does not begin where the archive says", where)
    *_, name_size, extra_size = _LOCAL.unpack(front)
    name = reader.read(info.header_offset + _LOCAL.size, name_size)
    if name != _raw_name(info):
        raise UnmergeableError("it has another name where it begins", where)
    start = info.header_offset + _LOCAL.size + name_size + extra_size
    return Entry(
        *(info.orig_filename, info, archive, reader, info.header_offset, start),
        start + info.compress_size,
        where,
    )


def _raw_name(info: zipfile.ZipInfo) -> bytes:
    return info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8 else "cp437")


def _check_apart(entries: Iterable[Entry], end: int) -> None:
    """Checks that no entry lies over another: such archives unpack to far more than they hold."""
    at = 0
    for entry in entries:
        if entry.start < at or entry.stop > end:
            raise UnmergeableError("it lies over something else", entry.where)
        at = entry.stop


# Writing


class Directory:
    """The central directory of an archive that is put together from entries of others.

    Args:
        comment: The comment of the archive.
    """

    def __init__(self, comment: bytes = b"") -> None:
        self._comment = comment
        self._records: list[bytes] = []
        self._at = 0

    def add(self, entry: Entry) -> tuple[bytes | None, int]:
        """Adds an entry behind those that are there.

        Returns:
            The local header to write in place of that of the entry, or None if that one is kept;
            and where the bytes of the archive begin that are to follow.
        """
        header: bytes | None = None
        first = entry.start
        if entry.info.flag_bits & _SIZES_BEHIND:  # what stands behind the data is left behind
            header, first = _local_header(entry.info), entry.data_start
        self._records.append(_central_record(entry.info, self._at))
        self._at += len(header or b"") + entry.stop - first
        return header, first

    def render(self) -> bytes:
        """Returns the end of the archive."""
        records = b"".join(self._records)
        count, size, at = len(self._records), len(records), self._at
        end = b""
        if count >= _LIMIT_16 or size >= _LIMIT_32 or at >= _LIMIT_32:
            rest = _END_64.size - 12
            end = _END_64.pack(b"PK\x06\x06", rest, 45, 45, 0, 0, count, count, size, at)
            end += _LOCATOR_64.pack(b"PK\x06\x07", 0, at + size, 1)
        count = min(count, _LIMIT_16)
        size, at = min(size, _LIMIT_32), min(at, _LIMIT_32)
        tail = _END.pack(b"PK\x05\x06", 0, 0, count, count, size, at, len(self._comment))
        return records + end + tail + self._comment


def _local_header(info: zipfile.ZipInfo) -> bytes:
    """Returns a local header that has the sizes itself."""
    found = copy.copy(info)
    found.flag_bits &= ~_SIZES_BEHIND
    found.extra = _without_64(found.extra)
    return found.FileHeader(zip64=max(info.file_size, info.compress_size) >= _LIMIT_32)


def _central_record(info: zipfile.ZipInfo, at: int) -> bytes:
    year, month, day, hour, minute, second = info.date_time
    numbers = (info.file_size, info.compress_size, at)
    long = [one for one in numbers if one >= _LIMIT_32]
    extra = _without_64(info.extra)
    if long:
        extra = struct.pack(f"<HH{len(long)}Q", _EXTRA_64, 8 * len(long), *long) + extra
    size, packed, at = (min(one, _LIMIT_32) for one in numbers)
    name = _raw_name(info)
    version = max(info.extract_version, 45 if long else 0)
    record = _CENTRAL.pack(
        *(b"PK\x01\x02", max(info.create_version, version), info.create_system),
        *(version, info.reserved, info.flag_bits & ~_SIZES_BEHIND, info.compress_type),
        *(hour << 11 | minute << 5 | second // 2, (year - 1980) << 9 | month << 5 | day),
        *(info.CRC, packed, size, len(name), len(extra), len(info.comment), 0),
        *(info.internal_attr, info.external_attr, at),
    )
    return record + name + extra + info.comment


def _without_64(extra: bytes) -> bytes:
    """Returns the extra field without the part that has sizes beyond 4 GiB."""
    kept, at = b"", 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        if kind != _EXTRA_64:
            kept += extra[at : at + 4 + size]
        at += 4 + size
    return kept
