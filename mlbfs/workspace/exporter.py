"""Copies files of a snapshot to a folder of the host.

Owns: how entries of a tree become files, links and folders of the host.
Layer: workspace.

Invariants:
  I1. Nothing that exists on the host is overwritten or followed: every file, link and folder is
      made new, so a hostile tree cannot write through a link it brought along.
  I2. A file that could not be written whole is removed again.

Concurrency: one thread.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbfs.errors import (
    AlreadyExistsError,
    CorruptionError,
    ErrorKind,
    NotFoundError,
    storage_error,
)
from mlbfs.git.names import is_hostile_name
from mlbfs.limits import MIB
from mlbfs.store.dirindex import EntryKind
from mlbfs.workspace.snapshot import naming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from mlbfs.store.dirindex import DirectoryEntry
    from mlbfs.workspace.snapshot import Snapshot
    from mlbfs.workspace.source import Reader

PIECE = 4 * MIB
"""Bytes held at once while a file is copied."""


@dataclass(slots=True)
class ExportResult:
    """What an export wrote.

    Attributes:
        submodules: Paths of submodules; they have no files here and become empty folders.
    """

    files: int
    symlinks: int
    size: int
    submodules: list[bytes]


class Exporter:
    """One export of a folder or file of a snapshot."""

    def __init__(
        self, snapshot: Snapshot, progress: Callable[[int, int], None] | None = None
    ) -> None:
        self._snapshot = snapshot
        self._progress = progress
        self._result = ExportResult(0, 0, 0, [])

    def run(self, path: bytes, destination: Path) -> ExportResult:
        """Copies what is at `path` to `destination`, which must not exist or be an empty folder.

        Raises:
            NotFoundError: There is no such path, or content is missing.
            AlreadyExistsError: The destination holds something.
        """
        entry = self._snapshot.find(path)
        try:
            if entry.is_directory:
                self._folder_root(path, destination)
            else:
                self._leaf(entry, path, destination)
        except FileExistsError as err:
            raise _exists(err.filename) from err
        except OSError as err:
            where = os.fsdecode(err.filename or destination)
            raise storage_error(err, f"cannot write {where!r}") from err
        return self._result

    def _folder_root(self, path: bytes, target: Path) -> None:
        try:
            target.mkdir()
        except FileExistsError:
            if not target.is_dir() or any(target.iterdir()):
                raise
        except FileNotFoundError as err:
            raise NotFoundError(
                f"{str(target.parent)!r} does not exist",
                kind=ErrorKind.PATH_NOT_FOUND,
                hint=f"make it with 'mkdir -p {target.parent}'",
            ) from err
        prefix = len(path) + 1 if path else 0
        for where, entry in self._snapshot.walk(path):
            assert not is_hostile_name(entry.name), "trees are checked when they are read"
            place = target / os.fsdecode(where[prefix:])
            if entry.is_directory:
                place.mkdir()  # I1
            else:
                self._leaf(entry, where, place)

    def _leaf(self, entry: DirectoryEntry, path: bytes, target: Path) -> None:
        if entry.kind is EntryKind.SUBMODULE:
            target.mkdir()
            self._result.submodules.append(path)
            return
        with naming(path):
            reader = self._snapshot.source.open(entry)
            link = reader.read(0, reader.size) if entry.kind is EntryKind.SYMLINK else None
        if link is not None:
            target.symlink_to(os.fsdecode(link))
            self._result.symlinks += 1
            return
        mode = 0o777 if entry.kind is EntryKind.EXECUTABLE else 0o666
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC  # I1
        with open(os.open(target, flags, mode), "wb", buffering=0) as file:
            try:
                self._copy(content(reader, path), file.write)
            except BaseException:
                target.unlink(missing_ok=True)  # I2
                raise
        self._result.files += 1
        self._tell()

    def _copy(self, data: Iterable[bytes], write: Callable[[bytes], int | None]) -> None:
        for piece in data:
            view = memoryview(piece)
            while len(view):
                written = write(view)  # type: ignore[arg-type]  # any buffer will do
                view = view[written:]
            self._result.size += len(piece)
            self._tell()

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self._result.files, self._result.size)


def content(reader: Reader, path: bytes) -> Iterator[bytes]:
    """Yields the content of the file at `path` in pieces; errors name the file."""
    with naming(path):
        yield from pieces(reader)


def pieces(reader: Reader) -> Iterator[bytes]:
    """Yields the content of a file in order, in pieces that fit into memory.

    Raises:
        CorruptionError: Content is damaged, or ends before the length that its tree says.
        StorageError: The device failed.
    """
    offset = 0
    while offset < reader.size:
        data = reader.read(offset, PIECE)
        if not data:
            raise CorruptionError(
                f"the content ends after {offset} of {reader.size} bytes", hint="run 'mlbfs fsck'"
            )
        yield data
        offset += len(data)


def _exists(name: bytes | str | None) -> AlreadyExistsError:
    shown = os.fsdecode(name) if name is not None else "the destination"
    return AlreadyExistsError(
        f"{shown!r} exists already",
        kind=ErrorKind.NOT_EMPTY,
        hint="export to a folder that does not exist yet, or to an empty one",
    )
