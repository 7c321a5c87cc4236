"""What a mount shows, as the operations need it: the `View` protocol.

Owns: the contract between the FUSE operations and whatever answers them: a workspace (read-write),
a snapshot, or all refs by name.
Layer: mount.

Rules for a view:
  V1. Methods are synchronous and safe from several threads. They raise `VfsError` for what a
      program may expect (no such file), other `MlbfsError` for what is broken.
  V2. `lookup` and what makes an entry count one lookup of the inode that they return, in the same
      critical section that finds it, so that a forget in another thread cannot fall between. An
      entry of a listing is counted once `remember` was called for it; a view may count it as it
      yields it, and then do nothing there. What the kernel does not take is given to `forget`.
  V3. `is_ready` tells whether an inode can be asked about without waiting, for the disk or for a
      lock that is held while the disk is waited for. It never waits itself. It may be wrong for a
      moment; the cost of that is time, not correctness.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from mlbfs.workspace.attributes import Attributes

ROOT_INODE = 1


class View(Protocol):
    """A tree of inodes that can be read."""

    def is_ready(self, inode: int) -> bool:
        """Returns whether `inode` can be asked about without waiting (V3)."""

    def lookup(self, parent: int, name: bytes) -> Attributes:
        """Returns the entry `name` of a folder and counts a lookup (V2)."""

    def forget(self, inode: int, count: int) -> None:
        """Takes back `count` lookups; never raises."""

    def getattr(self, inode: int) -> Attributes:
        """Returns the attributes of an inode."""

    def parent(self, inode: int) -> int:
        """Returns the inode of the folder that a folder lies in; the root is its own."""

    def readdir(self, inode: int, offset: int) -> Iterable[tuple[bytes, Attributes, int]]:
        """Yields name, attributes and the offset behind it, from `offset` on; 0 is the start.

        One entry is made for each step of the iterator (V2).
        """

    def remember(self, inode: int) -> None:
        """Counts a lookup of the entry that a listing has just yielded (V2)."""

    def readlink(self, inode: int) -> bytes:
        """Returns the target of a symbolic link."""

    def read(self, inode: int, offset: int, length: int) -> bytes:
        """Returns bytes of a file; short only at its end."""

    def read_nowait(self, inode: int, offset: int, length: int) -> bytes | None:
        """Returns bytes of a file, or None if that would wait for the disk."""

    def path_of(self, inode: int) -> bytes | None:
        """Returns a path in the mount that leads to an inode, None if none is known.

        It is for words to people: a file may have others.
        """

    def statfs(self) -> os.statvfs_result:
        """Returns what the file system below says of its room."""

    def close(self) -> None:
        """Lets go of everything."""
