"""Listings of directories, in steps, while the directory changes.

Owns: the order of a listing.
Layer: workspace.

Offsets: a name of the base has its position there, whatever happens to it; a name of ours has a
number of its own, from 2^32 on. So a listing that is continued neither skips nor repeats what was
there all the time.

Concurrency: a listing holds the workspace's lock for one batch at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mlbfs.workspace.overlay import FIRST_NEW_OFFSET, WHITEOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.workspace.attributes import Attributes
    from mlbfs.workspace.core import Core
    from mlbfs.workspace.nodes import Folder
    from mlbfs.workspace.rows import Entry

_BATCH = 128
"""Entries of a listing per turn of the lock; about what one request of the kernel takes."""


class Listed(NamedTuple):
    """One entry of a listing, and the offset that goes on behind it."""

    name: bytes
    attributes: Attributes
    next_offset: int


class Listing:
    """Lists the directories of one workspace."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def readdir(self, ino: int, offset: int) -> Iterator[Listed]:
        """Yields the entries of a directory from an offset on; counts nothing."""
        at = offset
        while True:
            batch = self._list_batch(ino, at)
            yield from batch
            if not batch:
                return
            at = batch[-1].next_offset

    def _list_batch(self, ino: int, at: int) -> list[Listed]:
        """Returns some entries from an offset on; empty only at the end."""
        core = self._core
        with core.reading():
            folder = core.folder(ino)
            while True:
                rows = [] if folder.node is None else core.overlay.entries_from(ino, at, _BATCH)
                batch, at = self._merge(folder, rows, at)
                if batch or (len(rows) < _BATCH and at >= FIRST_NEW_OFFSET):
                    return batch

    def _merge(self, folder: Folder, rows: list[Entry], at: int) -> tuple[list[Listed], int]:
        """Merges names of the base with rows, from `at` on; returns where it stopped."""
        core = self._core
        known = {row.off: row for row in rows}
        batch: list[Listed] = []
        size = 0 if folder.tree is None else len(core.index(folder.tree))
        # Rows beyond the last one fetched are not known, so the base is told only up to there.
        limit = rows[-1].off + 1 if len(rows) == _BATCH else size
        stop = min(size, limit, at + _BATCH)
        for position in range(at, stop):
            row = known.get(position)
            if row is None:
                name, attributes = core.base_attributes(folder, position)
                batch.append(Listed(name, attributes, position + 1))
            elif row.ino != WHITEOUT:
                batch.append(Listed(row.name, core.attributes(row.ino), position + 1))
        at = max(at, stop)
        if at < size:
            return batch, at
        for row in rows:
            if row.off >= max(at, FIRST_NEW_OFFSET):
                at = row.off + 1
                if row.ino != WHITEOUT:
                    batch.append(Listed(row.name, core.attributes(row.ino), at))
        return batch, max(at, FIRST_NEW_OFFSET)
