"""The system calls that Python has no function for."""

from __future__ import annotations

import ctypes
import os

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
UTIME_NOW = (1 << 30) - 1
UTIME_OMIT = (1 << 30) - 2

_libc = ctypes.CDLL(None, use_errno=True)


class _Timespec(ctypes.Structure):
    _fields_ = (("sec", ctypes.c_long), ("nsec", ctypes.c_long))


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def renameat2(old: str, new: str, flags: int) -> None:
    """Renames with flags."""
    _check(
        _libc.renameat2(
            AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), ctypes.c_uint(flags)
        )
    )


def _timespec(word: str) -> _Timespec:
    if word in ("now", "omit"):
        return _Timespec(0, UTIME_NOW if word == "now" else UTIME_OMIT)
    seconds, _, nanoseconds = word.partition(".")
    return _Timespec(int(seconds), int(nanoseconds or 0))


def utimensat(target: str | int, atime: str, mtime: str, *, follow: bool = True) -> None:
    """Sets times: `now`, `omit`, or seconds with a dot before nanoseconds."""
    times = (_Timespec * 2)(_timespec(atime), _timespec(mtime))
    if isinstance(target, int):
        _check(_libc.futimens(target, times))
        return
    flags = 0 if follow else AT_SYMLINK_NOFOLLOW
    _check(_libc.utimensat(AT_FDCWD, os.fsencode(target), times, flags))


def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
    """Makes room, punches holes."""
    _check(_libc.fallocate(fd, mode, ctypes.c_int64(offset), ctypes.c_int64(length)))
