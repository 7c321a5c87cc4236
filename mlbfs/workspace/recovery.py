"""What happens when a workspace is opened: repair after a kill, and forget what is committed.

Owns: the promise that rows and data files agree before the first operation.
Layer: workspace. docs/workspace.md tells what can be found here after a kill or a power cut.

Order: rows change in one transaction; data files that no row names are deleted after it. Killed in
between, the next open does the rest.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.git.names import is_gitmodules, is_hostile_name
from mlbfs.ids import ObjectId
from mlbfs.workspace.checkout import MOVED
from mlbfs.workspace.inodes import MOVE_SHIFT, ROOT_INODE
from mlbfs.workspace.overlay import FIRST_NEW_OFFSET, OFFSET_COUNTER, WHITEOUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlbfs.store.dirindex import DirectoryIndex
    from mlbfs.workspace.datafiles import DataFiles
    from mlbfs.workspace.overlay import Overlay
    from mlbfs.workspace.rows import Entry, Node


@dataclass(slots=True)
class Recovery:
    """What was done when a workspace was opened.

    Attributes:
        clean: The workspace had been closed in order.
        dropped_unlinked: Files without a name that a killed process still had open.
        dropped_data: Data files that no row named.
        commit: The commit that was under way, if it had reached the branch.
        shortened: Inodes whose base was cut to the length that a truncation had left.
        reverted: Inodes that show their base again where a power cut took what was written.
        lost: Inodes whose data file is gone, which only a power cut can cause; they read as their
            base, or as empty.
    """

    clean: bool = True
    dropped_unlinked: int = 0
    dropped_data: int = 0
    commit: bytes | None = None
    shortened: list[int] = field(default_factory=list)
    reverted: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)


def recover(overlay: Overlay, data: DataFiles) -> Recovery:
    """Makes rows and data files agree again."""
    report = Recovery(clean=overlay.get_int("open", 0) == 0)
    with overlay.transaction():
        for node in overlay.nodes("nlink=0"):
            overlay.delete_node(node.ino)
            report.dropped_unlinked += 1
        present = set(data.keys())
        for node in overlay.nodes("data>0"):
            _check_data(overlay, data, node, present, report)
        for ino in overlay.unsynced():
            _check_extents(overlay, data, ino, report)
    report.dropped_data = drop_unnamed(overlay, data)
    return report


def _check_data(
    overlay: Overlay,
    data: DataFiles,
    node: Node,
    present: set[tuple[int, int]],
    report: Recovery,
) -> None:
    key = (node.ino, node.data)
    size = data.stat(key).st_size if key in present else 0
    if key not in present or (not size and node.base_size):
        report.lost.append(node.ino)
        overlay.clip_extents(node.ino, 0)
        if node.base_size:
            node.data = 0
        else:
            data.create(key)
        overlay.update_node(node)
    elif node.base_size > size:
        report.shortened.append(node.ino)
        node.base_size = size
        overlay.clip_extents(node.ino, size)
        overlay.update_node(node)


def _check_extents(overlay: Overlay, data: DataFiles, ino: int, report: Recovery) -> None:
    """Takes back ranges that rows speak of, and whose bytes a power cut has kept from arriving.

    Those are holes: the file system shows bytes only once it has them. The base shows again.
    """
    node = overlay.node(ino)
    if node is None or not node.data or not node.base_size:
        return
    said = overlay.extents(ino)
    arrived = [
        piece for start, stop in said for piece in data.filled((ino, node.data), start, stop)
    ]
    if arrived != sorted(said):
        overlay.set_extents(ino, arrived)
        report.reverted.append(ino)


def drop_unnamed(overlay: Overlay, data: DataFiles) -> int:
    """Deletes data files that no row names; returns how many.

    Order: the rows are durable before (W10).
    """
    named = {(node.ino, node.data) for node in overlay.nodes("data>0")}
    unnamed = [key for key in data.keys() if key not in named]  # noqa: SIM118 - not a mapping
    if unnamed:
        overlay.sync()
    for key in unnamed:
        data.remove(key)
    return len(unnamed)


def is_dirty(overlay: Overlay) -> bool:
    """Returns whether anything changed since the last commit."""
    committed = overlay.get_int("committed", 0)
    return overlay.has_changes(committed)


def has_lone_folders(
    overlay: Overlay, index: Callable[[ObjectId], DirectoryIndex], tree: ObjectId
) -> bool:
    """Returns whether a workspace has folders that a tree has not: empty ones, mostly."""
    below: dict[int, list[int]] = {}
    for node in overlay.nodes("parent!=0 AND ino!=?", ROOT_INODE):
        below.setdefault(node.parent, []).append(node.ino)
    stack = [(ROOT_INODE, tree)]
    while stack:
        ino, at = stack.pop()
        for child in below.get(ino, ()):
            for entry in overlay.names(child):
                found = _tree_at(index(at), entry.name)
                if found is None:
                    return True
                stack.append((child, found))
    return False


class _Step(NamedTuple):
    """One directory, the row of its name, and the tree that it comes to stand on."""

    entry: Entry | None
    node: Node
    tree: ObjectId | None


class Rebase:
    """Puts the changed rows of a workspace on the tree that the last commit made.

    While a workspace is open its directories stay on the trees that they were opened with, so that
    inode numbers hold still. When it is opened again nobody knows a number, so rows that the
    commit has taken are dropped, and those that stay are put on the new trees.
    """

    def __init__(
        self,
        overlay: Overlay,
        index: Callable[[ObjectId], DirectoryIndex],
        tree: ObjectId,
        *,
        unchanged: bool = False,
        untold: bool = False,
    ) -> None:
        """Prepares it.

        Args:
            overlay: The rows.
            index: Reads the index of a tree.
            tree: The tree to stand on.
            unchanged: No row says anything that a commit could keep, so `tree` may be any tree;
                only folders and files that no commit can take keep their rows.
            untold: The last commit had no time to say which folders it could not take.
        """
        self._unchanged = unchanged
        self._untold = untold
        self._overlay = overlay
        self._index = index
        self._tree = tree
        self._committed = overlay.get_int("committed", 0)
        self._generation = overlay.get_int("generation", 1)

    def run(self) -> None:
        """Does it, in one transaction."""
        with self._overlay.transaction():
            root = self._overlay.node(ROOT_INODE)
            assert root is not None, "a workspace has a root"
            visited: list[_Step] = []
            stack = [_Step(None, root, self._tree)]
            while stack:
                step = stack.pop()
                visited.append(step)
                stack += self._directory(step.node, step.tree)
            for step in reversed(visited):
                self._drop_if_plain(step)
            if self._overlay.get(MOVED) is not None:
                self._renumber_others({step.node.ino for step in visited})
                self._overlay.delete(MOVED)

    def _directory(self, node: Node, tree: ObjectId | None) -> list[_Step]:
        """Puts one directory on its tree; returns the directories in it that go on."""
        index = None if tree is None else self._index(tree)
        below: list[_Step] = []
        kept: list[Entry] = []
        for entry in self._overlay.entries(node.ino):
            child = self._overlay.node(entry.ino) if entry.ino != WHITEOUT else None
            committed = entry.gen <= self._committed
            found = _tree_at(index, entry.name)
            if self._gives_way(entry, child, index, found):
                self._drop_tree(entry, child)
                continue
            if child is not None and stat.S_ISDIR(child.mode):
                if self._unchanged or (committed and found is not None):
                    below.append(_Step(entry, child, found))
                # A folder that no commit could take lives on quietly once that was told.
                told = not self._untold and not is_hostile_name(entry.name)
                stays, renew = True, committed and found is None and not told
            elif child is not None and _is_only_here(entry, child):
                stays, renew = True, committed
            else:
                stays, renew = self._stays(entry, child, index), False
            if not stays:
                self._drop(entry, child)
                continue
            kept.append(entry)
            if renew:  # no commit could take it, so it is still to be told of
                self._overlay.renew_entry(entry, self._generation)
        self._renumber(kept, index)
        if node.base != tree:
            node.base = tree
            self._overlay.update_node(node)
        return below

    def _gives_way(
        self,
        entry: Entry,
        child: Node | None,
        index: DirectoryIndex | None,
        found: ObjectId | None,
    ) -> bool:
        """Returns whether something that no commit can take stands where the tree has a file.

        Left there, it would look as if the file had been deleted here.
        """
        if not self._unchanged or child is None or _position(index, entry.name) is None:
            return False
        return found is None or not stat.S_ISDIR(child.mode)

    def _drop_tree(self, entry: Entry, child: Node | None) -> None:
        stack = [(entry, child)]
        while stack:
            name, node = stack.pop()
            if node is not None and stat.S_ISDIR(node.mode):
                names = self._overlay.entries(node.ino)
                stack += [(below, self._overlay.node(below.ino)) for below in names]
            self._drop(name, node)

    def _stays(self, entry: Entry, child: Node | None, index: DirectoryIndex | None) -> bool:
        """Returns whether a file or a whiteout says something that the tree does not."""
        if self._unchanged:
            return False
        if child is None:
            return entry.gen > self._committed and _position(index, entry.name) is not None
        return max(entry.gen, child.gen) > self._committed

    def _drop(self, entry: Entry, child: Node | None) -> None:
        self._overlay.delete_entry(entry.parent, entry.name)
        if child is None:
            return
        current = self._overlay.node(child.ino)
        if current is None:
            return
        current.nlink -= 1
        if current.nlink <= 0 or stat.S_ISDIR(current.mode):
            self._overlay.delete_node(current.ino)
        else:
            self._overlay.update_node(current)

    def _renumber(self, entries: list[Entry], index: DirectoryIndex | None) -> None:
        """Gives rows the offsets that their names have on the new tree."""
        changed: list[tuple[Entry, int]] = []
        for entry in entries:
            position = _position(index, entry.name)
            if position is not None:
                offset = position
            elif FIRST_NEW_OFFSET <= entry.off < 1 << MOVE_SHIFT:
                offset = entry.off
            else:
                offset = FIRST_NEW_OFFSET + self._overlay.take(OFFSET_COUNTER)
            if offset != entry.off:
                changed.append((entry, offset))
        for number, (entry, _) in enumerate(changed):
            self._overlay.move_entry(entry, -1 - number)  # no two may meet on the way
        for entry, offset in changed:
            self._overlay.move_entry(entry, offset)

    def _renumber_others(self, visited: set[int]) -> None:
        """Gives the rows of folders that stay as they are the offsets of the trees they stand on.

        While it was open the workspace went to another commit, and offsets were kept (checkout.py).
        """
        for node in self._overlay.nodes("parent!=0"):
            if node.ino not in visited:
                index = None if node.base is None else self._index(ObjectId(node.base))
                self._renumber(self._overlay.entries(node.ino), index)

    def _drop_if_plain(self, step: _Step) -> None:
        """Drops a directory that differs from its tree in nothing any more."""
        if step.entry is None or step.tree is None:
            return
        if step.node.gen > self._committed and not self._unchanged:
            return  # its mode or owner was set, and no commit has been made since
        if not self._overlay.entries_from(step.node.ino, 0, 1):
            self._overlay.delete_entry(step.entry.parent, step.entry.name)
            self._overlay.delete_node(step.node.ino)


def _position(index: DirectoryIndex | None, name: bytes) -> int | None:
    return None if index is None else index.find(name)


def _tree_at(index: DirectoryIndex | None, name: bytes) -> ObjectId | None:
    position = _position(index, name)
    if index is None or position is None:
        return None
    entry = index.entry(position)
    return ObjectId(entry.content) if entry.is_directory else None


def _is_only_here(entry: Entry, node: Node) -> bool:
    """Returns whether this is something that no commit can take."""
    if stat.S_ISLNK(node.mode) and is_gitmodules(entry.name):
        return True
    return is_hostile_name(entry.name) or not (stat.S_ISREG(node.mode) or stat.S_ISLNK(node.mode))
