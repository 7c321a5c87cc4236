"""The tree of one commit as a mount: what tags, commits and `--read-only` show.

Owns: how the inode operations are answered from a snapshot.
Layer: mount. Imports tree_inodes and workspace.

Concurrency: safe from several threads.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mlbfs.mount.tree_inodes import Directory, TreeInodes
from mlbfs.workspace.vfs_errors import NoEntry, NotDirectory, Stale

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.workspace.attributes import Attributes
    from mlbfs.workspace.snapshot import Snapshot


class SnapshotView:
    """A read-only view of a snapshot; see `view.View` for the operations."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._inodes = TreeInodes(snapshot.source, uid=os.geteuid(), gid=os.getegid())
        self._inodes.add_root(snapshot.commit.tree, snapshot.time_ns)

    def is_ready(self, inode: int) -> bool:
        """Returns whether metadata of `inode` can be had without waiting for the disk."""
        return self._inodes.is_ready(inode)

    def lookup(self, parent: int, name: bytes) -> Attributes:
        """Returns the entry `name` of a folder and counts a lookup."""
        found = self._inodes.lookup(self._directory(parent), name)
        if found is None:
            raise NoEntry(name)
        return found

    def remember(self, inode: int) -> None:
        """Does nothing: what a listing yields is counted already (V2)."""

    def forget(self, inode: int, count: int) -> None:
        """Takes back `count` lookups."""
        self._inodes.forget(inode, count)

    def getattr(self, inode: int) -> Attributes:
        """Returns the attributes of an inode."""
        return self._inodes.attributes(inode)

    def parent(self, inode: int) -> int:
        """Returns the inode of the folder that a folder lies in."""
        return self._directory(inode).parent

    def readdir(self, inode: int, offset: int) -> Iterator[tuple[bytes, Attributes, int]]:
        """Yields name, attributes and the offset behind it, from `offset` on."""
        return self._inodes.entries(self._directory(inode), offset)

    def readlink(self, inode: int) -> bytes:
        """Returns the target of a symbolic link."""
        return self._inodes.readlink(inode)

    def read(self, inode: int, offset: int, length: int) -> bytes:
        """Returns bytes of a file; short only at its end."""
        return self._inodes.open(inode).read(offset, length)

    def read_nowait(self, inode: int, offset: int, length: int) -> bytes | None:
        """Returns bytes of a file, or None if that would wait for the disk."""
        return self._inodes.read_nowait(inode, offset, length)

    def path_of(self, inode: int) -> bytes | None:
        """Returns a path in the mount that leads to an inode, None if none is known."""
        return self._inodes.path_of(inode)

    def statfs(self) -> os.statvfs_result:
        """Returns what the file system below says of its room."""
        return os.statvfs(self.snapshot.source.store.root)

    def close(self) -> None:
        """Lets go of everything; the snapshot's repository is closed by whoever opened it."""

    def _directory(self, inode: int) -> Directory:
        found = self._inodes.directory(inode)
        if found is None:
            raise NotDirectory(inode) if self._inodes.is_file(inode) else Stale(inode)
        return found
