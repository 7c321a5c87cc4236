"""StoreWriter: adds files to a chunk store, all or nothing.

Owns: one writer's unpublished work and the order in which it is published.
Layer: store. Imports the leaves, source, batch, ingest, sink, spool, known and index.

Order of a commit: pack bytes durable, packs renamed, names durable, index rows durable. Nothing
refers to what a crash leaves between these steps; fsck and gc take in or remove such packs.

Concurrency: a writer belongs to one thread at a time. Any number of writers may be at work on one
store, in one process or several.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from typing import TYPE_CHECKING, Self

from mlbfs.errors import storage_error
from mlbfs.ids import FileId
from mlbfs.limits import SMALL_TEXT_LIMIT
from mlbfs.store import formatfile, ingest
from mlbfs.store.batch import BatchResult, BatchSettings, Encoded, encode_files, encode_payloads
from mlbfs.store.index import Location
from mlbfs.store.ingest import IngestThreads, Pipeline
from mlbfs.store.known import StoredContent
from mlbfs.store.locks import FileLock
from mlbfs.store.packs import DIRECTORY, remove_leftovers
from mlbfs.store.publish import publish_rows
from mlbfs.store.rebuild import file_row
from mlbfs.store.recipe import has_midstates
from mlbfs.store.recordformat import RecordKind
from mlbfs.store.sink import PackSink
from mlbfs.store.spool import ByteSpool, RowSpool, SpoolFolder
from mlbfs.store.stamps import StampTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from types import TracebackType

    from mlbfs.ids import ObjectId
    from mlbfs.store.chunkreader import ChunkReader
    from mlbfs.store.edit import Edit
    from mlbfs.store.files import Files
    from mlbfs.store.index import ChunkIndex
    from mlbfs.store.packs import Record
    from mlbfs.store.source import Ingested, Source
    from mlbfs.store.stream import ByteSource

LOCK_NAME = "lock"


@dataclass(frozen=True, slots=True)
class WriterStatistics:
    """What a writer has taken in.

    Attributes:
        files: Files that went to the chunk store, known ones included.
        bytes: Their length.
        new_chunks: Chunks that were not in the store.
        new_bytes: Their plain length.
        stored_bytes: Bytes of all records written: chunks, recipe nodes and roots; after a commit,
            of the packs, which have tables besides.
    """

    files: int
    bytes: int
    new_chunks: int
    new_bytes: int
    stored_bytes: int


@contextmanager
def _device(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise storage_error(err, what) from err


class StoreWriter:
    """Adds files to a store; made by `ChunkStore.writer`.

    Leaving the with block without `commit` drops everything. A writer keeps gc away until it is
    closed.

    Attributes:
        on_length: Called, in the thread that waits for the writer, with the number of bytes that
            were taken in since the last call; for bars.
    """

    def __init__(
        self, root: Path, index: ChunkIndex, chunks: ChunkReader, files: Files, *, level: int
    ) -> None:
        """Locks the store against gc and removes what dead writers left.

        Raises:
            ConflictError: gc or a repair is at work (LOCKED).
            StorageError: The device failed.
        """
        self._root = root
        self._index = index
        self._files = files
        self._level = level
        self.on_length: Callable[[int], None] = lambda _: None
        self._count = 0
        self._bytes = 0
        self._pack_bytes: int | None = None
        self._lock = FileLock(root / LOCK_NAME, exclusive=False)
        try:
            remove_leftovers(root / DIRECTORY)
            index.check_in_place()
            index.check_readers()
            self._sink = PackSink(root / DIRECTORY, files)
        except BaseException:
            self._lock.release()
            raise
        self._rows = RowSpool(self._sink.path / "rows", files)
        self._sources = RowSpool(self._sink.path / "sources", files)
        self._known = StoredContent(index, chunks, self._sink.seen)
        self._stamps = StampTable(index, self._known)
        self._threads = IngestThreads()
        self._closed = self._committed = self._has_midstates = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drops what was not committed and ends the writer; doing it twice is fine."""
        if self._closed:
            return
        self._closed = True
        try:
            self._threads.close()
            self._rows.close()
            self._sources.close()
            with _device("chunk store"):
                self._sink.close()
        finally:
            self._lock.release()

    def ingest(
        self, sources: Iterable[Source], *, small_text_limit: int = SMALL_TEXT_LIMIT
    ) -> Iterator[Ingested]:
        """Stores files and yields what became of each, in order.

        A file is read once, or not at all if its stamp shows that it was read before. Memory is
        bounded, whatever the files' number and length.

        Args:
            sources: The files; taken lazily, from the caller's thread.
            small_text_limit: Longest text that goes to Git by itself.

        Raises:
            SourceError: A file cannot be read or does not hold still; the message names it.
            StoreFullError: The device is full.
            StorageError: The device failed.
        """
        pipeline = Pipeline(self._settings(small_text_limit), self, self._threads)
        for result in pipeline.run(sources):
            if result.file_id is not None:
                self._count += 1
                self._bytes += result.size
            yield result

    def put_bytes(self, data: bytes) -> tuple[FileId, int]:
        """Stores one small file from memory, always as chunks; returns its id and length.

        Raises:
            StoreFullError: The device is full.
            StorageError: The device failed.
        """
        if len(data) > ingest.STREAM_SIZE:
            return self.put_stream(BytesIO(data))
        file_id = FileId(sha256(data).digest())
        result = BatchResult([])
        pending: dict[bytes, tuple[int, int]] = {file_id: (0, len(data))}
        encode_files(result, memoryview(data), pending, self._settings(SMALL_TEXT_LIMIT))
        self.accept_batch(result)
        self._count += 1
        self._bytes += len(data)
        return file_id, len(data)

    def put_stream(self, stream: ByteSource) -> tuple[FileId, int]:
        """Stores a file of any length, read to its end; returns its id and length.

        Raises:
            OSError: The stream cannot be read.
            StoreFullError: The device is full.
            StorageError: The device failed.
        """
        pipeline = Pipeline(self._settings(SMALL_TEXT_LIMIT), self, self._threads)
        file_id, size = pipeline.stream(stream)
        self._count += 1
        self._bytes += size
        return file_id, size

    def put_edit(self, edit: Edit) -> tuple[FileId, int]:
        """Stores a new version of a stored file, of which only what changed is cut again.

        The result is what `put_stream` of the whole new content would store. Bytes that did not
        change are read for their SHA-256 alone, and only behind the last midstate before the first
        change.

        Raises:
            CorruptionError: A part of the base that is needed is missing or damaged.
            StoreFullError: The device is full.
            StorageError: The device failed.
        """
        pipeline = Pipeline(self._settings(SMALL_TEXT_LIMIT), self, self._threads)
        file_id = pipeline.revise(edit)
        self._count += 1
        self._bytes += edit.size
        return file_id, edit.size

    @contextmanager
    def spool(self, name: str) -> Iterator[ByteSpool]:
        """Gives room for bytes that memory may be too small for; it ends with the block."""
        spool = ByteSpool(self._sink.path / name, self._files)
        try:
            yield spool
        finally:
            spool.close()

    def statistics(self) -> WriterStatistics:
        """Returns what was taken in so far."""
        sink = self._sink
        return WriterStatistics(
            self._count,
            self._bytes,
            sink.new_chunks,
            sink.new_bytes,
            sink.stored_bytes if self._pack_bytes is None else self._pack_bytes,
        )

    def commit(self, directories: Iterable[tuple[ObjectId, bytes]] = ()) -> None:
        """Publishes everything: durable, and seen by every process, when it returns.

        gc stays away until the writer is closed, so move the ref that needs the new files before
        the with block ends.

        Args:
            directories: Directory indexes to be stored in the same step.

        Raises:
            StoreFullError: The device is full; nothing was published.
            StorageError: The device failed; nothing was published.
        """
        assert not self._closed, "the writer is closed"
        assert not self._committed, "the writer has committed"
        if self._has_midstates:
            formatfile.require_feature(self._root, formatfile.MIDSTATES, self._files)
        with _device("pack"):
            packs = self._sink.publish()
            self._pack_bytes = sum(pack.size for pack in packs)
            publish_rows(
                self._index,
                packs,
                self._rows,
                directories,
                self._sources,
                spools=SpoolFolder(self._sink.path, self._files),
            )
        self._committed = True

    # What the pipeline hands over

    def accept_batch(self, result: BatchResult) -> None:
        """Takes the new chunks and roots of a batch."""
        with _device("pack"):
            self._sink.append(result.chunks)
            ordinal, placed = self._sink.append(result.roots)
            for record in placed:
                self._add_row(record, ordinal, result.files[record[0]])
            for row in result.stamps:
                self._sources.add(*row)

    def accept_length(self, length: int) -> None:
        """Is told of bytes that are done with, as they come."""
        self.on_length(length)

    def accept_stamp(self, row: tuple[bytes, bytes]) -> None:
        """Takes the row by which a long file that was read is known the next time."""
        with _device("pack"):
            self._sources.add(*row)

    def accept_records(self, encoded: Encoded) -> None:
        """Takes chunks or nodes."""
        with _device("pack"):
            self._sink.append(encoded)

    def accept_root(self, file_id: bytes, root: bytes) -> None:
        """Takes the root of a file whose chunks were taken before."""
        self._has_midstates = self._has_midstates or has_midstates(root)
        encoded = encode_payloads({file_id: root}, RecordKind.RECIPE_ROOT, self._level)
        with _device("pack"):
            ordinal, placed = self._sink.append(encoded)
            for record in placed:
                self._add_row(record, ordinal, root)

    def _settings(self, small_text_limit: int) -> BatchSettings:
        stream_size = max(ingest.STREAM_SIZE, min(small_text_limit, 8 * ingest.STREAM_SIZE))
        return BatchSettings(self._known, self._stamps, self._level, small_text_limit, stream_size)

    def _add_row(self, record: Record, ordinal: int, root: bytes) -> None:
        """Notes the row of a new file; a located one names its pack by ordinal until the commit."""
        place = Location(ordinal, record[1], record[2], record[3])
        self._rows.add(record[0], file_row(root, place))
