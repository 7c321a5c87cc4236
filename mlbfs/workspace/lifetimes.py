"""How long an inode lives that has no name.

Owns: lookup counts of the kernel; when a file without a name goes.
Layer: workspace.

Concurrency: takes the workspace's lock where it is not said to be held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.workspace.inodes import CREATED_BIT
from mlbfs.workspace.syncing import Syncing

if TYPE_CHECKING:
    from mlbfs.workspace.datafiles import DataKey


class Lifetimes(Syncing):
    """Counts what the kernel knows, and drops what nobody can reach."""

    def count_lookup(self, ino: int) -> None:
        """Notes that the kernel was told of an inode once more."""
        self.lookups.add(ino, dense=self.table.is_dense(ino) or bool(ino & CREATED_BIT))

    def count_made(self, ino: int) -> None:
        """Notes, in a transaction, that the kernel will be told of an inode once more."""
        self.count_lookup(ino)
        self.undo(lambda: self.lookups.forget(ino, 1))

    def drop_if_unused(self, ino: int) -> None:
        """Removes an inode without names once the kernel has forgotten it and no commit reads it.

        Order: the row goes first; its data file goes when that is durable (W10).
        """
        with self.lock:
            if ino not in self.orphans or self.lookups[ino] or ino in self.frozen:
                return
            with self.reading():
                key = self.freeing(lambda: self._drop(ino))
                if key is not None:
                    self.doom(key)

    def _drop(self, ino: int) -> DataKey | None:
        """Removes the rows; returns the data file that is not needed any more."""
        node = self.node(ino)
        with self.changing():
            self.overlay.delete_node(ino)
        self.orphans.discard(ino)
        self.replaced.discard(ino)
        self._nodes.pop(ino, None)
        self._extents.pop(ino, None)
        return (ino, node.data) if node is not None and node.data else None

    def forget(self, ino: int, count: int) -> None:
        """Takes lookups back; an inode without names goes with the last of them."""
        with self.lock:
            if self.lookups.forget(ino, count):
                return
            self.unlinked.discard(ino)
            self.drop_if_unused(ino)
