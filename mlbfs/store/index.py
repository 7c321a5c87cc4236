"""Chunk index: where each chunk and recipe lies, which packs there are, directory indexes.

Rows, little-endian unless said otherwise; the page docs/format/index-lmdb.md is normative:

    chunks       id -> pack number u32, offset u64, record_len u32, plain_len u32
    files        file id -> tag u8, then for tag 0 the recipe root itself, for tag 1 pack number
                 u32, offset u64, record_len u32, plain_len u32, file size u64; tag bit 7 is set
                 when a chunk of the file was lost
    packs        number as big-endian u32 -> pack id 32, size u64, verified_at i64 (seconds since
                 1970), records u32, flags u32
    directories  tree id -> directory index (dirindex.py)
    sources      BLAKE3-256 of a host path -> stamp of the file there and its id (stamps.py)
    meta         b"version" -> u32, b"next-pack" -> u32, b"state" -> b"ready" or b"rebuilding"

Owns: these rows and nothing that packs and Git cannot restore (I1).
Layer: store. Imports the leaves, environment and recipe.

Invariants:
  I1. Deleting the index and rebuilding it loses nothing but derived directory indexes.
  I2. A row names only packs that are durable.
  I3. A file row without the lost mark means that every chunk of the file has a row.

Concurrency: any thread and any number of processes; see environment.py.
"""

from __future__ import annotations

import struct
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

from mlbfs.errors import (
    CorruptionError,
    ErrorKind,
    FormatVersionError,
    InvalidInputError,
    StorageError,
)
from mlbfs.ids import ObjectId, PackId
from mlbfs.store.environment import Environment, close_environment, open_environment
from mlbfs.store.recipe import root_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import lmdb

VERSION = 1
FILE_NAME = "index.lmdb"
LOCATION = struct.Struct("<IQII")
FILE_LOCATION = struct.Struct("<BIQIIQ")
PACK = struct.Struct("<32sQqII")
_PACK_KEY = struct.Struct(">I")
_U32 = struct.Struct("<I")

TAG_INLINE = 0
TAG_LOCATED = 1
LOST = 0x80
"""Tag bit: a chunk of the file is gone. Reading what is left works; an import stores it anew."""

INLINE_LIMIT = 1024
"""Roots up to this length lie in the index: one look-up fewer per file. Longer values would leave
too few rows on a page."""


class Location(NamedTuple):
    """Where a record lies."""

    pack: int
    offset: int
    record_len: int
    plain_len: int


class FileRow(NamedTuple):
    """What the index knows of a file: its size, and its root or where that lies."""

    size: int
    root: bytes | None
    location: Location | None
    lost: bool


@dataclass(frozen=True, slots=True)
class PackRow:
    """What the index knows of a pack."""

    number: int
    pack_id: PackId
    size: int
    verified_at: int
    records: int


@dataclass(frozen=True, slots=True)
class IndexCounts:
    """How many rows there are."""

    chunks: int
    files: int
    packs: int
    directories: int


def _damaged(what: str) -> CorruptionError:
    return CorruptionError(
        f"chunk index: {what}", kind=ErrorKind.CORRUPT_INDEX, hint="run 'mlbfs fsck --repair'"
    )


def inline_row(root: bytes) -> bytes:
    """Returns the row of a file whose root is short."""
    return b"\0" + root


def located_row(location: Location, size: int) -> bytes:
    """Returns the row of a file whose root lies in a pack only."""
    return FILE_LOCATION.pack(TAG_LOCATED, *location, size)


def parse_file_row(row: bytes) -> FileRow:
    """Parses a row of the table `files`.

    Raises:
        CorruptionError: It is not one.
    """
    tag = row[0] if row else 0xFF
    lost = bool(tag & LOST)
    if tag & ~LOST == TAG_INLINE:
        root = row[1:]
        return FileRow(root_size(root), root, None, lost)
    if tag & ~LOST == TAG_LOCATED and len(row) == FILE_LOCATION.size:
        _, pack, offset, record_len, plain_len, size = FILE_LOCATION.unpack(row)
        return FileRow(size, None, Location(pack, offset, record_len, plain_len), lost)
    raise _damaged("a file row cannot be parsed")


def parse_location(row: bytes) -> Location:
    """Parses a row of the table `chunks`."""
    if len(row) != LOCATION.size:
        raise _damaged("a chunk row cannot be parsed")
    return Location(*LOCATION.unpack(row))


