"""Locks between processes: flock on files of the store.

Owns: the store lock (`<root>/lock`): writers share it, gc and repair take it alone. Readers take
none: packs never change, and a pack that gc has removed stays readable through an open descriptor.
Layer: store. Imports the leaves only.

Concurrency: an flock belongs to the open file, so it ends with the descriptor or the process,
however that dies. Two locks of one process exclude each other as those of two processes do.
"""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING, Self

from mlbfs.errors import ConflictError, ErrorKind, storage_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

_POLL = 0.05
"""Seconds between two looks at a lock that is waited for."""


class FileLock:
    """An flock that is held until `release`, or the end of a with block."""

    def __init__(self, path: Path, *, exclusive: bool, wait: bool = False) -> None:
        """Takes the lock.

        Args:
            path: The lock file; created when it is missing, never removed.
            exclusive: Alone, or shared with others that share.
            wait: Wait for as long as it takes instead of refusing.

        Raises:
            ConflictError: Someone else holds it (LOCKED).
            StorageError: The lock file cannot be opened.
        """
        self._fd = -1
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as err:
            raise storage_error(err, f"lock file {str(path)!r}") from err
        try:
            _flock(fd, path, exclusive=exclusive, wait=wait)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    def fileno(self) -> int:
        """Returns its descriptor: a process that has it too holds the lock as well."""
        return self._fd

    def release(self) -> None:
        """Gives the lock back; doing it twice is fine."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def _flock(fd: int, path: Path, *, exclusive: bool, wait: bool) -> None:
    mode = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        fcntl.flock(fd, mode if wait else mode | fcntl.LOCK_NB)
    except BlockingIOError as err:
        others = "a writer or gc" if exclusive else "gc"
        raise ConflictError(
            f"the chunk store is in use by {others} (lock {str(path)!r})",
            kind=ErrorKind.LOCKED,
            hint="wait until it is done and run it again",
        ) from err
    except OSError as err:
        raise storage_error(err, f"lock file {str(path)!r}") from err


def wait_for_lock(path: Path, *, seconds: float, waiting: Callable[[], None]) -> FileLock:
    """Takes a lock that is shared, once whoever has it alone is done.

    Args:
        path: The lock file.
        seconds: How long it may take.
        waiting: Is called once, when it has to be waited for.

    Raises:
        ConflictError: Someone else still holds it (LOCKED).
        StorageError: The lock file cannot be opened.
    """
    end = time.monotonic() + seconds
    is_told = False
    while True:
        try:
            return FileLock(path, exclusive=False)
        except ConflictError:
            if time.monotonic() >= end:
                raise
        if not is_told:
            waiting()
            is_told = True
        time.sleep(_POLL)  # flock itself waits without an end


def try_lock_fd(fd: int) -> bool:
    """Takes an exclusive flock on an open file if nobody has one; says whether it did."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
