"""The stamp of a file of the host: what a change of the file changes.

Owns: which fields make a stamp, and their encoding.
Layer: store. Imports the standard library only.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

STAMP = struct.Struct("<QQqqq")
"""Device, inode, length, and modification and change time in nanoseconds."""


def stamp_of(status: os.stat_result) -> bytes:
    """Returns the stamp of a file. The change time cannot be set, so no change hides itself."""
    return STAMP.pack(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )
