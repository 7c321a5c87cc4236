"""The LMDB environment under the chunk index: opened once per process, errors translated.

Owns: the table of environments open in this process. LMDB must not be opened twice by one process
(its POSIX locks would fall with the first close), so two stores of one process share one.
Layer: store. Imports the leaves only. The one module that names lmdb's exceptions.

Concurrency: any thread. Read transactions are short and never held while waiting. An environment
must not be used in a child after fork; a child that opens the store again gets its own.
"""

from __future__ import annotations

import errno
import os
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import lmdb

from mlbfs.errors import (
    CorruptionError,
    ErrorKind,
    InternalError,
    MlbfsError,
    StorageError,
    StoreFullError,
    storage_error,
)
from mlbfs.limits import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

MAP_SIZE = 1024 * GIB
"""Address space, not disk: the file grows as it is filled. A smaller one is tried where the
process may not map so much."""
_SMALLEST_MAP = GIB
_MAX_READERS = 1024
_LITTLE_ROOM = MIB
"""Less than this is free on a device that took a part of a write because it is full: LMDB writes up
to 256 KiB at once, and a file system keeps some blocks back."""
_NO_SPACE = os.strerror(errno.ENOSPC)
_NAMES = (b"chunks", b"files", b"packs", b"directories", b"sources", b"meta")

_DAMAGE = (
    lmdb.CorruptedError,
    lmdb.PageNotFoundError,
    lmdb.InvalidError,
    lmdb.VersionMismatchError,
    lmdb.PanicError,
    lmdb.IncompatibleError,
    lmdb.NotFoundError,
)


class Environment:
    """An open LMDB file with its tables; see `open_environment`.

    Attributes:
        active: One item per open transaction; a list, for its ends need no lock.
        env: The LMDB handle.
        tables: The tables by name.
    """

    __slots__ = ("active", "env", "key", "pid", "tables", "users")

    def __init__(self, env: lmdb.Environment, key: tuple[int, int, int]) -> None:
        self.env = env
        self.key = key
        self.pid = os.getpid()
        self.users = 1
        self.active: list[None] = []
        self.tables = {name: env.open_db(name) for name in _NAMES}

    def get(self, table: lmdb._Database, key: bytes) -> bytes | None:
        """Returns one value; the same as a look-up in `reading`, at a third of its cost."""
        self.active.append(None)
        try:
            with self._begin() as txn:
                return txn.get(key, db=table)
        except lmdb.Error as err:
            raise translate(err) from err
        finally:
            self.active.pop()

    @contextmanager
    def reading(self) -> Iterator[lmdb.Transaction[bytes]]:
        """Gives a read transaction; keep it short."""
        with self._counted(), translated(), self._begin() as txn:
            yield txn

    @contextmanager
    def writing(self) -> Iterator[lmdb.Transaction[bytes]]:
        """Gives the write transaction; durable when the block ends, undone when it raises."""
        self._check_process()
        try:
            with self._counted(), translated(), self.env.begin(write=True) as txn:
                yield txn
        except StorageError as err:
            # LMDB says EIO when the device took a part of a write, and full is what it is then.
            is_full = isinstance(err, StoreFullError) or self._has_no_room()
            with suppress(MlbfsError):  # what is told of is the first failure
                self.trim()
            if is_full and not isinstance(err, StoreFullError):
                raise storage_error(OSError(errno.ENOSPC, _NO_SPACE), "chunk index") from err
            raise

    def _has_no_room(self) -> bool:
        try:
            found = os.statvfs(self.env.path())
        except OSError:
            return False
        return found.f_bavail * found.f_frsize < _LITTLE_ROOM

    def trim(self) -> int:
        """Cuts what a transaction that failed has left behind the last page; returns the bytes.

        Pages in the middle that are free stay: the next transactions use them.
        """
        with self._counted(), translated(), self.env.begin(write=True):  # no other writer now
            end = (self.env.info()["last_pgno"] + 1) * self.env.stat()["psize"]
            try:
                with Path(self.env.path()).open("r+b") as file:
                    status = os.fstat(file.fileno())
                    is_ours = self.key[1:] == (status.st_dev, status.st_ino)
                    if not is_ours or status.st_size <= end:  # another file has taken its place
                        return 0
                    file.truncate(end)
            except OSError as err:
                raise storage_error(err, "chunk index") from err
        return status.st_size - end

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.active.append(None)
        try:
            yield
        finally:
            self.active.pop()

    def is_in_place(self, path: Path) -> bool:
        """Whether the open file is still the one that `path` names."""
        return self.key == _file_key(path)

    def _begin(self) -> lmdb.Transaction[bytes]:
        self._check_process()
        try:
            return self.env.begin()
        except lmdb.MapResizedError:
            # Another process maps more than we do: adopt its size.
            self.env.set_mapsize(0)
            return self.env.begin()

    def _check_process(self) -> None:
        if self.pid != os.getpid():
            raise InternalError("a chunk store was carried across fork")


