"""Listings of directories, in steps, while the directory changes.

Owns: the order of a listing.
Layer: workspace.

Offsets: a name of the base has its position there, whatever happens to it; a name of ours has a
number of its own, from 2^32 on. What a directory gained by standing on another tree comes behind
that (inodes.Numbering). So a listing that is continued neither skips nor repeats what was there all
the time.

Concurrency: a listing holds the workspace's lock for one batch at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mlbfs.workspace.overlay import FIRST_NEW_OFFSET, WHITEOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.workspace.attributes import Attributes
    from mlbfs.workspace.core import Core
    from mlbfs.workspace.inodes import Numbering
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
            numbering = core.table.numbering(ino)
            if numbering is not None:
                return self._list_moved(folder, numbering, at)
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

    def _list_moved(self, folder: Folder, numbering: Numbering, at: int) -> list[Listed]:
        """Returns some entries of a directory that came to stand on another tree.

        Names of the base and rows are two streams by offset; a row hides its name of the base,
        which may stand at another offset.
        """
        core = self._core
        while True:
            rows = [] if folder.node is None else core.overlay.entries_from(folder.ino, at, _BATCH)
            last = rows[-1].off if len(rows) == _BATCH else None
            base, reached = self._base_from(folder, numbering, at, last)
            batch = base + [
                Listed(row.name, core.attributes(row.ino), row.off + 1)
                for row in rows
                if row.ino != WHITEOUT and (reached is None or row.off <= reached)
            ]
            batch.sort(key=lambda item: item.next_offset)
            if batch or reached is None:
                return batch
            at = reached + 1

    def _base_from(
        self, folder: Folder, numbering: Numbering, at: int, last: int | None
    ) -> tuple[list[Listed], int | None]:
        """Returns names of the base that have no row, and the last offset that was looked at.

        Args:
            folder: The directory.
            numbering: How it is numbered.
            at: The first offset.
            last: The last offset, or None for all; then the second value may be None: it is all.
        """
        listed: list[Listed] = []
        seen = 0
        if folder.tree is None:
            return listed, last
        for run in numbering.listing(at):
            if last is not None and run.offset > last:
                break
            stop = min(run.stop, run.start + _BATCH - seen)
            if last is not None:
                stop = min(stop, run.start + last - run.offset + 1)
            hidden = self._hidden(folder, run.start, stop)
            for position in range(run.start, stop):
                name, attributes = self._core.base_attributes(folder, position)
                if name not in hidden:
                    listed.append(Listed(name, attributes, run.offset + position - run.start + 1))
            seen += stop - run.start
            if seen == _BATCH:
                return listed, run.offset + stop - run.start - 1
        return listed, last

    def _hidden(self, folder: Folder, start: int, stop: int) -> frozenset[bytes]:
        """Returns the names that have rows among those of a stretch of the base."""
        if folder.node is None or folder.tree is None:
            return frozenset()
        index = self._core.index(folder.tree)
        first, last = index.name(start), index.name(stop - 1)
        return self._core.overlay.names_between(folder.ino, first, last)
