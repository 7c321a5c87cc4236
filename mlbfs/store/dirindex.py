"""Directory index: one directory of a snapshot as a compact sorted array.

Pure: bytes to values and back. Little-endian. The page docs/format/directory-index-v1.md is
normative; the table is repeated here.

Header, 40 bytes:

    ==  ====  =======================================================
    0   4     magic "MDIR"
    4   u16   version, 1
    6   u16   flags, 0
    8   i64   time_ns: modification time shown for everything in it
    16  u32   count: number of entries
    20  u32   names_len: bytes of all names together
    24  u64   zero
    32  u64   XXH3-64 of bytes 0..32 followed by bytes 40..end
    ==  ====  =======================================================

then `count` entries of 48 bytes, sorted by name as unsigned bytes:

    ==  ====  =======================================================
    0   u32   name_end: end of the name in the names; begins where the one before ends
    4   u8    kind: 1 file, 2 executable, 3 symlink, 4 directory, 5 submodule
    5   u8    content_len: 32 (file id) or 20 (Git object id)
    6   u16   zero
    8   u64   size
    16  32    content, zero-filled behind content_len
    ==  ====  =======================================================

then the names, one after another.

Layer: store. Imports the leaves only.
Concurrency: a DirectoryIndex never changes; any number of threads may read it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import xxhash

from mlbfs.errors import ErrorKind, FormatError, InvalidInputError
from mlbfs.ids import FILE_ID_SIZE, OBJECT_ID_SIZE, FileId, ObjectId
from mlbfs.limits import MAX_NAME_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAGIC = b"MDIR"
VERSION = 1
HEADER = struct.Struct("<4sHHqIIQQ")
ENTRY = struct.Struct("<IBBHQ32s")
_CHECKED_HEADER_SIZE = 32
_NAME_END = struct.Struct("<I")
_ROW = struct.Struct("<I44s")


class EntryKind(IntEnum):
    """What a directory entry is; the numbers are part of the format."""

    FILE = 1
    EXECUTABLE = 2
    SYMLINK = 3
    DIRECTORY = 4
    SUBMODULE = 5


_KINDS: dict[int, EntryKind] = {int(kind): kind for kind in EntryKind}


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """One name in a directory.

    Attributes:
        name: The name, without slashes.
        kind: What it is.
        size: Length of the content; of the target for a symlink; 0 for a directory.
        content: 32 bytes are a file id (content in the chunk store or among Git LFS objects),
            20 bytes a Git object id (blob, tree or submodule commit).
    """

    name: bytes
    kind: EntryKind
    size: int
    content: bytes

    @property
    def is_directory(self) -> bool:
        """Whether the entry is a directory of the same repository."""
        return self.kind is EntryKind.DIRECTORY

    @property
    def is_symlink(self) -> bool:
        """Whether the entry is a symbolic link."""
        return self.kind is EntryKind.SYMLINK

    @property
    def file_id(self) -> FileId | None:
        """The file id, when the content lies in the chunk store."""
        return FileId(self.content) if len(self.content) == FILE_ID_SIZE else None

    @property
    def object_id(self) -> ObjectId | None:
        """The Git object id, when the content lies in Git."""
        return ObjectId(self.content) if len(self.content) == OBJECT_ID_SIZE else None


def encode_directory(entries: Iterable[DirectoryEntry], *, time_ns: int) -> bytes:
    """Returns the encoded index of a directory; sorts by name bytes.

    Args:
        entries: The entries, in any order.
        time_ns: Modification time shown for everything in the directory.

    Raises:
        InvalidInputError: A name is empty, too long, taken twice or holds a slash or NUL; or an
            id is neither 20 nor 32 bytes long.
    """
    ordered = sorted(entries, key=lambda entry: entry.name)
    table, names = [], []
    end, previous = 0, None
    for entry in ordered:
        name, content = entry.name, entry.content
        _check_entry(name, content, previous)
        end += len(name)
        table.append(ENTRY.pack(end, entry.kind, len(content), 0, entry.size, content))
        names.append(name)
        previous = name
    return finish_directory(table, names, count=len(ordered), names_len=end, time_ns=time_ns)


def finish_directory(
    table: list[bytes], names: list[bytes], *, count: int, names_len: int, time_ns: int
) -> bytes:
    """Returns an encoded directory from the parts of its table and of its names."""
    body = b"".join([*table, *names])
    head = HEADER.pack(MAGIC, VERSION, 0, time_ns, count, names_len, 0, 0)
    checked = head[:_CHECKED_HEADER_SIZE]
    return checked + _checksum(checked, body).to_bytes(8, "little") + body


def _check_entry(name: bytes, content: bytes, previous: bytes | None) -> None:
    if not 0 < len(name) <= MAX_NAME_LENGTH or b"/" in name or b"\0" in name:
        raise InvalidInputError(
            f"{name!r} is not a name for a directory entry", kind=ErrorKind.INVALID_PATH
        )
    if name == previous:
        raise InvalidInputError(f"{name!r} is there twice", kind=ErrorKind.INVALID_PATH)
    if len(content) not in (OBJECT_ID_SIZE, FILE_ID_SIZE):
        raise InvalidInputError(f"{name!r} has an id of {len(content)} bytes")


def _checksum(head: bytes, body: bytes | memoryview) -> int:
    state = xxhash.xxh3_64(head)
    state.update(body)
    return int(state.intdigest())


def _bad(what: str) -> FormatError:
    return FormatError(
        f"directory index: {what}",
        kind=ErrorKind.CORRUPT_INDEX,
        hint="run 'mlbfs fsck --repair'",
    )


class DirectoryIndex:
    """Reads an encoded directory without unpacking it.

    Attributes:
        time_ns: Modification time shown for everything in the directory.
        nbytes: Length of the encoded form.
    """

    __slots__ = ("_count", "_data", "_names", "nbytes", "time_ns")

    def __init__(self, data: bytes) -> None:
        """Wraps and checks `data`.

        Raises:
            FormatError: `data` is no directory index, is cut off or was damaged.
        """
        if len(data) < HEADER.size:
            raise _bad(f"{len(data)} bytes are too short")
        magic, version, flags, time_ns, count, names_len, zero, checksum = HEADER.unpack_from(data)
        if magic != MAGIC or version != VERSION or flags or zero:
            raise _bad("unknown magic, version or flags")
        names = HEADER.size + count * ENTRY.size
        if len(data) != names + names_len:
            raise _bad(f"{len(data)} bytes do not fit {count} entries")
        if _checksum(data[:_CHECKED_HEADER_SIZE], memoryview(data)[HEADER.size :]) != checksum:
            raise _bad("the checksum does not match")
        self._data = data
        self._count: int = count
        self._names: int = names
        self.time_ns: int = time_ns
        self.nbytes = len(data)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[DirectoryEntry]:
        data, names = self._data, self._names
        start = names
        table = memoryview(data)[HEADER.size : names]
        for end, kind, content_len, _, size, content in ENTRY.iter_unpack(table):
            stop = names + end
            if not start < stop <= self.nbytes:
                raise _bad("a name lies outside the names")
            yield _entry(data[start:stop], kind, content_len, size, content)
            start = stop

    def rows(self) -> list[tuple[bytes, bytes]]:
        """Returns name and encoded rest of all entries; equal rows are equal entries.

        Nothing is checked and no entry is made: this is for comparing two directories quickly.
        """
        names = self._data[self._names :]
        table = memoryview(self._data)[HEADER.size : self._names]
        found = []
        start = 0
        for end, rest in _ROW.iter_unpack(table):
            found.append((names[start:end], rest))
            start = end
        return found

    def table(self, start: int, stop: int) -> bytes:
        """Returns the encoded entries of some positions."""
        return self._data[HEADER.size + start * ENTRY.size : HEADER.size + stop * ENTRY.size]

    def names(self, start: int, stop: int) -> bytes:
        """Returns a stretch of the names, by their offsets."""
        return self._data[self._names + start : self._names + stop]

    def name_offset(self, position: int) -> int:
        """Returns where the name at a position begins among the names; the count is their end."""
        if position == 0:
            return 0
        place = HEADER.size + (position - 1) * ENTRY.size
        end: int = _NAME_END.unpack_from(self._data, place)[0]
        return end

    def bisect(self, name: bytes) -> tuple[int, bool]:
        """Returns where a name is or would be, and whether it is there."""
        low, high = 0, self._count
        while low < high:
            middle = (low + high) // 2
            if self.name(middle) < name:
                low = middle + 1
            else:
                high = middle
        return low, low < self._count and self.name(low) == name

    def name(self, position: int) -> bytes:
        """Returns the name at a position."""
        start, end = self._name_span(position)
        return self._data[start:end]

    def entry(self, position: int) -> DirectoryEntry:
        """Returns the entry at a position, in constant time.

        Raises:
            IndexError: There is no such position.
        """
        start, end = self._name_span(position)
        fields = ENTRY.unpack_from(self._data, HEADER.size + position * ENTRY.size)
        _, kind, content_len, _, size, content = fields
        return _entry(self._data[start:end], kind, content_len, size, content)

    def find(self, name: bytes) -> int | None:
        """Returns the position of `name`, or None; in logarithmic time."""
        low, high = 0, self._count
        while low < high:
            middle = (low + high) // 2
            if self.name(middle) < name:
                low = middle + 1
            else:
                high = middle
        return low if low < self._count and self.name(low) == name else None

    def check(self) -> None:
        """Checks every entry, and that they are in order; what reading takes on trust.

        Raises:
            FormatError: Something is not as it should be.
        """
        previous = b""
        for entry in self:
            if entry.name <= previous or b"/" in entry.name or b"\0" in entry.name:
                raise _bad(f"name {entry.name!r} is not valid behind {previous!r}")
            previous = entry.name

    def _name_span(self, position: int) -> tuple[int, int]:
        if not 0 <= position < self._count:
            raise IndexError(position)
        at = HEADER.size + position * ENTRY.size
        start = 0 if position == 0 else _NAME_END.unpack_from(self._data, at - ENTRY.size)[0]
        end = _NAME_END.unpack_from(self._data, at)[0]
        if not start < end <= self.nbytes - self._names:
            raise _bad("a name lies outside the names")
        return self._names + start, self._names + end


def _entry(name: bytes, kind: int, content_len: int, size: int, content: bytes) -> DirectoryEntry:
    known = _KINDS.get(kind)
    if known is None or not name or content_len not in (OBJECT_ID_SIZE, FILE_ID_SIZE):
        raise _bad(f"entry {name!r} is not valid")
    return DirectoryEntry(name, known, size, content[:content_len])