_open: dict[tuple[int, int, int], Environment] = {}
_open_lock = threading.Lock()
os.register_at_fork(after_in_child=lambda: _forget_parent())


def _forget_parent() -> None:
    # The lock may have been held by a thread that the child does not have.
    global _open_lock
    _open_lock = threading.Lock()


def open_environment(path: Path) -> Environment:
    """Opens the environment at `path`, made when it is missing, or joins one open already."""
    with _open_lock:
        _close_inherited()
        found = _open.get(_file_key(path))
        if found is not None:
            found.users += 1
            return found
        with translated():
            env = _open_file(path)
            try:
                env.reader_check()
                opened = Environment(env, _file_key(path))
            except BaseException:
                env.close()
                raise
        _open[opened.key] = opened
        return opened


def _close_inherited() -> None:
    """Closes what a fork has left in this child: LMDB refuses to open the file again beside it.

    One that was in the middle of a transaction must stay, for closing would end the parent's.
    """
    for key, inherited in list(_open.items()):
        if inherited.pid != os.getpid() and not inherited.active:
            inherited.env.close()
            del _open[key]


def close_environment(environment: Environment) -> None:
    """Gives up one use; the last one closes the file."""
    if environment.pid != os.getpid():
        return
    with _open_lock:
        environment.users -= 1
        if environment.users == 0:
            del _open[environment.key]
            environment.env.close()


def _file_key(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return (os.getpid(), 0, 0)
    return (os.getpid(), status.st_dev, status.st_ino)


def _open_file(path: Path) -> lmdb.Environment:
    size = MAP_SIZE
    while True:
        try:
            return lmdb.open(
                str(path),
                map_size=size,
                subdir=False,
                readahead=False,
                meminit=False,
                max_dbs=len(_NAMES),
                max_readers=_MAX_READERS,
                max_spare_txns=0,  # A child after fork could give a spare one's slot away.
                mode=0o644,
            )
        except lmdb.Error as err:
            size //= 8
            if err.code != errno.ENOMEM or size < _SMALLEST_MAP:
                raise


@contextmanager
def translated() -> Iterator[None]:
    """Turns what LMDB raises into errors of ours."""
    try:
        yield
    except lmdb.Error as err:
        raise translate(err) from err


def translate(err: lmdb.Error) -> MlbfsError:
    """Returns the error of ours for one of LMDB."""
    if isinstance(err, lmdb.MapFullError):
        return StoreFullError(
            "chunk index: its address space is used up", hint="raise the limit of 'ulimit -v'"
        )
    if isinstance(err, _DAMAGE):
        return CorruptionError(
            f"chunk index: {err}", kind=ErrorKind.CORRUPT_INDEX, hint="run 'mlbfs fsck --repair'"
        )
    if err.code in (errno.EACCES, errno.EROFS):
        return StorageError(
            f"chunk index: {os.strerror(err.code)}",
            kind=ErrorKind.PERMISSION_DENIED,
            hint="the repository must be yours to write, also for reading from it",
        )
    if err.code > 0:
        return storage_error(OSError(err.code, os.strerror(err.code)), "chunk index")
    return StorageError(f"chunk index: {err}")
