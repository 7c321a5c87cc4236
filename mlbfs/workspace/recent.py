"""Content that was stored lately for Git, and that no commit may name yet.

`git add` stores content long before a commit needs it, and Git keeps objects that nothing names for
two weeks. What is noted here is kept from gc for as long.

Owns: the files of `.git/mlbfs/recent/`: one per process that stored something, a line of 64 hex
digits per content, forgotten as a whole when it was not written to for `KEPT_DAYS`.
Layer: workspace.

Invariants:
  T1. A content is noted before its pointer is handed to anybody.
  T2. A line that was cut off by a kill says nothing, and no more is lost with it.

Concurrency: one `RecentContent` for one thread; any number of processes.
"""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Self

from mlbfs.errors import InvalidInputError, storage_error
from mlbfs.ids import FileId, parse_file_id
from mlbfs.workspace.clock import now_ns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

KEPT_DAYS = 14
"""As Git's `gc.pruneExpire`."""

_FOLDER = "recent"
_NS_PER_DAY = 24 * 3600 * 1_000_000_000


class RecentContent:
    """Notes what one process stores; a context manager.

    Args:
        directory: `.git/mlbfs`.
    """

    def __init__(self, directory: Path) -> None:
        self._folder = directory / _FOLDER
        self._descriptor = -1

    def note(self, file_ids: Iterable[FileId]) -> None:
        """Keeps contents from gc for a while, from now on.

        Raises:
            StorageError: The device failed.
        """
        data = b"".join(file_id.hex().encode() + b"\n" for file_id in file_ids)
        if not data:
            return
        try:
            if self._descriptor < 0:
                self._folder.mkdir(exist_ok=True)
                self._descriptor, _ = tempfile.mkstemp(dir=self._folder, prefix="ids-")
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as err:
            raise storage_error(err, f"noting what was stored in {str(self._folder)!r}") from err

    def close(self) -> None:
        """Ends it; what was noted stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def recent_ids(directory: Path) -> Iterator[FileId]:
    """Yields the contents that were noted lately; ids may come again.

    Raises:
        StorageError: The device failed.
    """
    for path in _files(directory, expired=False):
        try:
            lines = path.read_bytes().split(b"\n")
        except OSError as err:
            raise storage_error(err, f"reading {str(path)!r}") from err
        for line in lines:
            try:
                yield parse_file_id(line.decode("ascii", "replace"))
            except InvalidInputError:  # T2
                continue


def forget_expired(directory: Path) -> None:
    """Removes the notes that are too old to count."""
    for path in _files(directory, expired=True):
        path.unlink(missing_ok=True)


def _files(directory: Path, *, expired: bool) -> list[Path]:
    folder = directory / _FOLDER
    limit = now_ns() - KEPT_DAYS * _NS_PER_DAY
    try:
        found = sorted(folder.iterdir())
        return [path for path in found if (path.stat().st_mtime_ns < limit) is expired]
    except FileNotFoundError:
        return []
    except OSError as err:
        raise storage_error(err, f"reading {str(folder)!r}") from err
