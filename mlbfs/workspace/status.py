"""Tells what changed in a workspace since its last commit.

Owns: the comparison of an overlay with the tree of its base.
Layer: workspace.

A file that was written is compared by length first. When that is equal, a file that stands on the
content it is compared with is compared where it was written; any other is hashed, from the last
midstate before its first change if its base has some. The answer is kept until the file changes
again.

Concurrency: rows are read under the workspace's lock, files are hashed without it.
"""

from __future__ import annotations

import hashlib
import stat
import time
from typing import TYPE_CHECKING, Protocol

from mlbfs.errors import StorageError
from mlbfs.ids import ObjectId
from mlbfs.store.dirindex import DirectoryEntry, EntryKind
from mlbfs.store.edit import resume_hash
from mlbfs.store.filereader import FileReader
from mlbfs.workspace.diff import Change, make_change
from mlbfs.workspace.dirty import Item, collect_items, is_refused
from mlbfs.workspace.overlay import WHITEOUT
from mlbfs.workspace.pieces import changed_ranges
from mlbfs.workspace.report import Status
from mlbfs.workspace.vfs_errors import Stale, VfsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.workspace.content import Content
    from mlbfs.workspace.core import Core
    from mlbfs.workspace.rows import Entry, Node
    from mlbfs.workspace.snapshot import Snapshot

UNKNOWN_CONTENT = b""
"""Content id of a file that is not stored yet and was not hashed: that it differs was seen from its
length, or from what was written."""

_READ_SIZE = 1 << 20

