"""An immutable view of the tree of one commit, addressed by path.

Owns: path resolution inside a tree.
Layer: workspace. Symbolic links are not followed: a path names what the tree holds there.

Paths are bytes; text is taken too, and means the bytes that the host would use for it.

Concurrency: safe from several threads.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlbfs.errors import (
    CorruptionError,
    ErrorKind,
    InvalidInputError,
    NotFoundError,
    StorageError,
)
from mlbfs.ids import ObjectId
from mlbfs.store.dirindex import DirectoryEntry, DirectoryIndex, EntryKind
from mlbfs.workspace.attributes import SNAPSHOT_MODES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.git.commits import Commit
    from mlbfs.workspace.source import Reader, SnapshotSource

NS_PER_S = 1_000_000_000


class Snapshot:
    """The tree of one commit."""

    def __init__(self, source: SnapshotSource, commit: Commit) -> None:
        self.source = source
        self.commit = commit
        self.root = DirectoryEntry(b"", EntryKind.DIRECTORY, 0, commit.tree)

    @property
    def time_ns(self) -> int:
        """When the commit was made; shown by entries whose tree has no time of its own."""
        return self.commit.committer.time * NS_PER_S

    def directory(self, tree_id: ObjectId) -> DirectoryIndex:
        """Returns the index of a tree below this commit."""
        return self.source.directory(tree_id, time_ns=self.time_ns)

    def find(self, path: bytes | str) -> DirectoryEntry:
        """Returns the entry at `path`; b"" is the root.

        Raises:
            NotFoundError: Nothing is there, or a part on the way is not a directory.
        """
        path = os.fsencode(path)
        entry = self.root
        for name in path.split(b"/") if path else ():
            found = None
            if entry.is_directory:
                index = self.directory(ObjectId(entry.content))
                position = index.find(name)
                found = None if position is None else index.entry(position)
            if found is None:
                raise NotFoundError(
                    f"{path.decode(errors='backslashreplace')!r} does not exist in "
                    f"{self.commit.id.hex()[:10]}",
                    kind=ErrorKind.PATH_NOT_FOUND,
                )
            entry = found
        return entry

    def get(self, path: bytes | str) -> DirectoryEntry | None:
        """Returns the entry at `path`, or None."""
        try:
            return self.find(path)
        except NotFoundError as err:
            if err.kind is not ErrorKind.PATH_NOT_FOUND:
                raise
            return None

    def stat(self, path: bytes | str = b"") -> os.stat_result:
        """Returns what `os.lstat` says in a mount, but for inode, device, owner and block count.

        Raises:
            NotFoundError: Nothing is there.
        """
        entry = self.find(path)
        mode, time_ns = SNAPSHOT_MODES[entry.kind], self.time_ns
        times = (time_ns // NS_PER_S,) * 3
        exact = dict.fromkeys(("st_atime_ns", "st_mtime_ns", "st_ctime_ns"), time_ns)
        return os.stat_result((mode, 0, 0, 1, 0, 0, entry.size, *times), exact)

    def list(self, path: bytes | str = b"") -> Iterator[DirectoryEntry]:
        """Yields the entries of a directory in byte order of names.

        Raises:
            NotFoundError: Nothing is there.
            InvalidInputError: It is not a directory.
        """
        path = os.fsencode(path)
        entry = self.find(path)
        if not entry.is_directory:
            raise InvalidInputError(
                f"{path.decode(errors='backslashreplace')!r} is not a folder",
                kind=ErrorKind.INVALID_PATH,
            )
        return iter(self.directory(ObjectId(entry.content)))

    def walk(self, path: bytes | str = b"") -> Iterator[tuple[bytes, DirectoryEntry]]:
        """Yields path and entry of everything below `path`, parents before what they hold."""
        path = os.fsencode(path)
        # A stack, not recursion: folders may be nested deeper than the interpreter's limit.
        stack = [(path + b"/" if path else b"", self.list(path))]
        while stack:
            prefix, entries = stack[-1]
            for entry in entries:
                yield prefix + entry.name, entry
                if entry.is_directory:
                    below = iter(self.directory(ObjectId(entry.content)))
                    stack.append((prefix + entry.name + b"/", below))
                    break
            else:
                stack.pop()

    def open(self, path: bytes | str) -> Reader:
        """Opens a file for reading.

        Raises:
            NotFoundError: Nothing is there, or its content is not in the repository.
            InvalidInputError: It is not a file.
        """
        path = os.fsencode(path)
        entry = self.find(path)
        if entry.kind in (EntryKind.DIRECTORY, EntryKind.SUBMODULE):
            what = repr(path.decode(errors="backslashreplace")) if path else "the root of a tree"
            raise InvalidInputError(
                f"{what} is a folder, not a file",
                kind=ErrorKind.INVALID_PATH,
                hint="name a file in it; 'mlbfs ls' lists them",
            )
        with naming(path):
            return self.source.open(entry)

    def read(self, path: bytes | str) -> bytes:
        """Returns the whole content of a file."""
        reader = self.open(path)
        with naming(os.fsencode(path)):
            return reader.read(0, reader.size)

    def readlink(self, path: bytes | str) -> bytes:
        """Returns the target of a symbolic link.

        Raises:
            InvalidInputError: It is not a symbolic link.
        """
        path = os.fsencode(path)
        entry = self.find(path)
        if not entry.is_symlink:
            raise InvalidInputError(
                f"{path.decode(errors='backslashreplace')!r} is not a symbolic link",
                kind=ErrorKind.INVALID_PATH,
            )
        with naming(path):
            reader = self.source.open(entry)
            return reader.read(0, reader.size)


@contextmanager
def naming(path: bytes) -> Iterator[None]:
    """Puts the path of a file before errors about its content, which know its id at most."""
    try:
        yield
    except (CorruptionError, NotFoundError, StorageError) as err:
        err.message = f"{os.fsdecode(path)!r}: {err.message}"
        err.args = (err.message,)
        raise
