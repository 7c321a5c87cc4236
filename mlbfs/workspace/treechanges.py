"""Applies the captured changes of a workspace to the tree that they were made on.

Owns: what of an overlay becomes part of a tree.
Layer: workspace.

Concurrency: one thread; the workspace's lock is not held.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from mlbfs.ids import ObjectId
from mlbfs.store.dirindex import DirectoryEntry, EntryKind
from mlbfs.workspace.treeedit import NewEntry

if TYPE_CHECKING:
    from mlbfs.git.objects import ObjectWriter
    from mlbfs.workspace.core import Core
    from mlbfs.workspace.dirty import Item
    from mlbfs.workspace.storing import Captured
    from mlbfs.workspace.treeedit import TreeEdit


class TreeChanges:
    """The captured changes of one moment, with all content stored."""

    def __init__(self, core: Core, captured: Captured, objects: ObjectWriter) -> None:
        self._core = core
        self._captured = captured
        self._objects = objects

    def apply(self, edit: TreeEdit) -> list[Item]:
        """Applies them; returns the items that cannot be kept."""
        items = {item.path for item in self._captured.items}
        for path, above in self._captured.above.items():
            if path not in items:
                self._bring(edit, path, above)
        skipped = []
        for item in self._captured.items:
            if item.node is not None and not item.is_keepable:
                skipped.append(item)
            self._apply(edit, item)
        return skipped

    def _apply(self, edit: TreeEdit, item: Item) -> None:
        node, captured = item.node, self._captured
        if node is None or not item.is_keepable:
            edit.remove(item.path)
        elif item.is_folder:
            if node.base is None:
                edit.clear(item.path)
            else:
                edit.graft(item.path, ObjectId(node.base))
        elif item.is_symlink:
            assert node.target is not None, "a symbolic link has a target"
            blob = self._objects.put_blob(node.target)
            edit.put(item.path, NewEntry(EntryKind.SYMLINK, len(node.target), blob))
        else:
            stored = captured.stored[node.ino]
            kind = EntryKind.EXECUTABLE if node.mode & stat.S_IXUSR else EntryKind.FILE
            edit.put(item.path, NewEntry(kind, stored.size, stored.object_id, stored.file_id))

    def _bring(self, edit: TreeEdit, path: bytes, above: Item) -> None:
        """Puts what a path below a new or moved folder shows, if it has no row of its own.

        No row lies between the two, or it would be the nearest item.
        """
        node = above.node
        is_open = above.is_folder and above.is_keepable and not above.ignored
        if node is None or not is_open or node.base is None:
            edit.remove(path)
            return
        below = path[len(above.path) + 1 :]
        entry = self._entry(ObjectId(node.base), below)
        raw = self._core.source.git.find_entry(ObjectId(node.base), below)
        if entry is None or raw is None:
            edit.remove(path)
        elif entry.is_directory:
            edit.graft(path, raw.id)
        else:
            edit.put(path, NewEntry(entry.kind, entry.size, raw.id, entry.file_id))

    def _entry(self, tree: ObjectId, path: bytes) -> DirectoryEntry | None:
        entry = DirectoryEntry(b"", EntryKind.DIRECTORY, 0, tree)
        for name in path.split(b"/"):
            if not entry.is_directory:
                return None
            index = self._core.index(ObjectId(entry.content))
            position = index.find(name)
            if position is None:
                return None
            entry = index.entry(position)
        return entry