_SETTLED_NS = 2_000_000_000
"""Age of a file's times from which on a later write must show in them."""


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class StatusReader:
    """Compares one workspace with its base, again and again."""

    def __init__(self, core: Core, content: Content) -> None:
        self._core = core
        self._content = content
        self._known: dict[int, tuple[tuple[int, ...], bytes, bytes]] = {}

    def read(self, base: Snapshot) -> Status:
        """Returns what changed since `base`."""
        with self._core.reading():
            items = collect_items(self._core)
        ignored = {item.path for item in items if item.ignored}
        changes: list[Change] = []
        empty: list[bytes] = []
        for item in items:
            if item.inside or item.ignored or not item.is_keepable:
                continue
            old = dict(_files(base, item.path))
            new = dict(self._new_files(item, old, empty, ignored))
            for path in sorted(old.keys() | new.keys()):
                change = make_change(path, old.get(path), new.get(path))
                if change is not None:
                    changes.append(change)
        return Status(
            changes,
            empty,
            [item.path for item in items if not item.is_keepable and not item.is_hostile],
            [item.path for item in items if item.is_hostile],
            sorted(item.path + b"/" * item.is_folder for item in items if item.ignored),
        )

    def _new_files(
        self,
        item: Item,
        old: dict[bytes, DirectoryEntry],
        empty: list[bytes],
        ignored: set[bytes],
    ) -> Iterator[tuple[bytes, DirectoryEntry]]:
        """Yields the files that are at an item's path, and below it, now."""
        if item.node is None:
            return
        if not item.is_folder:
            entry = self._file_entry(item.entry.name, item.node, old.get(item.path))
            if entry is not None:
                yield item.path, entry
            return
        stack = [(item.path, item.node)]
        while stack:
            path, node = stack.pop()
            count = 0
            for where, found in self._list(path, node):
                count += 1
                if where in ignored:
                    continue
                if isinstance(found, DirectoryEntry):
                    yield where, found
                elif stat.S_ISDIR(found.mode):
                    stack.append((where, found))
                else:
                    entry = self._file_entry(where.rpartition(b"/")[2], found, old.get(where))
                    if entry is not None:
                        yield where, entry
            if not count:
                empty.append(path)

    def _list(self, path: bytes, node: Node) -> Iterator[tuple[bytes, DirectoryEntry | Node]]:
        """Yields what is in a materialized directory: rows, and files of its base."""
        core = self._core
        with core.reading():
            rows: dict[bytes, Entry] = {row.name: row for row in core.overlay.entries(node.ino)}
            nodes = [
                (row, core.overlay.node(row.ino)) for row in rows.values() if row.ino != WHITEOUT
            ]
        for row, child in nodes:
            if child is not None and not is_refused(row.name, child):
                yield path + b"/" + row.name, child
        if node.base is None:
            return
        for entry in core.index(ObjectId(node.base)):
            if entry.name in rows:
                continue
            where = path + b"/" + entry.name
            if entry.is_directory:
                yield from _files_of_tree(core, where, ObjectId(entry.content))
            else:
                yield where, entry

    def _file_entry(
        self, name: bytes, node: Node, old: DirectoryEntry | None
    ) -> DirectoryEntry | None:
        """Returns a file as a commit would record it.

        None for what a commit leaves out, and for what was removed since the rows were read.
        """
        try:
            return self._known_entry(name, node, old)
        except Stale:
            return None

    def _known_entry(
        self, name: bytes, node: Node, old: DirectoryEntry | None
    ) -> DirectoryEntry | None:
        if stat.S_ISLNK(node.mode):
            assert node.target is not None, "a symbolic link has a target"
            return DirectoryEntry(name, EntryKind.SYMLINK, len(node.target), _blob_id(node.target))
        if not stat.S_ISREG(node.mode):
            return None
        kind = EntryKind.EXECUTABLE if node.mode & stat.S_IXUSR else EntryKind.FILE
        known = known_content(node)
        if known is not None:
            return DirectoryEntry(name, kind, self._size(node), known)
        size = self._size(node)
        content = UNKNOWN_CONTENT
        if old is not None and not old.is_symlink and old.size == size:
            content = self._content_id(node, old.content)
        return DirectoryEntry(name, kind, size, content)

    def _size(self, node: Node) -> int:
        with self._core.reading():
            try:
                return self._core.node_attributes(node).size
            except VfsError:
                return 0  # removed since the rows were read

    def _content_id(self, node: Node, old: bytes) -> bytes:
        """Returns the content id of a changed file that is as long as the content `old`.

        `UNKNOWN_CONTENT` stands for any other than `old`.
        """
        stamp = self._stamp(node)
        kept = self._known.get(node.ino)
        if kept is not None and kept[:2] == (stamp, old):
            return kept[2]
        try:
            found = self._compare(node, old) if node.base == old else self._hash(node, len(old))
        except Stale:
            raise
        except VfsError as err:
            raise StorageError(f"a changed file cannot be read: {err}") from err
        if stamp == self._stamp(node) and stamp[-1] < time.time_ns() - _SETTLED_NS:
            self._known[node.ino] = (stamp, old, found)
        return found

    def _compare(self, node: Node, old: bytes) -> bytes:
        """Compares what was written of a file with its base: the rest cannot differ."""
        base = self._core.source.open_content(old)
        for start, stop in self._changes(node):
            for at in range(start, stop, _READ_SIZE):
                length = min(_READ_SIZE, stop - at)
                if self._content.read(node.ino, at, length) != base.read(at, length):
                    return UNKNOWN_CONTENT
        return old

    def _changes(self, node: Node) -> list[tuple[int, int]]:
        with self._core.reading():
            return changed_ranges(self._core.extents(node), node.base_size, self._size(node))

    def _hash(self, node: Node, width: int) -> bytes:
        size = self._size(node)
        base = self._core.source.open_content(node.base) if node.base else None
        state: _Hash = hashlib.sha256()
        offset = 0
        if width == 20:
            state = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        elif isinstance(base, FileReader):
            changes = self._changes(node)
            state, offset = resume_hash(base, size, changes[0][0] if changes else size)
        while data := self._content.read(node.ino, offset, _READ_SIZE):
            state.update(data)
            offset += len(data)
        return state.digest()

    def _stamp(self, node: Node) -> tuple[int, ...]:
        with self._core.reading():
            seen = self._core.attributes(node.ino)
        return (node.data, seen.size, seen.blocks, seen.mtime_ns, seen.ctime_ns)


def known_content(node: Node) -> bytes | None:
    """Returns the content id of a file if it is known without reading it."""
    return node.content if node.data else node.base


def _blob_id(data: bytes) -> bytes:
    return hashlib.sha1(b"blob %d\0%b" % (len(data), data), usedforsecurity=False).digest()


def _files(base: Snapshot, path: bytes) -> Iterator[tuple[bytes, DirectoryEntry]]:
    """Yields the files that a snapshot has at a path and below it."""
    entry = base.get(path)
    if entry is None:
        return
    if not entry.is_directory:
        yield path, entry
        return
    for where, below in base.walk(path):
        if not below.is_directory:
            yield where, below


def _files_of_tree(
    core: Core, path: bytes, tree: ObjectId
) -> Iterator[tuple[bytes, DirectoryEntry]]:
    stack = [(path, tree)]
    while stack:
        folder, at = stack.pop()
        for entry in core.index(at):
            where = folder + b"/" + entry.name
            if entry.is_directory:
                stack.append((where, ObjectId(entry.content)))
            else:
                yield where, entry
