"""The clock of the working copy.

Layer: workspace.
"""

from __future__ import annotations

import time

_FILE_CLOCK = 5
"""CLOCK_REALTIME_COARSE, which the time module has no name for: the clock that the kernel stamps
files with. With a finer one a directory would be younger than a file made in it a moment later."""


def now_ns() -> int:
    """Returns the time for a change, as the host's file system would."""
    return time.clock_gettime_ns(_FILE_CLOCK)
