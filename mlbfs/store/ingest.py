"""The ingest pipeline: files of the host to encoded records, in order, on all cores.

Owns: the threads of a writer and how much may be in flight.
Layer: store. Imports the leaves, source, batch, stream and recipe.

Small files travel in batches, each read, hashed and encoded by one thread of the pool. A long file
is read and cut by a reader thread, hashed as a whole by another, and its segments are encoded by
the pool. The caller's thread takes the pieces in order and hands them to the sink, so chunks lie
in the order of the sources.

Memory: at most MAX_DEPTH pieces are in flight, each about BATCH_SIZE bytes and at most as much
again when encoded; a long raw chunk is written from where it was read.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from blake3 import blake3

from mlbfs.ids import FileId
from mlbfs.limits import MIB
from mlbfs.store import sha256
from mlbfs.store.batch import (
    ATTEMPTS,
    BatchResult,
    BatchSettings,
    Encoded,
    encode_chunks,
    encode_payloads,
    hash_chunks,
    process_batch,
    source_error,
)
from mlbfs.store.edit import Kept, keep_entries, new_pieces, resume_hash
from mlbfs.store.readahead import read_ahead, settle
from mlbfs.store.recipe import RecipeBuilder
from mlbfs.store.recordformat import FileStatus, RecordKind
from mlbfs.store.source import Ingested, Policy, Source
from mlbfs.store.stream import HostFile, SegmentReader

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from mlbfs.store.batch import Known
    from mlbfs.store.edit import Edit
    from mlbfs.store.sha256 import FileHash
    from mlbfs.store.stream import ByteSource, Segment

    Piece = Callable[[], Iterable[Ingested]]
    """Finishes one piece of work in the caller's thread; returns the files that are done."""

T = TypeVar("T")

BATCH_SIZE = 4 * MIB
"""Bytes of a batch; large enough that its fixed cost is nothing."""
BATCH_FILES = 256
"""Files of a batch."""
STREAM_SIZE = 1 * MIB
"""Longer files are read as streams."""
MAX_GIT_BLOB_SIZE = 8 * MIB
"""Longer files go to the chunk store even when their policy says Git. Not more: a file that is
read whole must fit one recipe root, MAX_ENTRIES chunks of MIN_CHUNK_SIZE."""
MAX_WORKERS = 8
"""More would wait for the interpreter and for the disk."""
MAX_DEPTH = 16
"""Most pieces in flight: 16 times 8 MiB, plain and encoded, whatever the number of cores."""
DEPTH_PER_WORKER = 2
"""Pieces waiting per worker beside the one it works on."""


class Sink(Protocol):
    """Takes what the pipeline makes, in order, in the caller's thread."""

    def accept_batch(self, result: BatchResult) -> None:
        """Takes the new chunks and roots of a batch."""

    def accept_records(self, encoded: Encoded) -> None:
        """Takes chunks or nodes."""

    def accept_stamp(self, row: tuple[bytes, bytes]) -> None:
        """Takes the row by which a long file that was read is known the next time."""

    def accept_root(self, file_id: bytes, root: bytes) -> None:
        """Takes the root of a file whose chunks were taken before."""

    def accept_length(self, length: int) -> None:
        """Is told of bytes that are done with, as they come, for whoever watches."""


class StreamedFile:
    """A long file on its way: its hash, its recipe, its length."""

    def __init__(self, sink: Sink, known: Known, level: int) -> None:
        self.hash = sha256.new_hash()
        self.size = 0
        self.builder = RecipeBuilder(self._put_node)
        self._sink = sink
        self._known = known
        self._level = level

    def _put_node(self, payload: bytes) -> bytes:
        node_id = blake3(payload).digest()
        if not self._known.known_chunks([node_id]):
            node = encode_payloads({node_id: payload}, RecordKind.RECIPE_NODE, self._level)
            self._sink.accept_records(node)
        return node_id

    def finish(self) -> FileId:
        """Stores the root, if it is new, and returns the id of the file."""
        root = self.builder.finish(self.hash.midstates())
        file_id = self.hash.digest()
        if not self._known.has_root(file_id):
            self._sink.accept_root(file_id, root)
        return FileId(file_id)


