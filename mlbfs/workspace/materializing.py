"""How inodes get a row, and how a row is marked as changed.

An inode is materialized when it, or something in it, is changed; then so are the directories above
it, up to the root.

Owns: the rows of what is materialized, and their generation.
Layer: workspace. docs/workspace.md numbers the invariants.

Invariants:
  W4. A materialized inode has materialized directories above it.
  W5. A row of a regular file that says there is a data file is written after that file exists.
  W6. A change of content is marked with the current generation before and after it is made, so
      that a commit which begins in between leaves it marked for the next one.

Concurrency: everything needs the workspace's lock.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from mlbfs.store.dirindex import EntryKind
from mlbfs.workspace.attributes import SNAPSHOT_MODES
from mlbfs.workspace.rows import Node
from mlbfs.workspace.syncing import Syncing
from mlbfs.workspace.vfs_errors import NoEntry, NotDirectory, NotPermitted

if TYPE_CHECKING:
    from mlbfs.store.dirindex import DirectoryEntry
    from mlbfs.workspace.datafiles import DataKey, Handle


class Materializing(Syncing):
    """Gives inodes a row."""

    def materialize_folder(self, ino: int) -> Node:
        """Gives a directory a row, so that names in it can change.

        Raises:
            NotDirectory: The inode is something else.
            NoEntry: The directory was removed.
        """
        node = self.materialize(ino)
        if not stat.S_ISDIR(node.mode):
            raise NotDirectory(ino)
        if node.nlink == 0:
            raise NoEntry(ino)
        return node

    def materialize(self, ino: int) -> Node:
        """Gives an inode a row, and the directories above it (W4); in a transaction.

        Raises:
            NotPermitted: The inode is a submodule, which Git alone may change.
        """
        chain: list[int] = []  # a loop, not recursion: paths may be 2,000 folders deep
        node = self.node(ino)
        while node is None:
            chain.append(ino)
            if self.is_unlinked(ino):
                break
            ino = self.table.locate(ino).directory
            node = self.node(ino)
        for below in reversed(chain):
            node = self._materialize_one(below)
        assert node is not None, "the root has a row"
        return node

    def _materialize_one(self, ino: int) -> Node:
        place = self.table.locate(ino)
        entry = self.snapshot_entry(place)
        if entry.kind is EntryKind.SUBMODULE:
            raise NotPermitted(entry.name)
        standing = self.standing.get(ino)
        time_ns = self.index(place.tree).time_ns if standing is None else standing.time_ns
        linked = not self.is_unlinked(ino)
        node = Node(
            *(ino, SNAPSHOT_MODES[entry.kind], 1 if linked else 0, self.uid, self.gid, 0),
            *(time_ns, time_ns, time_ns, 0),
            parent=place.directory if entry.is_directory else 0,
            base=entry.content if standing is None else standing.tree,
            base_size=entry.size,
            target=self._target(entry),
        )
        self.overlay.insert_node(node)
        if linked:
            self.overlay.put_entry(place.directory, entry.name, ino, self.table.offset(ino), 0)
        else:
            self.note(self.orphans, ino)
        self.note(self.materialized, ino)
        return self.remember_node(node)

    def _target(self, entry: DirectoryEntry) -> bytes | None:
        if not entry.is_symlink:
            return None
        reader = self.source.open(entry)
        return reader.read(0, reader.size)

    def mark(self, node: Node, *, bytes_change: bool = False) -> None:
        """Marks an inode as changed in this generation (W6); in a transaction.

        Attributes that no commit keeps are marked too, so that they live until one was made.

        Args:
            node: The inode.
            bytes_change: What was recorded of its bytes is not true any more.
        """
        if node.gen != self.generation or bytes_change:
            self._stand_on_commit(node)
        if bytes_change and node.content is not None:
            node.content = None
            self.overlay.set_content(node.ino, None)
        if node.gen != self.generation:
            node.gen = self.generation
            self.overlay.set_gen(node.ino, node.gen)

    def renew(self, node: Node, generation: int) -> None:
        """Marks an inode as changed in a generation; `node` is a copy of its row."""
        cached = self._nodes.get(node.ino)
        if cached is not None:
            cached.gen = generation
        self.overlay.set_gen(node.ino, generation)

    def _stand_on_commit(self, node: Node) -> None:
        """Puts a file on what a commit has recorded of it, before it changes again.

        The commit is durable and its data file may not be: what a power cut takes is there.
        """
        content = node.content
        if not node.data or content is None or content == node.base or node.gen > self.committed:
            return
        size = self.data.stat((node.ino, node.data)).st_size
        own = self.extents(node)  # the rest is in the old base, and so in what was recorded
        own.add(node.base_size, size)
        node.base, node.base_size = (content, size) if size else (None, 0)
        self.overlay.set_extents(node.ino, own)
        self.overlay.update_node(node)
        self.note_unsynced(node.ino)

    def touch(self, node: Node, now: int, *, links: int = 0) -> None:
        """Sets the times of a directory whose names changed, and its link count.

        A count of 1 says that subdirectories are not counted (the directory came from a snapshot).
        """
        node.mtime = node.ctime = now
        if links and node.nlink > 1:
            node.nlink += links
            self.overlay.update_node(node)
        else:
            self.overlay.touch(node)

    def create_data(self, key: DataKey) -> Handle:
        """Makes a data file, unless the transaction comes to nothing (W5)."""
        self.undo(lambda: self.data.remove(key))
        return self.data.create(key)
