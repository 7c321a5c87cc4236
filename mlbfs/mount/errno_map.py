"""The one table from errors to errno values.

Owns: which errno a program sees. No other module of mlbfs names one as an answer.
Layer: mount.

The nearest class in an error's ancestry decides. What is not in the table is a bug of ours and is
EIO, with its traceback in the log: never zeros, never a dead mount.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import time

from mlbfs import errors
from mlbfs.workspace import vfs_errors

log = logging.getLogger(__name__)

ERRNO_TABLE: dict[type[Exception], int] = {
    vfs_errors.NoEntry: errno.ENOENT,
    vfs_errors.Exists: errno.EEXIST,
    vfs_errors.NotDirectory: errno.ENOTDIR,
    vfs_errors.IsDirectory: errno.EISDIR,
    vfs_errors.NotEmpty: errno.ENOTEMPTY,
    vfs_errors.NameTooLong: errno.ENAMETOOLONG,
    vfs_errors.Invalid: errno.EINVAL,
    vfs_errors.NotPermitted: errno.EPERM,
    vfs_errors.ReadOnly: errno.EROFS,
    vfs_errors.NoSpace: errno.ENOSPC,
    vfs_errors.Io: errno.EIO,
    vfs_errors.NoData: errno.ENODATA,
    vfs_errors.CrossLink: errno.EXDEV,
    vfs_errors.Stale: errno.ESTALE,
    vfs_errors.TooBig: errno.EFBIG,
    vfs_errors.TooManyLinks: errno.EMLINK,
    vfs_errors.Unsupported: errno.EOPNOTSUPP,
    vfs_errors.VfsError: errno.EIO,
    errors.UserError: errno.EINVAL,
    errors.InvalidInputError: errno.EINVAL,
    errors.UnsupportedError: errno.EOPNOTSUPP,
    # Content that a tree names is not here. The name exists, so ENOENT would be a lie.
    errors.NotFoundError: errno.EIO,
    errors.AlreadyExistsError: errno.EEXIST,
    errors.ConflictError: errno.EBUSY,
    errors.ReadOnlyError: errno.EROFS,
    errors.StorageError: errno.EIO,
    errors.StoreFullError: errno.ENOSPC,
    errors.InterruptedByUserError: errno.EINTR,
    errors.CorruptionError: errno.EIO,
    errors.FormatError: errno.EIO,
    errors.FormatVersionError: errno.EIO,
    errors.InternalError: errno.EIO,
    errors.MlbfsError: errno.EIO,
}

_DAMAGE = (errors.CorruptionError, errors.NotFoundError)

_TOLD_LIMIT = 1000
_told: set[str] = set()
"""Damage that has a line in the log; a program may read the same bad bytes again and again."""

_SHORTAGE_PAUSE = 60.0
"""Seconds without a shortage of room after which the next one is told of."""

_shortages: list[float] = []
"""When the device was found full last."""


def errno_of(error: Exception) -> int:
    """Returns the errno for an error; EIO for what is not in the table."""
    for cls in type(error).__mro__:
        found = ERRNO_TABLE.get(cls)
        if found is not None:
            return found
    return errno.EIO


def has_a_line(error: Exception) -> bool:
    """Returns whether `report` will write a line about the file that an error met."""
    if isinstance(error, _DAMAGE):
        return error.message not in _told
    return errno_of(error) == errno.EIO


def report(error: Exception, operation: str, inode: int, path: bytes | None = None) -> int:
    """Writes to the log what an operator must know of `error` and returns its errno.

    Everyday answers (no such file) leave no line.
    """
    number = errno_of(error)
    what = f"{operation} of inode {inode:#x}"
    if path is not None:
        what += f" ({os.fsdecode(path)!r})"
    if isinstance(error, vfs_errors.VfsError):
        if number == errno.EIO or (number == errno.ENOSPC and _is_new_shortage()):
            log.error("%s: %s", what, error)
    elif isinstance(error, _DAMAGE):
        _report_damage(error, what)
    elif isinstance(error, errors.MlbfsError):
        log.error("%s: %s", what, error.message)
    else:
        log.error("%s: unexpected error", what, exc_info=error)
    return number


def _is_new_shortage() -> bool:
    """Returns whether a full device has to be told of; the log may lie on the same one."""
    now = time.monotonic()
    last = _shortages[-1] if _shortages else -math.inf
    _shortages[:] = [now]
    return now - last > _SHORTAGE_PAUSE


def _report_damage(error: errors.MlbfsError, what: str) -> None:
    """Writes one line for each piece of damage."""
    level = logging.DEBUG if error.message in _told else logging.ERROR
    if len(_told) >= _TOLD_LIMIT:
        _told.clear()
    _told.add(error.message)
    hint = error.hint or "run 'mlbfs fsck'"
    log.log(level, "%s: %s; %s", what, error.message, hint)