class ChunkIndex:
    """The chunk index of one store."""

    def __init__(self, path: Path) -> None:
        """Opens the index, making an empty one where there is none.

        Raises:
            CorruptionError: The file is not an index (CORRUPT_INDEX).
            FormatVersionError: It was written by a newer mlbfs.
        """
        self._path = path
        self._environment: Environment | None = open_environment(path)
        tables = self._env.tables
        self._chunks, self._files = tables[b"chunks"], tables[b"files"]
        self._packs, self._directories = tables[b"packs"], tables[b"directories"]
        self._sources, self._meta = tables[b"sources"], tables[b"meta"]
        try:
            self._check_version()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Gives the environment up; doing it twice is fine."""
        environment, self._environment = self._environment, None
        if environment is not None:
            close_environment(environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _env(self) -> Environment:
        if self._environment is None:
            raise InvalidInputError("the repository was closed; open it again to read from it")
        return self._environment

    def _check_version(self) -> None:
        with self._env.reading() as txn:
            row = txn.get(b"version", db=self._meta)
        if row is None:
            with self._env.writing() as txn:
                txn.put(b"version", _U32.pack(VERSION), db=self._meta)
            return
        version = _U32.unpack(row)[0] if len(row) == _U32.size else 0
        if version > VERSION:
            raise FormatVersionError(f"the chunk index has format {version}", hint="update mlbfs")
        if version != VERSION:
            raise _damaged("it has no valid version")

    # Reading

    def chunk(self, chunk_id: bytes) -> Location | None:
        """Returns where a chunk or recipe node lies."""
        row = self._env.get(self._chunks, chunk_id)
        return None if row is None else parse_location(row)

    def chunks(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        """Returns the raw rows of those chunks that are known."""
        with self._env.reading() as txn:
            return dict(txn.cursor(self._chunks).getmulti(ids))

    def file(self, file_id: bytes) -> FileRow | None:
        """Returns what is known of a file."""
        row = self._env.get(self._files, file_id)
        return None if row is None else parse_file_row(row)

    def files(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        """Returns the raw rows of those files that are known."""
        with self._env.reading() as txn:
            return dict(txn.cursor(self._files).getmulti(ids))

    def sources(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Returns the raw rows of those files of the host that were read before (stamps.py)."""
        with self._env.reading() as txn:
            return dict(txn.cursor(self._sources).getmulti(keys))

    def source_count(self) -> int:
        """Returns how many files of the host are noted."""
        with self._env.reading() as txn:
            return int(txn.stat(self._sources)["entries"])

    def iter_sources(self, batch: int = 1000) -> Iterator[tuple[bytes, bytes]]:
        """Yields the raw rows of files of the host, with no transaction held between batches."""
        return self._iter_rows(self._sources, batch)

    def iter_files(self, batch: int = 1000) -> Iterator[tuple[bytes, FileRow]]:
        """Yields every file, without holding a transaction between batches."""
        for key, row in self._iter_rows(self._files, batch):
            yield key, parse_file_row(row)

    def iter_chunks(self, batch: int = 1000) -> Iterator[tuple[bytes, Location]]:
        """Yields every chunk and node, without holding a transaction between batches."""
        for key, row in self._iter_rows(self._chunks, batch):
            yield key, parse_location(row)

    def iter_directory_ids(self, batch: int = 1000) -> Iterator[ObjectId]:
        """Yields the tree id of every directory index."""
        for key, _ in self._iter_rows(self._directories, batch):
            yield ObjectId(key)

    def _iter_rows(self, table: lmdb._Database, batch: int) -> Iterator[tuple[bytes, bytes]]:
        after = b""
        while True:
            rows: list[tuple[bytes, bytes]] = []
            with self._env.reading() as txn:
                cursor = txn.cursor(table)
                more = cursor.set_range(after) if after else cursor.first()
                while more and len(rows) < batch:
                    rows.append(cursor.item())
                    more = cursor.next()
            yield from rows
            if len(rows) < batch:
                return
            after = rows[-1][0] + b"\0"

    def pack(self, number: int) -> PackRow | None:
        """Returns what is known of a pack."""
        row = self._env.get(self._packs, _PACK_KEY.pack(number))
        return None if row is None else _parse_pack(number, row)

    def packs(self) -> list[PackRow]:
        """Returns all packs by number."""
        with self._env.reading() as txn:
            rows = list(txn.cursor(self._packs))
        return [_parse_pack(_PACK_KEY.unpack(key)[0], row) for key, row in rows]

    def directory(self, tree_id: bytes) -> bytes | None:
        """Returns the encoded index of a directory."""
        return self._env.get(self._directories, tree_id)

    def state(self) -> bytes:
        """Returns b"ready", b"rebuilding", or b"" for an index that was just made."""
        with self._env.reading() as txn:
            return txn.get(b"state", b"", db=self._meta)

    def counts(self) -> IndexCounts:
        """Returns how many rows there are."""
        with self._env.reading() as txn:
            tables = (self._chunks, self._files, self._packs, self._directories)
            return IndexCounts(*[txn.stat(table)["entries"] for table in tables])

    def check_in_place(self) -> None:
        """Refuses to go on when the index file was deleted or replaced under our feet.

        Raises:
            StorageError: It was; rows written now would be lost.
        """
        if not self._env.is_in_place(self._path):
            raise StorageError(
                f"the chunk index {str(self._path)!r} was replaced while it was open",
                hint="unmount and mount again, or run the command again",
            )

    def trim(self) -> int:
        """Gives back what a transaction that failed has left at the end of the file."""
        return self._env.trim()

    def check_readers(self) -> int:
        """Frees the places of readers that died; returns how many."""
        return self._env.env.reader_check()

    # Writing

    @contextmanager
    def begin(self) -> Iterator[IndexTransaction]:
        """Gives a write transaction; durable when the block ends, undone when it raises."""
        environment = self._env
        with environment.writing() as txn:
            yield IndexTransaction(txn, environment.tables)


