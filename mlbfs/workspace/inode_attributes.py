"""What stat(2) tells about an inode of the workspace.

Owns: where the attributes of an inode come from: the snapshot, its row, or its data file.
Layer: workspace.

Concurrency: everything needs the workspace's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.workspace.attributes import SNAPSHOT_MODES, Attributes, blocks_of
from mlbfs.workspace.nodes import Folder, Nodes
from mlbfs.workspace.vfs_errors import Stale, from_os_error

if TYPE_CHECKING:
    from mlbfs.store.dirindex import DirectoryEntry
    from mlbfs.workspace.rows import Node


class InodeAttributes(Nodes):
    """Answers stat(2)."""

    def attributes(self, ino: int) -> Attributes:
        """Returns the attributes of an inode."""
        node = self.node(ino)
        if node is not None:
            return self.node_attributes(node)
        place = self.table.locate(ino)
        index = self.index(place.tree)
        try:
            entry = index.entry(place.position)
        except IndexError:
            raise Stale(ino) from None
        standing = self.standing.get(ino)
        time_ns = index.time_ns if standing is None else standing.time_ns
        return self.snapshot_attributes(ino, entry, time_ns)

    def base_attributes(self, folder: Folder, position: int) -> tuple[bytes, Attributes]:
        """Returns name and attributes of an entry of a folder's base that is not materialized."""
        assert folder.tree is not None, "a position belongs to a base"
        index = self.index(folder.tree)
        entry = index.entry(position)
        ino = self.child_inode(folder, position)
        standing = self.standing.get(ino) if self.standing else None
        if standing is not None:
            time_ns = standing.time_ns
        else:
            time_ns = self.table.time_ns(folder.ino, ino, index.time_ns)
        return entry.name, self.snapshot_attributes(ino, entry, time_ns)

    def snapshot_attributes(self, ino: int, entry: DirectoryEntry, time_ns: int) -> Attributes:
        """Returns the attributes of a snapshot entry."""
        head = (ino, SNAPSHOT_MODES[entry.kind], 0 if self.is_unlinked(ino) else 1)
        owner = (self.uid, self.gid, 0)
        times = (time_ns, time_ns, time_ns)
        size = entry.size
        return Attributes(*head, *owner, size, blocks_of(size), *times, immutable=True)

    def node_attributes(self, node: Node) -> Attributes:
        """Returns the attributes of a materialized inode.

        With a data file, its length and times are the inode's.
        """
        head = (node.ino, node.mode, node.nlink, node.uid, node.gid, node.rdev)
        own = (node.atime, node.mtime, node.ctime)
        if not node.data:
            size = len(node.target) if node.target is not None else node.base_size
            return Attributes(*head, size, blocks_of(size), *own, immutable=False)
        try:
            status = self.data.stat((node.ino, node.data))
        except FileNotFoundError:
            # Somebody has deleted it. The file can be listed and removed like any other; as it is
            # not empty, a read comes here and is told.
            return Attributes(*head, max(1, node.base_size), 0, *own, immutable=False)
        except OSError as err:
            raise from_os_error(err) from err
        size = status.st_size
        blocks = blocks_of(size) if node.base_size else status.st_blocks
        times = (
            status.st_atime_ns,
            status.st_mtime_ns,
            max(node.ctime, status.st_ctime_ns),
        )
        return Attributes(*head, size, blocks, *times, immutable=False)
