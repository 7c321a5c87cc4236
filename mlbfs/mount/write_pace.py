"""Whether a write may be made on the loop: only while the kernel makes no writer wait.

A write into the page cache is a copy. But when more is dirty than the disk keeps up with, the
kernel lets whoever writes sleep, and every other request would sleep with the loop. That begins
half-way between the two limits of dirty memory (Linux, `balance_dirty_pages`), so below the first
quarter a write does not sleep; a container may have limits of its own, so one that took long counts
too.

Owns: when that is looked at, and for how long an answer counts.
Layer: mount. Standard library only.
"""

from __future__ import annotations

import time
from pathlib import Path

LOOK_EVERY = 0.05
"""Seconds between two looks; what is written meanwhile is small beside the room between the limits.
A look costs as much as a small write."""

LONG = 0.02
"""Seconds after which a write has waited for something; to copy a megabyte takes one thousandth."""

PAUSE = 1.0
"""Seconds without writes on the loop after one that waited."""

_VMSTAT = Path("/proc/vmstat")
_DIRTY = ("nr_dirty", "nr_writeback")
_LIMITS = ("nr_dirty_background_threshold", "nr_dirty_threshold")


class WritePace:
    """Tells whether writes may be made on the loop. Belongs to the loop."""

    def __init__(self, vmstat: Path = _VMSTAT) -> None:
        self._vmstat = vmstat
        self._next_look = 0.0
        self._is_free = False

    def is_free(self) -> bool:
        """Returns whether a write would not be made to wait, as far as is known."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + LOOK_EVERY
            self._is_free = _has_room(self._vmstat)
        return self._is_free

    def note(self, seconds: float) -> None:
        """Takes in how long a write on the loop took."""
        if seconds > LONG:
            self._is_free = False
            self._next_look = time.monotonic() + PAUSE


def _has_room(vmstat: Path) -> bool:
    """Returns whether too little is dirty for writers to be made to wait; False if unknown."""
    try:
        rows = dict(line.split() for line in vmstat.read_text("ascii").splitlines())
        dirty = sum(int(rows[name]) for name in _DIRTY)
        low, high = (int(rows[name]) for name in _LIMITS)
        return dirty < (3 * low + high) // 4
    except (OSError, ValueError, KeyError):
        return False