def _parse_pack(number: int, row: bytes) -> PackRow:
    if len(row) != PACK.size:
        raise _damaged("a pack row cannot be parsed")
    pack_id, size, verified_at, records, _ = PACK.unpack(row)
    return PackRow(number, PackId(pack_id), size, verified_at, records)


class IndexTransaction:
    """Changes to the index that become visible and durable together."""

    def __init__(self, txn: lmdb.Transaction[bytes], tables: dict[bytes, lmdb._Database]) -> None:
        self._txn = txn
        self._tables = tables
        self._numbers: dict[bytes, int] | None = None

    def add_pack(self, pack_id: bytes, size: int, records: int, verified_at: int) -> int:
        """Adds a pack, or renews the row of one with the same id; returns its number."""
        if self._numbers is None:
            rows = self._txn.cursor(self._tables[b"packs"])
            self._numbers = {row[:32]: _PACK_KEY.unpack(key)[0] for key, row in rows}
        number = self._numbers.get(pack_id)
        if number is None:
            row = self._txn.get(b"next-pack", _U32.pack(1), db=self._tables[b"meta"])
            number = int(_U32.unpack(row)[0])
            self._txn.put(b"next-pack", _U32.pack(number + 1), db=self._tables[b"meta"])
            self._numbers[pack_id] = number
        value = PACK.pack(pack_id, size, verified_at, records, 0)
        self._txn.put(_PACK_KEY.pack(number), value, db=self._tables[b"packs"])
        return number

    def set_verified(self, pack: PackRow, verified_at: int) -> None:
        """Notes when a pack was last verified."""
        value = PACK.pack(pack.pack_id, pack.size, verified_at, pack.records, 0)
        self._txn.put(_PACK_KEY.pack(pack.number), value, db=self._tables[b"packs"])

    def put_chunks(self, rows: list[tuple[bytes, bytes]]) -> None:
        """Adds or replaces rows of chunks."""
        self._put(b"chunks", rows)

    def put_files(self, rows: list[tuple[bytes, bytes]]) -> None:
        """Adds or replaces rows of files."""
        self._put(b"files", rows)

    def put_sources(self, rows: list[tuple[bytes, bytes]]) -> None:
        """Adds or replaces rows of files of the host."""
        self._put(b"sources", rows)

    def remove_sources(self, keys: Iterable[bytes]) -> None:
        """Removes rows of files of the host."""
        for key in keys:
            self._txn.delete(key, db=self._tables[b"sources"])

    def put_directories(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        """Adds or replaces directory indexes."""
        for tree_id, data in items:
            self._txn.put(tree_id, data, db=self._tables[b"directories"])

    def get_chunk(self, chunk_id: bytes) -> bytes | None:
        """Returns the raw row of a chunk as this transaction sees it."""
        return self._txn.get(chunk_id, db=self._tables[b"chunks"])

    def get_file(self, file_id: bytes) -> bytes | None:
        """Returns the raw row of a file as this transaction sees it."""
        return self._txn.get(file_id, db=self._tables[b"files"])

    def remove_chunks(self, ids: Iterable[bytes]) -> None:
        """Removes rows of chunks."""
        for chunk_id in ids:
            self._txn.delete(chunk_id, db=self._tables[b"chunks"])

    def remove_files(self, ids: Iterable[bytes]) -> None:
        """Removes rows of files."""
        for file_id in ids:
            self._txn.delete(file_id, db=self._tables[b"files"])

    def remove_directories(self, ids: Iterable[bytes]) -> None:
        """Removes directory indexes."""
        for tree_id in ids:
            self._txn.delete(tree_id, db=self._tables[b"directories"])

    def remove_pack(self, number: int) -> None:
        """Removes the row of a pack."""
        self._txn.delete(_PACK_KEY.pack(number), db=self._tables[b"packs"])

    def clear(self) -> None:
        """Removes everything that packs can restore."""
        for name in (b"chunks", b"files", b"packs"):
            self._txn.drop(self._tables[name], delete=False)

    def set_state(self, state: bytes) -> None:
        """Notes the state of the index."""
        self._txn.put(b"state", state, db=self._tables[b"meta"])

    def _put(self, name: bytes, rows: list[tuple[bytes, bytes]]) -> None:
        # In order of the keys: neighbours share their pages, and an empty table fills them whole.
        rows.sort()
        table = self._tables[name]
        empty = self._txn.stat(table)["entries"] == 0
        cursor = self._txn.cursor(table)
        if empty:
            rows = [row for at, row in enumerate(rows) if at == 0 or rows[at - 1][0] != row[0]]
        cursor.putmulti(rows, append=empty)
