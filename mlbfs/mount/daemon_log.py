"""The log of a daemon: one file, bounded, or the terminal.

Owns: where log lines and stray output of a daemon go, and how long the file may grow.
Layer: mount.
"""

from __future__ import annotations

import logging
import os
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING

from mlbfs.limits import MIB
from mlbfs.mount.registry import log_path

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.mount.launch import MountRequest

LOG_LIMIT = 4 * MIB
"""Longest log file; one older file of that length is kept beside it."""

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _Handler(RotatingFileHandler):
    """Sends what libfuse and the interpreter write to stderr along when the file is changed."""

    def doRollover(self) -> None:  # noqa: N802 - the name is logging's
        """Begins a new file."""
        super().doRollover()
        if self.stream is not None:
            os.dup2(self.stream.fileno(), 2)


def start_log(run: Path, request: MountRequest, *, is_foreground: bool) -> None:
    """Sets up logging for the whole process."""
    handler: logging.Handler
    if is_foreground:
        handler = logging.StreamHandler()
    else:
        path = log_path(run, request.mount_id)
        handler = _Handler(path, maxBytes=LOG_LIMIT, backupCount=1, errors="backslashreplace")
    handler.setFormatter(logging.Formatter(_FORMAT))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if request.debug else logging.INFO)
    # pyfuse3 writes several lines for each request.
    logging.getLogger("pyfuse3").setLevel(logging.INFO)