class IngestThreads:
    """The threads of one writer; none is started before there is work for it."""

    def __init__(self) -> None:
        self.workers = min(len(os.sched_getaffinity(0)), MAX_WORKERS)
        self.pool = ThreadPoolExecutor(self.workers, "mlbfs-ingest")
        self.reader = ThreadPoolExecutor(1, "mlbfs-read")
        self.hasher = ThreadPoolExecutor(1, "mlbfs-hash")

    def close(self) -> None:
        """Ends the threads; work that was not taken is thrown away."""
        for pool in (self.pool, self.reader, self.hasher):
            pool.shutdown(wait=True, cancel_futures=True)


class Pipeline:
    """Runs sources through the threads."""

    def __init__(self, settings: BatchSettings, sink: Sink, threads: IngestThreads) -> None:
        self._settings = settings
        self._sink = sink
        self._depth = min((DEPTH_PER_WORKER + 1) * threads.workers, MAX_DEPTH)
        self._pool = threads.pool
        self._reader = threads.reader
        self._hasher = threads.hasher

    def run(self, sources: Iterable[Source]) -> Iterator[Ingested]:
        """Yields what became of each source, in order.

        Raises:
            SourceError: A file cannot be read or does not hold still.
        """
        yield from self._finish_in_order(self._pieces(sources))

    def stream(self, source: ByteSource) -> tuple[FileId, int]:
        """Stores a stream of bytes and returns its id and length.

        Raises:
            OSError: The stream cannot be read.
        """
        streamed = self._new_stream()
        for _ in self._finish_in_order(self._segments(streamed, source)):
            raise AssertionError("a segment finishes no file")
        return streamed.finish(), streamed.size

    def revise(self, edit: Edit) -> FileId:
        """Stores a new version of a file from what changed and returns its id.

        Raises:
            CorruptionError: A part of the base that is needed is missing or damaged.
            StorageError: The device failed.
        """
        streamed = self._new_stream()
        hashed = self._hasher.submit(self._hash_edit, edit)
        try:
            with closing(self._edited(streamed, edit)) as pieces:
                for _ in self._finish_in_order(pieces):
                    raise AssertionError("a piece of a file finishes none")
            streamed.hash = hashed.result()
        finally:
            settle([hashed])  # The caller closes the file next.
        return streamed.finish()

    def _hash_edit(self, edit: Edit) -> FileHash:
        state, start = resume_hash(edit.base, edit.size, edit.next_change(0))
        with closing(read_ahead(self._pool, edit.content, start, edit.size)) as parts:
            for part in parts:
                state.update(part)
        return state

    def _edited(self, streamed: StreamedFile, edit: Edit) -> Generator[Piece, None, None]:
        reader = SegmentReader(edit.stream(0))
        with closing(_ahead(self._reader, new_pieces(edit, reader))) as pieces:
            for piece in pieces:
                if isinstance(piece, Kept):
                    yield partial(keep_entries, edit.base, streamed.builder, piece)
                else:
                    yield self._submit_encoding(streamed, reader, piece)

    def _finish_in_order(self, pieces: Iterator[Piece]) -> Iterator[Ingested]:
        waiting: deque[Piece] = deque()
        for piece in pieces:
            waiting.append(piece)
            if len(waiting) > self._depth:
                yield from waiting.popleft()()
        while waiting:
            yield from waiting.popleft()()

    def _pieces(self, sources: Iterable[Source]) -> Iterator[Piece]:
        batch: list[Source] = []
        size = 0
        for source in sources:
            if self._is_streamed(source):
                if batch:
                    yield self._submit_batch(batch)
                    batch, size = [], 0
                yield from self._long_file(source)
                continue
            batch.append(source)
            size += source.size
            if size >= BATCH_SIZE or len(batch) >= BATCH_FILES:
                yield self._submit_batch(batch)
                batch, size = [], 0
        if batch:
            yield self._submit_batch(batch)

    def _is_streamed(self, source: Source) -> bool:
        if source.size <= self._settings.stream_size:
            return False
        return source.policy is not Policy.GIT or source.size > MAX_GIT_BLOB_SIZE

    def _submit_batch(self, batch: list[Source]) -> Piece:
        future = self._pool.submit(process_batch, batch, self._settings)
        return partial(self._finish_batch, batch, future)

    def _finish_batch(self, batch: list[Source], future: Future[BatchResult]) -> Iterable[Ingested]:
        result = future.result()
        self._sink.accept_batch(result)
        self._sink.accept_length(sum(done.size for done in result.results if done is not None))
        if None not in result.results:
            return result.results  # type: ignore[return-value]
        return self._finish_grown(batch, result.results)

    def _finish_grown(
        self, batch: list[Source], results: list[Ingested | None]
    ) -> Iterator[Ingested]:
        """Streams those files of a batch that have become long since they were scanned."""
        for source, result in zip(batch, results, strict=True):
            if result is not None:
                yield result
            else:
                yield from self._finish_in_order(self._stream_file(source))

    def _new_stream(self) -> StreamedFile:
        return StreamedFile(self._sink, self._settings.known, self._settings.level)

    def _long_file(self, source: Source) -> Iterator[Piece]:
        settings = self._settings
        (known,) = settings.stamps.unchanged([source], settings.small_text_limit)
        if known is None:
            return self._stream_file(source)
        return iter([lambda: [known]])

    def _stream_file(self, source: Source) -> Iterator[Piece]:
        for _ in range(ATTEMPTS):
            file = HostFile(source)
            streamed = self._new_stream()
            try:
                yield from self._segments(streamed, file)
                if file.held_still(streamed.size):
                    yield partial(self._finish_file, source, streamed, file.executable)
                    return
            finally:
                file.close()
        raise source_error(source.path, FileStatus.CHANGED)

    def _finish_file(
        self, source: Source, streamed: StreamedFile, executable: bool
    ) -> Iterable[Ingested]:
        result = Ingested(source, streamed.size, executable, streamed.finish(), None)
        row = self._settings.stamps.note(result, self._settings.small_text_limit)
        if row is not None:
            self._sink.accept_stamp(row)
        return [result]

    def _segments(self, streamed: StreamedFile, source: ByteSource) -> Iterator[Piece]:
        reader = SegmentReader(source)
        ahead = self._reader.submit(reader.read)
        try:
            while True:
                segment = ahead.result()
                if not segment.last:
                    ahead = self._reader.submit(reader.read)
                yield self._submit_segment(streamed, reader, segment)
                if segment.last:
                    streamed.size = reader.size
                    return
        finally:
            settle([ahead])  # The caller closes the file next.

    def _submit_segment(
        self, streamed: StreamedFile, reader: SegmentReader, segment: Segment
    ) -> Piece:
        hashed = self._hasher.submit(streamed.hash.update, segment.data[segment.fresh :])
        encoded = self._submit_encoding(streamed, reader, segment)

        def finish() -> Iterable[Ingested]:
            hashed.result()
            return encoded()

        return finish

    def _submit_encoding(
        self, streamed: StreamedFile, reader: SegmentReader, segment: Segment
    ) -> Piece:
        encoded = self._pool.submit(encode_segment, segment, self._settings)

        def finish() -> Iterable[Ingested]:
            entries, records = encoded.result()
            self._sink.accept_records(records)  # Views of the segment are in them.
            self._sink.accept_length(sum(length for _, length in entries))
            reader.give_back(segment)
            for chunk_id, length in entries:
                streamed.builder.add(chunk_id, length)
            return ()

        return finish


def _ahead(pool: ThreadPoolExecutor, items: Iterator[T]) -> Generator[T, None, None]:
    """Yields what an iterator does, each made in a thread while the one before is used."""
    ahead = pool.submit(next, items, None)
    try:
        while (item := ahead.result()) is not None:
            ahead = pool.submit(next, items, None)
            yield item
    finally:
        settle([ahead])


def encode_segment(
    segment: Segment, settings: BatchSettings
) -> tuple[list[tuple[bytes, int]], Encoded]:
    """Returns the chunks of a segment in order, and the records of those that are new."""
    chunks: dict[bytes, tuple[int, int]] = {}
    entries = hash_chunks(segment.data, 0, segment.cuts, chunks)
    return entries, encode_chunks(segment.data, chunks, settings)
