"""ChunkStore: the facade of the store.

Owns: the lifetime of the index, the open packs and the cache of one opened store.
Layer: store. Imports the modules of the store.

Concurrency: any thread. Not to be carried across fork: open it again in the child.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from mlbfs.errors import CorruptionError, ErrorKind, NotFoundError, storage_error
from mlbfs.ids import ChunkId, short_hex
from mlbfs.limits import ZSTD_LEVEL
from mlbfs.store import formatfile, rebuild, recipe
from mlbfs.store import index as chunkindex
from mlbfs.store.chunkreader import ChunkReader
from mlbfs.store.dirindex import DirectoryIndex
from mlbfs.store.filereader import FileReader
from mlbfs.store.files import Files
from mlbfs.store.index import ChunkIndex, FileRow, parse_location
from mlbfs.store.locks import FileLock
from mlbfs.store.packs import DIRECTORY, PackFiles, list_packs
from mlbfs.store.publish import put_directories
from mlbfs.store.writer import LOCK_NAME, StoreWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from types import TracebackType

    from mlbfs.ids import FileId, ObjectId
    from mlbfs.store.formatfile import StoreFormat


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    """What a store holds.

    Attributes:
        files: Files known by id.
        chunks: Chunks and recipe nodes.
        packs: Pack files.
        pack_bytes: Their length together.
        directories: Directory indexes.
        index_bytes: Space that the chunk index takes on disk.
    """

    files: int
    chunks: int
    packs: int
    pack_bytes: int
    directories: int
    index_bytes: int


class ChunkStore:
    """An opened chunk store; a context manager.

    Attributes:
        root: The directory of the store.
        format: What its format file says.
    """

    def __init__(
        self, root: Path, store_format: StoreFormat, index: ChunkIndex, files: Files
    ) -> None:
        """Puts an opened store together; use `open` or `create`."""
        self.root = root
        self.format = store_format
        self.index = index
        self.files = files
        self._packs = PackFiles(root / DIRECTORY)
        self.chunks = ChunkReader(index, self._packs)

    @classmethod
    def create(cls, root: Path, *, files: Files | None = None) -> ChunkStore:
        """Makes a store, or opens the one that is there.

        Raises:
            FormatVersionError: The one that is there is too new.
            StorageError: The device failed.
        """
        files = files or Files()
        if not (root / formatfile.FILE_NAME).exists():
            try:
                (root / DIRECTORY).mkdir(parents=True, exist_ok=True)
                files.sync_directory(root.parent)
            except OSError as err:
                raise storage_error(err, f"directory {str(root)!r}") from err
            formatfile.write_format(root, files)
        return cls.open(root, files=files)

    @classmethod
    def open(cls, root: Path, *, repair: bool = False, files: Files | None = None) -> ChunkStore:
        """Opens a store.

        Args:
            root: The directory of the store.
            repair: Open it even when its chunk index is missing or not complete.
            files: How files are written; for fault tests.

        Raises:
            NotFoundError: There is no store (NOT_MLBFS).
            FormatVersionError: The store is too new.
            CorruptionError: The chunk index is missing or damaged (CORRUPT_INDEX).
            StorageError: The device failed.
        """
        store_format = formatfile.read_format(root)
        path = root / chunkindex.FILE_NAME
        if not repair and not path.exists() and list_packs(root / DIRECTORY):
            raise _index_missing("is missing")
        files = files or Files()
        if repair:
            _set_damaged_aside(path)
        index = ChunkIndex(path)
        try:
            if not index.state():
                _begin_index(index, root, files)
            if index.state() != b"ready" and not repair:
                raise _index_missing("was not rebuilt to its end")
        except BaseException:
            index.close()
            raise
        return cls(root, store_format, index, files)

    def close(self) -> None:
        """Closes the store; doing it twice is fine."""
        self._packs.close()
        self.chunks.cache.clear()
        self.index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def file_size(self, file_id: FileId) -> int | None:
        """Returns the length of a file, or None when the store does not know it."""
        row = self.index.file(file_id)
        return None if row is None else row.size

    def is_complete(self, file_id: FileId) -> bool:
        """Whether the store knows a file and, as far as the last check knows, lost none of it."""
        row = self.index.file(file_id)
        return row is not None and not row.lost

    def open_file(self, file_id: FileId) -> FileReader:
        """Returns a reader of a file.

        Raises:
            NotFoundError: The store does not know the file (FILE_NOT_FOUND).
            CorruptionError: Its recipe is damaged.
            StorageError: The device failed.
        """
        row = self.index.file(file_id)
        if row is None:
            raise NotFoundError(
                f"file {short_hex(file_id)} is not in the chunk store",
                kind=ErrorKind.FILE_NOT_FOUND,
            )
        root = recipe.parse_root(self._read_root(file_id, row))
        if root.size != row.size:
            raise CorruptionError(
                f"file {short_hex(file_id)}: index and recipe disagree on its length",
                kind=ErrorKind.CORRUPT_INDEX,
                hint="run 'mlbfs fsck --repair'",
            )
        return FileReader(file_id, root, self.chunks)

    def _read_root(self, file_id: FileId, row: FileRow) -> bytes:
        if row.root is not None:
            return row.root
        assert row.location is not None
        data = self.chunks.read_at(row.location, file_id, relocate=self._root_location)
        assert data is not None
        return data

    def _root_location(self, file_id: bytes) -> chunkindex.Location | None:
        row = self.index.file(file_id)
        return None if row is None else row.location

    def stored_lengths(self, ids: Sequence[ChunkId]) -> dict[ChunkId, int]:
        """Returns what the records of those chunks that are known take in packs."""
        rows = self.index.chunks(ids)
        return {ChunkId(key): parse_location(row).record_len for key, row in rows.items()}

    def directory(self, tree_id: ObjectId) -> DirectoryIndex | None:
        """Returns the index of a directory, or None when it has to be built from Git.

        Raises:
            FormatError: What is stored is damaged.
        """
        data = self.index.directory(tree_id)
        return None if data is None else DirectoryIndex(data)

    def put_directories(self, items: Iterable[tuple[ObjectId, bytes]]) -> None:
        """Stores encoded directory indexes.

        Raises:
            StorageError: The device failed; some may be there, which harms nobody.
        """
        put_directories(self.index, items)

    def writer(self, *, level: int = ZSTD_LEVEL) -> StoreWriter:
        """Returns a writer; use it as a context manager.

        Raises:
            ConflictError: gc or a repair is at work (LOCKED).
            StorageError: The device failed.
        """
        return StoreWriter(self.root, self.index, self.chunks, self.files, level=level)

    def rebuild_index(self) -> None:
        """Rebuilds the chunk index from the packs alone.

        Raises:
            ConflictError: A writer, gc or another repair is at work (LOCKED).
            StorageError: The device failed.
        """
        with FileLock(self.root / LOCK_NAME, exclusive=True):
            rebuild.rebuild(self.index, self.root / DIRECTORY, self.chunks)

    def statistics(self) -> StoreStatistics:
        """Returns what the store holds."""
        counts = self.index.counts()
        sizes = [pack.size for pack in self.index.packs()]
        status = (self.root / chunkindex.FILE_NAME).stat()
        return StoreStatistics(
            files=counts.files,
            chunks=counts.chunks,
            packs=counts.packs,
            pack_bytes=sum(sizes),
            directories=counts.directories,
            index_bytes=status.st_blocks * 512,
        )


def _set_damaged_aside(path: Path) -> None:
    """Renames an index that cannot be opened, so that a new one can be built."""
    try:
        ChunkIndex(path).close()
    except CorruptionError:
        path.replace(path.with_name(path.name + ".damaged"))


def _begin_index(index: ChunkIndex, root: Path, files: Files) -> None:
    """Marks a fresh index: complete when there is no pack, else to be rebuilt."""
    state = b"rebuilding" if list_packs(root / DIRECTORY) else b"ready"
    with index.begin() as txn:
        txn.set_state(state)
    try:
        files.sync_directory(root)
    except OSError as err:
        raise storage_error(err, f"directory {str(root)!r}") from err


def _index_missing(what: str) -> CorruptionError:
    return CorruptionError(
        f"the chunk index {what}",
        kind=ErrorKind.CORRUPT_INDEX,
        hint="run 'mlbfs fsck --repair'",
    )
