"""Builds trees from a scan and lays one tree over another, folder by folder.

Owns: how imported trees meet the trees that a branch has already.
Layer: workspace.

Invariants:
  I1. A tree and its directory index are made from the same rows, so they cannot disagree.
  I2. Laying a tree over another reads only folders that both have and that differ.

Concurrency: one thread.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbfs.errors import ErrorKind, InvalidInputError
from mlbfs.git.pointers import encode_pointer
from mlbfs.git.trees import (
    MODE_DIRECTORY,
    MODE_EXECUTABLE,
    MODE_FILE,
    MODE_SUBMODULE,
    MODE_SYMLINK,
    TreeEntry,
)
from mlbfs.ids import ObjectId
from mlbfs.store.dirindex import DirectoryEntry, DirectoryIndex, EntryKind, encode_directory
from mlbfs.workspace.source import UNKNOWN_TIME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.git.objects import ObjectWriter
    from mlbfs.workspace.source import SnapshotSource

MODES = {
    EntryKind.FILE: MODE_FILE,
    EntryKind.EXECUTABLE: MODE_EXECUTABLE,
    EntryKind.SYMLINK: MODE_SYMLINK,
    EntryKind.DIRECTORY: MODE_DIRECTORY,
    EntryKind.SUBMODULE: MODE_SUBMODULE,
}


@dataclass(slots=True)
class Row:
    """One entry of a tree: what the directory index shows, and the Git object behind it."""

    entry: DirectoryEntry
    object_id: ObjectId


class TreeWriter:
    """Writes trees together with their directory indexes (I1).

    Attributes:
        directories: Encoded index of each tree written here, by tree id.
    """

    def __init__(self, objects: ObjectWriter, *, time_ns: int) -> None:
        self.objects = objects
        self.directories: dict[ObjectId, bytes] = {}
        self._time_ns = time_ns

    def write(self, rows: list[Row]) -> ObjectId:
        """Writes one tree and returns its id."""
        tree = self.objects.put_tree(
            [TreeEntry(row.entry.name, MODES[row.entry.kind], row.object_id) for row in rows]
        )
        if tree not in self.directories:
            self.directories[tree] = encode_directory(
                (row.entry for row in rows), time_ns=self._time_ns
            )
        return tree


def directory_row(name: bytes, tree: ObjectId) -> Row:
    """Returns the row of a folder."""
    return Row(DirectoryEntry(name, EntryKind.DIRECTORY, 0, bytes(tree)), tree)


class TreeBuilder:
    """Makes a tree from rows that come in scan order; holds one folder per level."""

    def __init__(self, trees: TreeWriter) -> None:
        self._trees = trees
        self._names: list[bytes] = []  # of the open folders below the root
        self._rows: list[list[Row]] = [[]]
        self._folder = b""

    def add(self, path: bytes, row: Row) -> None:
        """Adds one entry; its folder is opened, and folders that are complete are written."""
        folder, _, _ = path.rpartition(b"/")
        if folder != self._folder:
            self._enter(folder)
        self._rows[-1].append(row)

    def finish(self) -> ObjectId | None:
        """Writes what is open and returns the root, or None when nothing was added."""
        self._enter(b"")
        rows = self._rows[0]
        return self._trees.write(rows) if rows else None

    def _enter(self, folder: bytes) -> None:
        parts = folder.split(b"/") if folder else []
        shared = 0
        for ours, wanted in zip(self._names, parts, strict=False):
            if ours != wanted:
                break
            shared += 1
        while len(self._names) > shared:
            rows = self._rows.pop()
            self._rows[-1].append(directory_row(self._names.pop(), self._trees.write(rows)))
        for name in parts[shared:]:
            self._names.append(name)
            self._rows.append([])
        self._folder = folder


class Grafter:
    """Lays a tree that was built here over a tree of the repository."""

    def __init__(
        self,
        source: SnapshotSource,
        trees: TreeWriter,
        built: dict[ObjectId, bytes],
    ) -> None:
        self._source = source
        self._trees = trees
        self._built = built

    def overlay(
        self,
        base: ObjectId | None,
        top: ObjectId,
        *,
        replaced: frozenset[bytes] = frozenset(),
        path: bytes = b"",
    ) -> ObjectId:
        """Returns the tree that has everything of `base` and of `top`; `top` wins.

        Args:
            base: The tree below, or None.
            top: The tree above.
            replaced: Folders whose content in `base` is dropped instead of kept.
            path: Where in the tree the two stand.

        Raises:
            InvalidInputError: A file would replace a folder, or a folder a file.
        """
        if base is None or base == top or path in replaced:
            return top
        rows = {row.entry.name: row for row in self._rows(base)}
        for row in self._rows(top):
            name = row.entry.name
            where = path + b"/" + name if path else name
            rows[name] = self._meet(rows.get(name), row, where, replaced)
        return self._trees.write(list(rows.values()))

    def _meet(self, old: Row | None, new: Row, path: bytes, replaced: frozenset[bytes]) -> Row:
        if old is None or path in replaced:
            return new
        if old.entry.is_directory != new.entry.is_directory:
            kinds = ("folder", "file") if old.entry.is_directory else ("file", "folder")
            raise InvalidInputError(
                f"{path.decode(errors='replace')!r} is a {kinds[0]} on the branch "
                f"and a {kinds[1]} in the source",
                kind=ErrorKind.INVALID_PATH,
                hint="import to another place with --to, or use --replace",
            )
        if not new.entry.is_directory:
            return new
        tree = self.overlay(old.object_id, new.object_id, replaced=replaced, path=path)
        return directory_row(new.entry.name, tree)

    def _rows(self, tree: ObjectId) -> Iterator[Row]:
        encoded = self._built.get(tree)
        if encoded is None:
            encoded = self._trees.directories.get(tree)
        if encoded is None:
            yield from self._committed_rows(tree)
            return
        for entry in DirectoryIndex(encoded):
            yield Row(entry, _object_id(entry))

    def _committed_rows(self, tree: ObjectId) -> Iterator[Row]:
        # The index does not hold the ids of pointer blobs, and a foreign pointer may be spelled
        # in another way than ours, so the ids come from Git's tree.
        index = self._source.directory(tree, time_ns=UNKNOWN_TIME)
        for found in self._source.git.read_tree(tree):
            position = index.find(found.name)
            assert position is not None, "an index has each name of its tree"
            yield Row(index.entry(position), found.id)


def _object_id(entry: DirectoryEntry) -> ObjectId:
    """Returns the Git object of an entry that this program wrote."""
    if entry.file_id is None:
        return ObjectId(entry.content)
    pointer = encode_pointer(entry.file_id, entry.size)
    header = b"blob %d\0" % len(pointer)
    return ObjectId(hashlib.sha1(header + pointer, usedforsecurity=False).digest())
