"""What is durable, and what may go only when something else is.

Rows and bytes reach the device in any order until something is synced, so two things are kept
apart here: bytes that rows speak of but that were not synced (`note_unsynced`), and data files that
no row needs any more but that the rows on the device still name (`doom`).

Owns: the order of a sync; when a data file that is not needed goes.
Layer: workspace. docs/durability.md numbers the invariants.

Concurrency: the caller holds the workspace's lock.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from mlbfs.workspace.nodes import Nodes
from mlbfs.workspace.vfs_errors import VfsError

if TYPE_CHECKING:
    from mlbfs.workspace.datafiles import DataKey


class Syncing(Nodes):
    """Makes rows durable, and what they speak of before them."""

    def note_unsynced(self, ino: int) -> None:
        """Notes, in a transaction, that rows speak of bytes of a file that were not synced (W9)."""
        if ino not in self.unsynced:
            self.overlay.note_unsynced(ino)
            self.note(self.unsynced, ino)

    def sync_rows(self) -> None:
        """Makes every row durable, and before it what it speaks of.

        Order: bytes that rows speak of (W9), names of data files, rows; only then data files go
        that the rows before needed (W10).
        """
        waiting = list(self.unsynced)
        for ino in waiting:
            node = self.overlay.node(ino)
            if node is not None and node.data:
                with suppress(FileNotFoundError):  # somebody deleted it; reads of it tell so
                    self.data.sync((ino, node.data))
        self.data.sync_names()
        self.overlay.sync(with_bytes=bool(waiting))
        self.unsynced.difference_update(waiting)
        self.data.clear_doomed()

    def doom(self, key: DataKey) -> None:
        """Lets go of a data file that rows do not name any more (W10); not in a transaction."""
        if self.data.doom(key):
            with suppress(VfsError):  # they wait for the next sync, then
                self.give_back()

    def give_back(self) -> None:
        """Makes rows durable so that the room of data files which are not needed is free."""
        with self.reading():
            if self.data.has_doomed:
                self.freeing(self.sync_rows)
