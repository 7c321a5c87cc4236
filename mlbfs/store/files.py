"""The few file system calls that write the store, in one place.

Owns: how store files are created, written, synced, named and removed. Fault tests hand in a
subclass that refuses the n-th call; everything else uses `Files` itself.
Layer: store. Imports the leaves only.

Durability: `sync_file` makes bytes durable, `sync_directory` the names in a directory.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmap import mmap
    from pathlib import Path


def _set_direct(fd: int, *, on: bool) -> bool:
    """Switches a descriptor and returns whether that changed anything."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    wanted = flags | os.O_DIRECT if on else flags & ~os.O_DIRECT
    if wanted != flags:
        fcntl.fcntl(fd, fcntl.F_SETFL, wanted)
    return wanted != flags


class Files:
    """Calls the operating system; raises OSError as it does."""

    def create(self, path: Path) -> int:
        """Creates a file that must not exist and returns a descriptor to read and write it."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

    def create_direct(self, path: Path) -> int:
        """Creates a file whose writes go past the page cache, where the file system can do that.

        Until `end_direct`, writes must come from page-aligned memory in multiples of a page.
        """
        fd = self.create(path)
        # A file system that cannot says so here; its writes are buffered like any other.
        with contextlib.suppress(OSError):
            _set_direct(fd, on=True)
        return fd

    def end_direct(self, fd: int) -> None:
        """Lets writes of any length follow."""
        _set_direct(fd, on=False)

    def close(self, fd: int) -> None:
        """Closes a descriptor."""
        os.close(fd)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        """Writes at the end of what was written and returns how much was taken."""
        return os.write(fd, data)

    def sync_file(self, fd: int) -> None:
        """Makes the bytes of a file durable."""
        os.fsync(fd)

    def rename(self, old: Path, new: Path) -> None:
        """Gives a file its final name, replacing what has it."""
        old.replace(new)

    def remove(self, path: Path) -> None:
        """Removes a name; one that is gone already is fine."""
        path.unlink(missing_ok=True)

    def sync_directory(self, path: Path) -> None:
        """Makes the names in a directory durable."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def write_all(self, fd: int, data: bytes | memoryview | mmap) -> None:
        """Writes all of `data`, in as many calls as it takes."""
        view = memoryview(data)
        while view:
            try:
                view = view[self.write(fd, view) :]
            except OSError as err:
                # Direct writes ask for an alignment that the rest of a short write lacks, that a
                # limit on the length of files spoils, and that a device may have larger than we.
                if err.errno != errno.EINVAL or not _set_direct(fd, on=False):
                    raise

    def write_new(self, path: Path, data: bytes) -> None:
        """Puts a whole small file in place: durable, and never half there."""
        temporary = path.with_name(f"{path.name}.tmp-{os.urandom(8).hex()}")
        fd = self.create(temporary)
        try:
            try:
                self.write_all(fd, data)
                self.sync_file(fd)
            finally:
                os.close(fd)
            self.rename(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        self.sync_directory(path.parent)
