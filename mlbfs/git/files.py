"""Small durable file operations, and lock files as Git takes them.

Owns: the lock protocol: `<path>.lock` made with O_EXCL, written, fsynced, renamed over the path.
Layer: git. Standard library and errors only.

Durability: `LockFile.publish` returns after the new content and the name are on the device.
Concurrency: a lock file excludes other processes and other threads, C Git among them.

A lock file of ours is marked from the moment it is made (`_MARK`), and its holder has it locked
with flock, which ends with the process. So one that a killed process has left is told from one
that is held, and from those of Git, and is taken away by whoever comes next. Both who makes a lock
file and who takes one away go on only if they hold the flock and the name still means that file.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import stat
import time
from typing import TYPE_CHECKING, Self

from mlbfs.errors import ConflictError, ErrorKind, storage_error

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

log = logging.getLogger(__name__)

LOCK_TIMEOUT = 2.0
"""Seconds to wait for a lock. Git holds its ref locks for milliseconds; one that stays longer was
most likely left by a program that died."""

_MARK = stat.S_ISVTX
"""Of our lock files: the sticky bit, which means nothing on files and which Git never sets."""

_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.05


def sync_directory(path: Path) -> None:
    """Makes the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directories(path: Path, *, top: Path) -> None:
    """Makes `path` and its parents below `top`, durably.

    Raises:
        NotADirectoryError: A file is in the way.
        FileNotFoundError: Another program removed a directory that was just made; try again.
    """
    missing = []
    while path != top and not path.is_dir():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        try:
            directory.mkdir()
            sync_directory(directory.parent)
        except FileExistsError:
            if directory.is_dir():
                continue
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory", str(directory)) from None


def remove_empty_directories(path: Path) -> None:
    """Removes a directory that holds nothing but empty directories; leaves any other."""
    with contextlib.suppress(OSError):  # what is not empty stays, and the caller will find it
        for child in path.iterdir():
            if child.is_dir() and not child.is_symlink():
                remove_empty_directories(child)
        path.rmdir()


def remove_empty_parents(path: Path, *, top: Path) -> None:
    """Removes the parents of `path` that are empty, up to but not including `top`."""
    with contextlib.suppress(OSError):  # the first parent that is not empty ends it
        for parent in path.parents:
            if parent == top or top not in parent.parents:
                return
            parent.rmdir()


class LockFile:
    """A held `<path>.lock`. Leaving the context without `publish` drops it.

    Args:
        path: What is locked.
        top: Directory that must exist; missing directories below it are made.
        timeout: Seconds to wait for another holder.

    Raises:
        ConflictError: The lock file stays (LOCKED).
        NotADirectoryError: A file stands where a directory is needed.
        StorageError: The lock file cannot be made.
    """

    def __init__(self, path: Path, *, top: Path, timeout: float = LOCK_TIMEOUT) -> None:
        self.path = path
        self.lock_path = path.with_name(path.name + ".lock")
        self._descriptor: int | None = self._acquire(top, timeout)

    def _acquire(self, top: Path, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        pause = _FIRST_PAUSE
        while True:
            try:
                make_directories(self.lock_path.parent, top=top)
                descriptor = _make_lock(self.lock_path)
                if descriptor is not None:
                    return descriptor
            except FileNotFoundError as err:  # someone removed the directory we just made
                if time.monotonic() > deadline:
                    raise storage_error(err, f"locking {str(self.path)!r}") from err
            except FileExistsError as err:
                if _take_away_abandoned(self.lock_path):
                    continue
                if time.monotonic() > deadline:
                    raise self._locked() from err
            except NotADirectoryError:
                raise
            except OSError as err:
                raise storage_error(err, f"locking {str(self.path)!r}") from err
            time.sleep(pause * (0.5 + os.urandom(1)[0] / 255))  # spreads the contenders
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _locked(self) -> ConflictError:
        return ConflictError(
            f"{str(self.lock_path)!r} exists: another program is changing this",
            kind=ErrorKind.LOCKED,
            hint="wait for it; if no Git program runs, delete that file",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._descriptor is None:
            return
        try:
            self.lock_path.unlink(missing_ok=True)  # first: once the flock ends it may be another's
        except OSError:
            # What the lock was for is done or has its own error; whoever comes next finds a lock
            # file that nobody holds, and takes it away.
            log.warning("%s could not be removed", self.lock_path)
        finally:
            self._close()

    def write(self, data: bytes) -> None:
        """Writes the whole new content and makes it durable; `publish` then shows it."""
        assert self._descriptor is not None
        try:
            write_all(self._descriptor, data)
            os.fsync(self._descriptor)
        except OSError as err:
            raise storage_error(err, f"writing {str(self.lock_path)!r}") from err

    def publish(self) -> None:
        """Renames the lock file over the path and makes that durable.

        Raises:
            IsADirectoryError: A directory that is not empty stands there.
            StorageError: The device refused.
        """
        assert self._descriptor is not None
        if self.path.is_dir():
            remove_empty_directories(self.path)
        try:
            self.lock_path.rename(self.path)
            _unmark(self._descriptor)
            self._close()
            sync_directory(self.path.parent)
        except IsADirectoryError:
            raise
        except OSError as err:
            raise storage_error(err, f"writing {str(self.path)!r}") from err

    def _close(self) -> None:
        assert self._descriptor is not None
        os.close(self._descriptor)
        self._descriptor = None


def _make_lock(path: Path) -> int | None:
    """Makes a lock file; None if somebody took it for abandoned before it was locked."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o666 | _MARK)
    if _holds(descriptor, path):
        return descriptor
    os.close(descriptor)
    return None


def _take_away_abandoned(path: Path) -> bool:
    """Removes a lock file that a killed process of ours has left; returns whether it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    except OSError:  # not ours, then
        return False
    try:
        if not os.fstat(descriptor).st_mode & _MARK or not _holds(descriptor, path):
            return False
        path.unlink()
    finally:
        os.close(descriptor)
    return True


def _holds(descriptor: int, path: Path) -> bool:
    """Takes the flock of a file; returns whether it was free and the name still means the file."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _unmark(descriptor: int) -> None:
    """Takes the mark from a lock file that has become the file itself."""
    os.fchmod(descriptor, stat.S_IMODE(os.fstat(descriptor).st_mode) & ~_MARK)


def replace_file(path: Path, data: bytes) -> None:
    """Gives a file new content, durably and at once for readers. The caller holds its lock.

    Raises:
        StorageError: The device refused; the file is as it was.
    """
    path = path.resolve()  # `packed-refs` may be a symbolic link; it stays one
    new = path.with_name(f"{path.name}.{os.urandom(8).hex()}")
    try:
        descriptor = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        new.rename(path)
        sync_directory(path.parent)
    except OSError as err:
        new.unlink(missing_ok=True)
        raise storage_error(err, f"writing {str(path)!r}") from err


def create_temporary(directory: Path, prefix: str) -> tuple[int, Path]:
    """Makes a new file for an object, open for reading and writing.

    It is read-only for others from the start, as far as the umask lets them read it. Git takes
    files whose name begins with `tmp_` for leftovers and removes them in time.
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
    while True:
        path = directory / f"{prefix}{os.urandom(8).hex()}"
        with contextlib.suppress(FileExistsError):
            return os.open(path, flags, 0o444), path


def write_all(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    """Writes all of `data`; a short write is continued."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
