"""Pack files on disk: writing them under a temporary name, reading them, finding what is left.

Owns: names under `packs/`. A finished pack is `<pack id>.pack`. A writer works in a directory of
its own, `tmp-<random>/`, which it keeps locked; one that nobody locks is left over and is removed
by the next writer and by gc.
Layer: store. Imports the leaves, files, locks, output and packformat.

Invariants:
  P1. A file gets its final name only when all its bytes are durable, and is never changed after.

Concurrency: a PackWriter belongs to one thread at a time. PackFiles is for any thread.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, BinaryIO

from mlbfs.errors import CorruptionError, ErrorKind, storage_error
from mlbfs.store import packformat
from mlbfs.store.locks import try_lock_fd
from mlbfs.store.output import Output

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from mlbfs.ids import PackId
    from mlbfs.store.files import Files

DIRECTORY = "packs"
SUFFIX = ".pack"
TEMPORARY = "tmp-"
MAX_OPEN_PACKS = 64
"""Descriptors kept for reading. More would press on the usual limit of 1,024 per process."""

Record = tuple[bytes, int, int, int, int, int]
"""id, offset, record_len, plain_len, kind, codec; a plain tuple, for there are very many."""


def pack_name(pack_id: bytes) -> str:
    """Returns the file name of a finished pack."""
    return pack_id.hex() + SUFFIX


def list_packs(directory: Path) -> list[Path]:
    """Returns the finished packs, by name."""
    try:
        return sorted(path for path in directory.glob("*" + SUFFIX) if path.is_file())
    except OSError as err:
        raise storage_error(err, f"directory {str(directory)!r}") from err


class WriterDirectory:
    """The locked directory that one writer works in."""

    def __init__(self, packs: Path) -> None:
        """Makes and locks the directory.

        Raises:
            StorageError: The device refused.
        """
        self._fd = -1
        while self._fd < 0:
            self.path = packs / f"{TEMPORARY}{os.urandom(8).hex()}"
            self._fd = _make_locked(self.path)

    def remove(self) -> None:
        """Removes the directory with all that is in it and gives the lock back."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            try:
                _remove_directory(self.path)
            finally:
                os.close(fd)


def _make_locked(path: Path) -> int:
    """Returns a descriptor, or -1 when someone took the directory for left over."""
    try:
        path.mkdir(mode=0o755)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
    except OSError as err:
        raise storage_error(err, f"directory {str(path)!r}") from err
    if try_lock_fd(fd) and os.fstat(fd).st_nlink > 0:
        return fd
    os.close(fd)
    return -1


def _remove_directory(path: Path) -> None:
    for child in list(path.iterdir()):
        child.unlink(missing_ok=True)
    path.rmdir()


def remove_leftovers(packs: Path) -> int:
    """Removes the directories of writers that are gone; returns how many bytes that freed."""
    freed = 0
    for path in packs.glob(TEMPORARY + "*"):
        try:
            freed += _remove_leftover(path)
        except FileNotFoundError:
            continue  # Someone else removes it, too.
        except OSError as err:
            raise storage_error(err, f"leftover {str(path)!r}") from err
    return freed


def _remove_leftover(path: Path) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not try_lock_fd(fd):
            return 0
        freed = sum(child.stat().st_blocks * 512 for child in path.iterdir())
        _remove_directory(path)
        return freed
    finally:
        os.close(fd)


class PackWriter:
    """One pack that is being written."""

    def __init__(self, path: Path, files: Files) -> None:
        """Creates the file at `path`.

        Raises:
            OSError: The device refused; the caller knows what to call it.
        """
        self.path = path
        self.records: list[Record] = []
        self._output = Output(path, files)
        self.size = 0
        self._write(packformat.encode_header())

    def append(self, parts: Iterable[bytes | memoryview], records: list[Record]) -> None:
        """Writes records that lie in `parts` without gaps; their offsets count from the first."""
        base = self.size
        for part in parts:
            self._write(part)
        self.records += [
            (rid, base + offset, record_len, plain_len, kind, codec)
            for rid, offset, record_len, plain_len, kind, codec in records
        ]

    def seal(self) -> SealedPack:
        """Writes the footer. The bytes are not durable before `SealedPack.sync`."""
        table_offset = self.size
        pack_id, footer = packformat.encode_footer(self.records)
        self._write(footer)
        fd = self._output.finish()
        return SealedPack(self.path, fd, pack_id, self.size, table_offset, len(self.records))

    def close(self) -> None:
        """Closes the file of a pack that will not be finished."""
        self._output.close()

    def _write(self, data: bytes | memoryview) -> None:
        self._output.write(data)
        self.size += len(data)


