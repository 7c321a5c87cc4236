"""What changed in a workspace since its last commit, by path.

Owns: how rows with a new generation become paths, and what a commit cannot keep.
Layer: workspace.

Invariants:
  Y1. The cost is the number of changed rows, and the rows below directories that are new or were
      moved; what the base holds is not walked.
  Y2. Items come sorted by path, so a directory comes before what is in it.

Concurrency: the caller holds the workspace's lock.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlbfs.git.names import is_gitmodules, is_hostile_name
from mlbfs.git.paths import ancestors
from mlbfs.ids import ObjectId
from mlbfs.workspace.ignoring import IgnoreRules
from mlbfs.workspace.inodes import ROOT_INODE
from mlbfs.workspace.overlay import WHITEOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.workspace.core import Core
    from mlbfs.workspace.rows import Entry, Node


@dataclass(frozen=True, slots=True)
class Item:
    """One path that may differ from the last commit.

    Attributes:
        node: What is there now, a copy; None when the name is gone.
        entry: The row of the name.
        inside: The path lies below a directory that is an item itself, being new or moved there.
        ignored: No commit takes it; of a directory, nothing in it.
    """

    path: bytes
    entry: Entry
    node: Node | None
    inside: bool = False
    ignored: bool = False

    @property
    def is_folder(self) -> bool:
        """Whether a directory is there now."""
        return self.node is not None and stat.S_ISDIR(self.node.mode)

    @property
    def is_regular(self) -> bool:
        """Whether a regular file is there now."""
        return self.node is not None and stat.S_ISREG(self.node.mode)

    @property
    def is_symlink(self) -> bool:
        """Whether a symbolic link is there now."""
        return self.node is not None and stat.S_ISLNK(self.node.mode)

    @property
    def is_hostile(self) -> bool:
        """Whether the name is one that Git refuses, such as `.git`, or `.gitmodules` of a link."""
        return self.node is not None and is_refused(self.entry.name, self.node)

    @property
    def is_keepable(self) -> bool:
        """Whether a commit can keep what is there."""
        return self.node is None or is_keepable(self.entry.name, self.node)


def is_refused(name: bytes, node: Node) -> bool:
    """Returns whether Git refuses a name for what it names."""
    return is_hostile_name(name) or (stat.S_ISLNK(node.mode) and is_gitmodules(name))


def is_keepable(name: bytes, node: Node) -> bool:
    """Returns whether a commit can keep an inode under a name."""
    known = stat.S_ISDIR(node.mode) or stat.S_ISREG(node.mode) or stat.S_ISLNK(node.mode)
    return known and not is_refused(name, node)


class _Collector:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._items: dict[bytes, Item] = {}
        self._paths: dict[int, bytes | None] = {ROOT_INODE: b""}
        self._rules = IgnoreRules(core)
        self._ignored: dict[bytes, bytes | None] = {}

    def collect(self) -> list[Item]:
        overlay, committed = self._core.overlay, self._core.committed
        for entry in overlay.entries_since(committed):
            self._add(entry)
        for node in overlay.nodes("gen>?", committed):
            for entry in overlay.names(node.ino):
                self._add(entry)
        return sorted(self._items.values(), key=lambda item: item.path)  # Y2

    def standing_folders(self) -> list[bytes]:
        """Returns the paths of folders that have a row but are where the last commit has them."""
        committed, overlay = self._core.committed, self._core.overlay
        folders = []
        for node in overlay.nodes("parent!=0 AND ino!=?", ROOT_INODE):
            path = self._path(node.ino)
            if path and all(entry.gen <= committed for entry in overlay.names(node.ino)):
                folders.append(path)
        return folders

    def changed_folders(self) -> Iterator[tuple[Node, bytes]]:
        """Yields the directories whose attributes changed, with their paths."""
        for node in self._core.overlay.nodes("gen>?", self._core.committed):
            path = self._path(node.ino) if stat.S_ISDIR(node.mode) else None
            if path is not None:
                yield node, path

    def _add(self, entry: Entry) -> None:
        folder = self._path(entry.parent)
        if folder is None:
            return
        ignored = self._ignored_above(folder)
        if ignored is not None:
            self._add_ignored(ignored)
            return
        path = _join(folder, entry.name)
        if path in self._items:
            return
        item = self._item(path, entry)
        if not item.is_folder:
            self._items[path] = item
        elif entry.gen > self._core.committed:
            self._items[path] = item
            if not item.is_hostile and not item.ignored:
                self._add_below(item)

    def _item(
        self, path: bytes, entry: Entry, *, inside: bool = False, moved_with: bytes | None = None
    ) -> Item:
        """Returns the item of a row.

        Args:
            path: Where it is.
            entry: The row.
            inside: It lies below a directory that is an item.
            moved_with: The tree that its directory stands on; what it has was committed elsewhere.
        """
        if entry.ino == WHITEOUT:
            return Item(path, entry, None, inside)
        node = self._core.overlay.node(entry.ino)
        assert node is not None, "a name points to a row"
        item = Item(path, entry, replace(node), inside)
        if not item.is_keepable or (inside and self._came_along(entry, node, moved_with)):
            return item
        is_ignored = self._rules.cover(path, is_folder=item.is_folder)
        return replace(item, ignored=True) if is_ignored else item

    def _came_along(self, entry: Entry, node: Node, tree: bytes | None) -> bool:
        """Returns whether what is in a directory was committed where that was before."""
        if tree is not None and self._core.index(ObjectId(tree)).find(entry.name) is not None:
            return True
        is_old = entry.gen <= self._core.committed
        return is_old and (node.content is not None or node.base is not None)

    def _ignored_above(self, folder: bytes) -> bytes | None:
        """Returns the topmost directory that is ignored on the way to what is in one, or None."""
        if folder not in self._ignored:
            ways = [*reversed(list(ancestors(folder))), folder] if folder else []
            covered = (way for way in ways if self._rules.cover(way, is_folder=True))
            self._ignored[folder] = next(covered, None)
        return self._ignored[folder]

    def _add_ignored(self, path: bytes) -> None:
        if path not in self._items:
            entry = self._core.overlay.entry_at(ROOT_INODE, path)
            assert entry is not None, "what is above a row has a row"
            self._items[path] = self._item(path, entry)

    def _add_below(self, top: Item) -> None:
        """Adds all rows below a directory that is new at its path."""
        stack = [top]
        while stack:
            folder = stack.pop()
            assert folder.node is not None, "a directory is there"
            for entry in self._core.overlay.entries(folder.node.ino):
                path = _join(folder.path, entry.name)
                item = self._item(path, entry, inside=True, moved_with=folder.node.base)
                self._items[item.path] = item
                if item.is_folder and not item.is_hostile and not item.ignored:
                    stack.append(item)

    def _path(self, ino: int) -> bytes | None:
        """Returns the path of a directory; None when it is removed or below a hostile name."""
        chain: list[tuple[int, bytes]] = []
        while ino not in self._paths:
            node = self._core.overlay.node(ino)
            names = self._core.overlay.names(ino)
            if node is None or not names or is_hostile_name(names[0].name):
                self._paths[ino] = None
                break
            chain.append((ino, names[0].name))
            ino = node.parent
        path = self._paths[ino]
        for below, name in reversed(chain):
            path = None if path is None else _join(path, name)
            self._paths[below] = path
        return path


def _join(folder: bytes, name: bytes) -> bytes:
    return folder + b"/" + name if folder else name


def collect_items(core: Core) -> list[Item]:
    """Returns what may differ from the last commit, sorted by path."""
    return _Collector(core).collect()


def folder_paths(core: Core) -> Iterator[tuple[Node, bytes]]:
    """Yields the directories whose attributes changed since the last commit, with their paths."""
    return _Collector(core).changed_folders()


def standing_folders(core: Core) -> list[bytes]:
    """Returns the paths of folders that have a row but are where the last commit has them."""
    return _Collector(core).standing_folders()
