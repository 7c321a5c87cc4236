"""Attributes of the workspace layer in the form that pyfuse3 wants, with how long they hold.

Owns: the times for which the kernel may answer without asking.
Layer: mount. Imports pyfuse3.

Every change of a mounted tree goes through its own daemon, so what the kernel was told stays true
until the kernel itself changes it; a year stands for "without end". The folders of refs of
`mount --all` are the exception: other programs make branches, so those are asked for each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyfuse3

from mlbfs.limits import MAX_NAME_LENGTH

if TYPE_CHECKING:
    import os

    from mlbfs.workspace.attributes import Attributes

FOREVER = 365 * 24 * 3600.0
"""Seconds that an entry or its attributes hold when nothing outside can change them."""

NEVER = 0.0

_BLOCK_SIZE = 65536
"""Preferred size of reads and writes, so that programs with small buffers take larger ones."""


def entry_attributes(found: Attributes, timeout: float) -> pyfuse3.EntryAttributes:
    """Returns `found` for the kernel, valid for `timeout` seconds."""
    entry = pyfuse3.EntryAttributes()
    entry.st_ino = found.ino
    entry.entry_timeout = timeout
    entry.attr_timeout = timeout
    entry.st_mode = found.mode
    entry.st_nlink = found.nlink
    entry.st_uid = found.uid
    entry.st_gid = found.gid
    entry.st_rdev = found.rdev
    entry.st_size = found.size
    entry.st_blksize = _BLOCK_SIZE
    entry.st_blocks = found.blocks
    entry.st_atime_ns = found.atime_ns
    entry.st_mtime_ns = found.mtime_ns
    entry.st_ctime_ns = found.ctime_ns
    return entry


def negative_entry(timeout: float) -> pyfuse3.EntryAttributes:
    """Returns "there is no such name", which the kernel remembers for `timeout` seconds.

    An ENOENT would not be remembered at all.
    """
    entry = pyfuse3.EntryAttributes()
    entry.st_ino = 0
    entry.entry_timeout = timeout
    return entry


def statvfs_data(found: os.statvfs_result) -> pyfuse3.StatvfsData:
    """Returns the room of the file system below for the kernel."""
    data = pyfuse3.StatvfsData()
    data.f_bsize = found.f_bsize
    data.f_frsize = found.f_frsize
    data.f_blocks = found.f_blocks
    data.f_bfree = found.f_bfree
    data.f_bavail = found.f_bavail
    data.f_files = found.f_files
    data.f_ffree = found.f_ffree
    data.f_favail = found.f_favail
    data.f_namemax = MAX_NAME_LENGTH
    return data