class SealedPack:
    """A complete pack under its temporary name."""

    __slots__ = ("_fd", "count", "pack_id", "path", "size", "table_offset")

    def __init__(
        self, path: Path, fd: int, pack_id: PackId, size: int, table_offset: int, count: int
    ) -> None:
        self.path = path
        self._fd = fd
        self.pack_id = pack_id
        self.size = size
        self.table_offset = table_offset
        self.count = count

    def sync(self, files: Files) -> None:
        """Makes the bytes durable and closes the file."""
        try:
            files.sync_file(self._fd)
        finally:
            self.close()

    def close(self) -> None:
        """Closes the file; doing it twice is fine."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def publish(self, directory: Path, files: Files) -> None:
        """Gives the file its final name (P1: after `sync`)."""
        final = directory / pack_name(self.pack_id)
        files.rename(self.path, final)
        self.path = final

    def iter_table(self) -> Iterator[tuple[bytes, int, int, int, int, int]]:
        """Yields the records from the file, for memory may hold too few of them."""
        with open(self.path, "rb") as stream:
            stream.seek(self.table_offset)
            table = stream.read(self.count * packformat.TABLE_ENTRY.size)
        for fields in packformat.TABLE_ENTRY.iter_unpack(table):
            yield fields[:6]

    def id_at(self, position: int) -> bytes:
        """Returns the id of one record, read from the file."""
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            at = self.table_offset + position * packformat.TABLE_ENTRY.size
            return os.pread(fd, 32, at)
        finally:
            os.close(fd)


class OpenPack:
    """A descriptor of a finished pack, closed when nobody refers to it any more."""

    __slots__ = ("fd", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        # Not a close() by the cache: a thread may be in the middle of a pread, and the number
        # could be given to another file at once.
        fd = getattr(self, "fd", -1)
        if fd >= 0:
            os.close(fd)


class PackFiles:
    """Open packs, the least recently used given up first."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._open: OrderedDict[bytes, OpenPack] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, pack_id: PackId) -> OpenPack:
        """Returns an open pack; keep the reference for as long as the descriptor is used.

        Raises:
            FileNotFoundError: There is no such pack, perhaps since gc has rewritten it.
            StorageError: The pack cannot be opened.
        """
        with self._lock:
            found = self._open.get(pack_id)
            if found is not None:
                self._open.move_to_end(pack_id)
                return found
        try:
            opened = OpenPack(self.directory / pack_name(pack_id))
        except FileNotFoundError:
            raise
        except OSError as err:
            raise storage_error(err, f"pack {pack_name(pack_id)}") from err
        with self._lock:
            self._open[pack_id] = opened
            if len(self._open) > MAX_OPEN_PACKS:
                self._open.popitem(last=False)
        return opened

    def refresh(self, pack_id: PackId) -> bool:
        """Gives up the descriptor of a pack; says whether its name means another file by now.

        That happens when a damaged pack is made anew from the same content.
        """
        with self._lock:
            held = self._open.pop(pack_id, None)
        if held is None:
            return False
        try:
            now = held.path.stat()
        except FileNotFoundError:
            return False
        return now.st_ino != os.fstat(held.fd).st_ino

    def close(self) -> None:
        """Gives up all descriptors."""
        with self._lock:
            self._open.clear()


def read_table(path: Path) -> list[packformat.PackRecord]:
    """Returns the table of a finished pack, checked against its id and the file's length.

    Raises:
        CorruptionError: The pack is damaged; the message names it.
        FormatVersionError: The pack is of a version that this mlbfs does not read.
        StorageError: It cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return _read_table(stream)
    except OSError as err:
        raise storage_error(err, f"pack {path.name}") from err
    except CorruptionError as err:
        raise damaged_pack(path, err.message) from err


def _read_table(stream: BinaryIO) -> list[packformat.PackRecord]:
    header = stream.read(packformat.HEADER.size)
    size = os.fstat(stream.fileno()).st_size
    stream.seek(max(0, size - packformat.TRAILER.size))
    # The trailer has a checksum and the header has none: what it says of the version counts.
    trailer = packformat.parse_trailer(stream.read(packformat.TRAILER.size))
    if header != packformat.encode_header():
        raise packformat.damaged("the header does not fit the trailer")
    start = size - packformat.TRAILER.size - trailer.table_len
    if start < packformat.HEADER.size:
        raise packformat.damaged("the table is longer than the file")
    stream.seek(start)
    return packformat.parse_table(stream.read(trailer.table_len), trailer, size)


def damaged_pack(path: Path, what: str) -> CorruptionError:
    """Returns the error that names a damaged pack."""
    return CorruptionError(
        f"pack {path.name}: {what}", kind=ErrorKind.CORRUPT_PACK, hint="run 'mlbfs fsck'"
    )
