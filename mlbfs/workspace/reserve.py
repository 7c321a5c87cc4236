"""Room kept back on the device, so that what gives space back works when there is none left.

To remove a file takes a few rows, and rows take room in the database's log. On a full device
nothing could be removed without a reserve: a file of zeros that is cut while such an operation
runs, and filled again afterwards.

Owns: the file `reserve` of a workspace.
Layer: workspace.

Concurrency: the caller holds the workspace's lock. Other programs may take what is let go for a
moment; the log, once it was folded in, is room of our own too, so an operation needs little.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from mlbfs.errors import storage_error
from mlbfs.limits import MIB
from mlbfs.workspace.vfs_errors import NoSpace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlbfs.workspace.overlay import Overlay

    R = TypeVar("R")

RESERVE_SIZE = 4 * MIB
"""What folding the log of 16 MiB into the database can take, with a margin: most pages of the log
are there in the database already."""

_STEPS = 8
"""Where there is no room for all of it, the reserve comes back in eighths."""


class Reserve:
    """The reserve of one workspace."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def fill(self) -> None:
        """Takes as much of the reserve as there is room for.

        Raises:
            StorageError: The file cannot be opened.
        """
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as err:
            raise storage_error(err, f"cannot open {str(self._path)!r}") from err
        try:
            _allocate(file)
        finally:
            os.close(file)

    def release(self) -> bool:
        """Gives the reserve to the device; returns whether there was any."""
        try:
            held = self._path.stat().st_blocks > 0
            if held:
                os.truncate(self._path, 0)
        except OSError:  # no reserve, then
            return False
        return held

    def spend(self, overlay: Overlay, operation: Callable[[], R]) -> R:
        """Runs an operation that gives space back, with the reserve if there is no other room.

        Args:
            overlay: The database, not in a transaction.
            operation: Does all or nothing, so that it can be run again.

        Raises:
            NoSpace: Not even with the reserve.
        """
        try:
            return operation()
        except NoSpace:
            self.release()
        try:
            overlay.fold()
            return operation()
        finally:
            self.fill()


def _allocate(file: int) -> None:
    for step in range(_STEPS, 0, -1):
        size = RESERVE_SIZE // _STEPS * step
        if os.fstat(file).st_blocks * 512 >= size:
            return
        try:
            os.posix_fallocate(file, 0, size)
        except OSError:  # what counts is how much there is in the end
            continue
        return
