"""The bytes of materialized files: one file of the host each.

Owns: names and descriptors in the workspace's `data` folder.
Layer: workspace.

A data file is named `<inode in hex>.<version>`. Its length, modification and access time *are*
those of the inode, so a write needs no second record of them that could disagree after a kill.

Concurrency: the caller holds the workspace's lock for everything but the use of a descriptor;
a descriptor that is pinned is not closed.
"""

from __future__ import annotations

import errno
import os
import re
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_OPEN_FILES = 256
"""Descriptors kept open; well below the usual limit of 1024 for a process."""

MAX_DOOMED = 256
MAX_DOOMED_SIZE = 1024 * 1024
"""Data files, and bytes of them, that wait for a sync; beyond that they do not wait for one."""

COPY_STEP = 1024 * 1024

_OPEN = os.O_RDWR | os.O_CLOEXEC | os.O_NOATIME
"""Reads leave the access time alone: the kernel's cache answers most of them, so that what the rest
would leave there means nothing."""

_NAME = re.compile(r"([0-9a-f]+)\.([0-9]+)")

DataKey = tuple[int, int]
"""Inode number and version."""


class Handle:
    """An open data file."""

    __slots__ = ("fd", "pins")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.pins = 0


class DataFiles:
    """The data files of one workspace, with a bounded number of them open."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(exist_ok=True)
        self._open: OrderedDict[DataKey, Handle] = OrderedDict()
        self._names_changed = False
        self._doomed: dict[DataKey, int] = {}

    def path(self, key: DataKey) -> str:
        """Returns the host path of a data file."""
        return f"{self.root}/{key[0]:x}.{key[1]}"

    def create(self, key: DataKey) -> Handle:
        """Makes an empty data file; one of that name is emptied (it can only be a leftover)."""
        fd = os.open(self.path(key), _OPEN | os.O_CREAT | os.O_TRUNC, 0o600)
        self._names_changed = True
        return self._remember(key, fd)

    def open(self, key: DataKey) -> Handle:
        """Returns the open data file; it stays open at least until the lock is released."""
        handle = self._open.get(key)
        if handle is None:
            handle = self._remember(key, os.open(self.path(key), _OPEN))
        else:
            self._open.move_to_end(key)
        return handle

    def stat(self, key: DataKey) -> os.stat_result:
        """Returns length and times of a data file."""
        handle = self._open.get(key)
        if handle is not None:
            return os.fstat(handle.fd)
        return os.stat(self.path(key))  # noqa: PTH116 - a Path costs more than the call

    def fresh_version(self, ino: int) -> int:
        """Returns a version for an inode that has no data file; none on its way out has it."""
        return 1 + max((version for at, version in self._doomed if at == ino), default=0)

    def doom(self, key: DataKey) -> bool:
        """Lets go of a data file that `clear_doomed` deletes; returns whether it is time for that.

        Until the row that named it is gone from the device, a power cut brings that row back.
        """
        with suppress(OSError):  # gone already, by somebody else
            self._doomed[key] = self.stat(key).st_blocks * 512
        self._forget(key)
        return len(self._doomed) >= MAX_DOOMED or sum(self._doomed.values()) >= MAX_DOOMED_SIZE

    @property
    def has_doomed(self) -> bool:
        """Whether data files wait to be deleted."""
        return bool(self._doomed)

    def clear_doomed(self) -> None:
        """Deletes the data files that are not needed; rows that do not name them are durable."""
        while self._doomed:
            self.remove(self._doomed.popitem()[0])

    def remove(self, key: DataKey) -> None:
        """Deletes a data file; one that is not there is no error."""
        self._forget(key)
        try:
            os.unlink(self.path(key))  # noqa: PTH108 - as above
        except FileNotFoundError:
            return

    def _forget(self, key: DataKey) -> None:
        handle = self._open.pop(key, None)
        if handle is not None and not handle.pins:
            os.close(handle.fd)
        elif handle is not None:
            handle.pins |= _CLOSE_WHEN_UNPINNED

    def pin(self, handle: Handle) -> None:
        """Keeps a descriptor open while it is used without the lock."""
        handle.pins += 1

    def unpin(self, handle: Handle) -> None:
        """Ends one use of a descriptor."""
        handle.pins -= 1
        if handle.pins == _CLOSE_WHEN_UNPINNED:
            os.close(handle.fd)

    def copy(self, old: DataKey, new: DataKey) -> Handle:
        """Gives an empty data file the bytes and times of another."""
        source, target = self.open(old), self.open(new)
        status = os.fstat(source.fd)
        copy_bytes(source.fd, target.fd, status.st_size)
        os.utime(target.fd, ns=(status.st_atime_ns, status.st_mtime_ns))
        return target

    def begin_writing(self, key: DataKey) -> None:
        """Has the kernel begin to write a data file back, without waiting for it."""
        with suppress(OSError):  # only a hint
            os.posix_fadvise(self.open(key).fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def sync(self, key: DataKey) -> None:
        """Makes the bytes of a data file durable, and its name."""
        os.fdatasync(self.open(key).fd)
        self.sync_names()

    def sync_names(self) -> None:
        """Makes the names of data files durable."""
        if not self._names_changed:
            return
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
            self._names_changed = False
        finally:
            os.close(fd)

    def filled(self, key: DataKey, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yields the parts of a range of a data file that are no holes."""
        fd = self.open(key).fd
        while start < stop:
            try:
                start = os.lseek(fd, start, os.SEEK_DATA)
            except OSError as err:
                if err.errno != errno.ENXIO:
                    raise
                return  # nothing but a hole up to the end
            if start < stop:
                end = min(stop, os.lseek(fd, start, os.SEEK_HOLE))
                yield start, end
                start = end

    def keys(self) -> Iterator[DataKey]:
        """Yields the data files that exist; other names are left alone."""
        with os.scandir(self.root) as entries:
            for entry in entries:
                match = _NAME.fullmatch(entry.name)
                if match is not None:
                    yield int(match[1], 16), int(match[2])

    def close(self) -> None:
        """Closes all descriptors."""
        while self._open:
            os.close(self._open.popitem()[1].fd)

    def _remember(self, key: DataKey, fd: int) -> Handle:
        handle = Handle(fd)
        self._open[key] = handle
        if len(self._open) > MAX_OPEN_FILES:
            self._close_oldest(keep=key)
        return handle

    def _close_oldest(self, keep: DataKey) -> None:
        excess = len(self._open) - MAX_OPEN_FILES
        idle = [key for key, handle in self._open.items() if not handle.pins and key != keep]
        for key in idle[: max(excess, MAX_OPEN_FILES // 8)]:
            os.close(self._open.pop(key).fd)


_CLOSE_WHEN_UNPINNED = 1 << 30
"""Added to the pins of a handle whose file was deleted while it was in use."""


def copy_bytes(source: int, target: int, length: int) -> None:
    """Copies a file into an empty one; holes stay holes."""
    at = 0
    while at < length:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
        except OSError as err:
            if err.errno != errno.ENXIO:
                raise
            break  # nothing but a hole up to the end
        stop = min(length, os.lseek(source, at, os.SEEK_HOLE))
        while at < stop:
            count = os.copy_file_range(source, target, min(COPY_STEP, stop - at), at, at)
            if count == 0:
                raise OSError(errno.EIO, "the file became shorter while it was copied")
            at += count
    os.ftruncate(target, length)
