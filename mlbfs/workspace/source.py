"""Reads the content of any tree: directory indexes and the bytes of files.

Owns: where the content of an entry comes from (chunk store, Git blob, what waits to become chunks,
Git LFS objects), and the caches of parsed directories and open readers.
Layer: workspace. Imports store and git.

Invariants:
  S1. An index is derived from its Git tree alone, so a lost one is built again.
  S2. What a reader returns was verified by the layer it came from, or an error is raised.

Concurrency: safe from several threads.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from mlbfs.errors import (
    CorruptionError,
    ErrorKind,
    InvalidInputError,
    NotFoundError,
    negative_span,
)
from mlbfs.git.lfs import LfsObjects
from mlbfs.git.pointers import parse_pointer
from mlbfs.ids import FileId, ObjectId, short_hex
from mlbfs.limits import KIB, MIB, SMALL_TEXT_LIMIT
from mlbfs.store.dirindex import DirectoryEntry, DirectoryIndex, EntryKind, encode_directory
from mlbfs.workspace.lru import Lru

if TYPE_CHECKING:
    from mlbfs.git.lfs import LfsReader
    from mlbfs.git.repository import GitRepository
    from mlbfs.git.trees import TreeEntry
    from mlbfs.store.chunkstore import ChunkStore

DIRECTORY_CACHE_SIZE = 64 * MIB
"""Encoded bytes of the directory indexes kept; a folder of a million files takes about 60."""

DIRECTORIES_KEPT = 3
"""Indexes kept whatever their size: of one folder, a workspace shows one tree, stands on another,
and commits a third; taking turns, they would be read again for each name."""

READER_CACHE_SIZE = 32 * MIB
"""Cost of the readers kept open; a reader over chunks counts as `_READER_COST`."""

_READER_COST = 16 * KIB

UNKNOWN_TIME = 0
"""For callers that do not show times; an index with this time must not be stored."""

MAX_POINTER_SIZE = 1024
"""A Git LFS pointer is shorter than this (its specification), so longer blobs are not read."""

WAITING = "waiting"
"""Folder of the store for content that came from Git and has not become chunks yet."""

_MODE_TYPE = 0o170000


class Reader(Protocol):
    """Bytes of one file; safe from several threads."""

    @property
    def size(self) -> int:
        """Length of the file."""

    def read(self, offset: int, length: int) -> bytes:
        """Returns bytes; short only at the end of the file.

        Raises:
            InvalidInputError: Offset or length is negative.
            CorruptionError: The content is damaged.
            StorageError: The device failed.
        """

    def read_nowait(self, offset: int, length: int) -> bytes | None:
        """Returns bytes, or None if that would wait for the disk."""


class BytesReader:
    """A reader of bytes in memory."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        """Length of the file."""
        return len(self._data)

    def read(self, offset: int, length: int) -> bytes:
        """Returns bytes; short only at the end of the file."""
        if offset < 0 or length < 0:
            raise negative_span(offset, length)
        return self._data[offset : offset + length]

    def read_nowait(self, offset: int, length: int) -> bytes | None:
        """Returns bytes; never waits."""
        return self._data[offset : offset + length]


class SnapshotSource:
    """Content of the trees of one repository."""

    def __init__(self, git: GitRepository, store: ChunkStore) -> None:
        self.git = git
        self.store = store
        self.waiting = LfsObjects(store.root, storage=WAITING, flat=True)
        self.git_lock = threading.RLock()
        self._directories: Lru[ObjectId, DirectoryIndex] = Lru(
            DIRECTORY_CACHE_SIZE, least=DIRECTORIES_KEPT
        )
        self._readers: Lru[bytes, Reader] = Lru(READER_CACHE_SIZE)

    @property
    def small_text_limit(self) -> int:
        """Longest text that stays in Git: `mlbfs.smallTextLimit` of Git's configuration."""
        with self.git_lock:
            return self.git.config_int("mlbfs.smallTextLimit", default=SMALL_TEXT_LIMIT)

    def directory(self, tree_id: ObjectId, *, time_ns: int) -> DirectoryIndex:
        """Returns the index of a tree; builds and stores it when the store has none.

        Args:
            tree_id: The Git tree.
            time_ns: The time its entries show if the index has to be built; with
                `UNKNOWN_TIME` an index that is built is not kept.

        Raises:
            NotFoundError: The tree does not exist.
            CorruptionError: The tree is damaged or hostile.
        """
        found = self._directories.get(tree_id)
        if found is None:
            found = self.store.directory(tree_id)
            if found is None:
                data = self._build(tree_id, time_ns)
                found = DirectoryIndex(data)
                if time_ns == UNKNOWN_TIME:
                    return found
                self.store.put_directories([(tree_id, data)])
            self._directories.put(tree_id, found, found.nbytes)
        return found

    def is_loaded(self, tree_id: ObjectId) -> bool:
        """Returns whether the index of a tree is in memory, so that nothing waits for the disk."""
        return self._directories.get(tree_id) is not None

    def open(self, entry: DirectoryEntry) -> Reader:
        """Opens a file or symlink entry.

        Raises:
            NotFoundError: Its content is not in this repository.
            CorruptionError: Its content has another length than its pointer says.
            InvalidInputError: The entry is a directory or a submodule.
        """
        if entry.kind in (EntryKind.DIRECTORY, EntryKind.SUBMODULE):
            raise InvalidInputError(
                f"{entry.name!r} has no bytes to read", kind=ErrorKind.INVALID_PATH
            )
        reader = self.open_content(entry.content)
        if entry.file_id is not None and reader.size != entry.size:
            # The kernel would fill up with zeros what the pointer promises.
            raise CorruptionError(
                f"content of file {short_hex(entry.file_id)} has {reader.size} bytes, "
                f"but its pointer says {entry.size}",
                kind=ErrorKind.CORRUPT_OBJECT,
                hint="run 'git lfs fsck' to see whether content or pointer is damaged",
            )
        return reader

    def open_content(self, content: bytes) -> Reader:
        """Opens content by its id: 32 bytes name a file, 20 bytes a Git blob.

        Raises:
            NotFoundError: The content is not in this repository.
        """
        found = self._readers.get(content)
        if found is not None:
            return found
        if len(content) == 20:
            blob = self.git.read_blob(ObjectId(content))
            reader: Reader = BytesReader(blob)
            self._readers.put(content, reader, _READER_COST + len(blob))
            return reader
        reader = self._open_file(FileId(content))
        self._readers.put(content, reader, _READER_COST)
        return reader

    def _open_file(self, file_id: FileId) -> Reader:
        for _ in range(2):  # what waits may become chunks between a look here and one there
            if self.store.file_size(file_id) is not None:
                return self.store.open_file(file_id)
            found = self.open_whole(file_id)
            if found is not None:
                return found
        raise NotFoundError(
            f"content of file {short_hex(file_id)} is not in this repository",
            kind=ErrorKind.FILE_NOT_FOUND,
            hint="run 'git lfs fetch', or fetch it from where the commit was made",
        )

    def open_whole(self, file_id: FileId) -> LfsReader | None:
        """Opens a content that lies in a file of its own, or returns None if there is none.

        Raises:
            CorruptionError: It is not a file.
            StorageError: The device failed.
        """
        return self.waiting.open(file_id) or self.git.lfs.open(file_id)

    def _build(self, tree_id: ObjectId, time_ns: int) -> bytes:
        entries = [self.describe(entry) for entry in self.git.read_tree(tree_id)]
        return encode_directory(entries, time_ns=time_ns)

    def describe(self, entry: TreeEntry) -> DirectoryEntry:
        """Returns what an entry of a Git tree shows: its size and, for a pointer, its file.

        Raises:
            NotFoundError: Its blob does not exist.
        """
        kind = entry_kind(entry.mode)
        if kind in (EntryKind.DIRECTORY, EntryKind.SUBMODULE):
            return DirectoryEntry(entry.name, kind, 0, entry.id)
        size = self.git.blob_size(entry.id)
        if kind is not EntryKind.SYMLINK and 0 < size < MAX_POINTER_SIZE:
            pointer = parse_pointer(self.git.read_blob(entry.id))
            if pointer is not None:
                return DirectoryEntry(entry.name, kind, pointer.size, pointer.file_id)
        return DirectoryEntry(entry.name, kind, size, entry.id)


def entry_kind(mode: int) -> EntryKind:
    """Returns the kind of entry that a Git tree mode means; old group-writable modes too."""
    match mode & _MODE_TYPE:
        case 0o040000:
            return EntryKind.DIRECTORY
        case 0o120000:
            return EntryKind.SYMLINK
        case 0o160000:
            return EntryKind.SUBMODULE
        case _:
            return EntryKind.EXECUTABLE if mode & 0o100 else EntryKind.FILE
