"""What merge drivers read: versions of files, other files of a side, and when a path changed.

Owns: how a version of a merge is found in the repository.
Layer: workspace.

Concurrency: one thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.errors import CorruptionError, ErrorKind
from mlbfs.git.lookup import TreeLookup
from mlbfs.git.objects import object_id
from mlbfs.git.trees import MODE_DIRECTORY, MODE_SUBMODULE, TreeEntry
from mlbfs.ids import short_hex
from mlbfs.merge.folders import FolderEntry
from mlbfs.merge.trees import Entry
from mlbfs.merge.versions import Side, Version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlbfs.ids import ObjectId
    from mlbfs.workspace.source import Reader, SnapshotSource

EMPTY_TREE = object_id("tree", b"")
"""Git knows it without having it."""


class MergeInputs:
    """Reads for the drivers of one merge.

    Args:
        source: The repository.
        trees: The tree of each side; the base may have none.
        commits: The commit of each side, to ask when it changed a path.
    """

    def __init__(
        self,
        source: SnapshotSource,
        trees: Mapping[Side, ObjectId | None],
        commits: Mapping[Side, ObjectId],
    ) -> None:
        self._source = source
        self._trees = trees
        self._commits = commits
        git = source.git
        self._lookup = TreeLookup(git.read_tree, git.read_raw_tree)

    def version(self, entry: Entry) -> Version:
        """Returns the version that an entry of a tree stands for.

        Raises:
            NotFoundError: Its blob is missing.
        """
        shown = self._source.describe(TreeEntry(b"", entry.mode, entry.id))
        return Version(entry.mode, entry.id, shown.content, shown.size)

    def open(self, version: Version) -> Reader:
        """Opens the bytes of a version.

        Raises:
            NotFoundError: The content is not in this repository.
            CorruptionError: It has another length than its pointer says.
        """
        reader = self._source.open_content(version.content)
        if reader.size != version.size:
            raise CorruptionError(
                f"content {short_hex(version.content)} has {reader.size} bytes, "
                f"but its pointer says {version.size}",
                kind=ErrorKind.CORRUPT_OBJECT,
            )
        return reader

    def entry(self, side: Side, path: bytes) -> Entry | None:
        """Returns what a side has at a path, or None."""
        tree = self._trees.get(side)
        if tree is None or tree == EMPTY_TREE:
            return None
        found = self._lookup.find(tree, path)
        return None if found is None else Entry(found.mode, found.id)

    def find(self, side: Side, path: bytes) -> Version | None:
        """Returns the file that a side has at a path, or None."""
        entry = self.entry(side, path)
        if entry is None or entry.mode in (MODE_DIRECTORY, MODE_SUBMODULE):
            return None
        return self.version(entry)

    def folder(self, side: Side, path: bytes) -> ObjectId | None:
        """Returns the tree that a side has at a path, or None."""
        entry = self.entry(side, path)
        return None if entry is None or entry.mode != MODE_DIRECTORY else entry.id

    def list(self, side: Side, path: bytes) -> dict[bytes, FolderEntry]:
        """Returns the entries of a folder that a side has; none where it has no folder."""
        tree = self.folder(side, path)
        return {
            entry.name: FolderEntry(entry.mode == MODE_DIRECTORY, entry.id)
            for entry in ([] if tree is None else self._source.git.read_tree(tree))
            if entry.mode != MODE_SUBMODULE
        }

    def changed_at(self, side: Side, path: bytes) -> int:
        """Returns when a side last changed a path: the time of the commit, 0 if no commit did."""
        commit = self._commits.get(side)
        if commit is None:
            return 0
        for found in self._source.git.log(commit, path=path, limit=1):
            return found.committer.time
        return 0
