"""Raises what the kernel allows one mount, where this user may; best effort.

Owns: how many requests may be under way and how far the kernel reads ahead.
Layer: mount.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from mlbfs.limits import KIB, MIB

log = logging.getLogger(__name__)

MAX_BACKGROUND = 64
"""Reads ahead under way at once; the kernel's 12 starve several loader processes."""

CONGESTION_THRESHOLD = 48
"""Where the kernel begins to hold back; three quarters, as is its own rule."""

READ_AHEAD = 2 * MIB
"""Read-ahead window; the kernel's 128 KiB makes eight times as many requests of a big file."""

_CONNECTIONS = Path("/sys/fs/fuse/connections")
_DEVICES = Path("/sys/class/bdi")


def raise_limits(device: str) -> None:
    """Raises the limits of the mount on `device` (`major:minor`)."""
    connection = _CONNECTIONS / str(_connection_number(device))
    _write(connection / "max_background", MAX_BACKGROUND)
    _write(connection / "congestion_threshold", CONGESTION_THRESHOLD)
    _write(_DEVICES / device / "read_ahead_kb", READ_AHEAD // KIB)


def _connection_number(device: str) -> int:
    major, minor = (int(part) for part in device.split(":"))
    return os.makedev(major, minor)


def _write(path: Path, value: int) -> None:
    try:
        path.write_text(str(value))
    except OSError as err:
        # Not root, or no such file in this container: the mount works, only not as fast.
        log.debug("%s stays as it is: %s", path, err.strerror)
