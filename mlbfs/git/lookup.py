"""Finding paths below Git trees.

Owns: walking down from a tree, with the trees met lately kept as tables. Layer: git.

Concurrency: not thread-safe; cheap to make, so each use makes its own.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from mlbfs.git.trees import MODE_DIRECTORY, TreeEntry

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlbfs.ids import ObjectId

_CACHED_ENTRIES = 100_000
"""Entries of all trees kept, about 20 MB."""


class TreeLookup:
    """Answers what lies at a path.

    Args:
        read_tree: Reads a tree.
        read_raw: Reads a tree as it is stored. A name that is not in its bytes is not in it, and
            the tree is not taken apart to see that: most names that are looked for are of files
            that few folders have.
    """

    def __init__(
        self,
        read_tree: Callable[[ObjectId], list[TreeEntry]],
        read_raw: Callable[[ObjectId], bytes],
    ) -> None:
        self._read_tree = read_tree
        self._read_raw = read_raw
        self._tables: OrderedDict[ObjectId, dict[bytes, TreeEntry]] = OrderedDict()
        self._entries = 0

    def find(self, tree: ObjectId, path: bytes) -> TreeEntry | None:
        """Returns the entry at a path below a tree, or None; b"" is the tree itself."""
        entry: TreeEntry | None = TreeEntry(b"", MODE_DIRECTORY, tree)
        for part in path.split(b"/") if path else ():
            if entry is None or entry.mode != MODE_DIRECTORY:
                return None
            if not self._may_have(entry.id, part):
                return None
            entry = self._table(entry.id).get(part)
        return entry

    def _may_have(self, tree: ObjectId, name: bytes) -> bool:
        return tree in self._tables or b" " + name + b"\0" in self._read_raw(tree)

    def _table(self, tree: ObjectId) -> dict[bytes, TreeEntry]:
        table = self._tables.get(tree)
        if table is not None:
            self._tables.move_to_end(tree)
            return table
        table = {entry.name: entry for entry in self._read_tree(tree)}
        self._tables[tree] = table
        self._entries += len(table)
        while self._entries > _CACHED_ENTRIES and len(self._tables) > 1:
            self._entries -= len(self._tables.popitem(last=False)[1])
        return table
