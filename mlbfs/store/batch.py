"""The work of one ingest thread: a batch of small files from paths to pack records.

Owns: how a batch is read, sorted into text and chunks, hashed, cut, compared with what the store
has, and encoded. Nothing here touches a pack or changes shared state, so batches run in parallel.
Layer: store. Imports the leaves, source, index, recipe, recordformat and kernels.

Everything is done per batch rather than per file, with tuples on the inner path: for files of a
few kilobytes the interpreter is the bottleneck.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

from blake3 import blake3

from mlbfs.errors import ErrorKind
from mlbfs.ids import FileId
from mlbfs.limits import MIN_CHUNK_SIZE
from mlbfs.store import kernels
from mlbfs.store.recipe import MAX_ENTRIES, encode_root
from mlbfs.store.recordformat import (
    RECORD_HEADER_SIZE,
    FileStatus,
    RecordKind,
    stays_in_place,
)
from mlbfs.store.source import Ingested, Policy, Source, SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlbfs.store.packs import Record
    from mlbfs.store.stamps import StampTable

    Read = tuple[int, int, int, int]
    """status, offset, length, st_mode; as `kernels.read_files` returns them."""

ATTEMPTS = 5
"""Times a file that changes under our hands is read before giving up."""


class Known(Protocol):
    """What is stored already; asked once per batch."""

    def known_files(self, ids: Sequence[bytes]) -> set[bytes]:
        """Returns those files that need not be stored again."""

    def known_chunks(self, ids: Sequence[bytes]) -> set[bytes]:
        """Returns those chunks that need not be stored again."""

    def has_root(self, file_id: bytes) -> bool:
        """Whether the recipe of a file whose chunks are all stored need not be stored again."""


@dataclass(slots=True)
class Encoded:
    """Records ready to be appended to a pack.

    Attributes:
        parts: Their bytes in pieces; long raw payloads are views of the memory that was encoded.
        records: What they are; offsets count from the start of the first piece.
    """

    parts: list[bytes | memoryview] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)


@dataclass(slots=True)
class BatchResult:
    """What a batch came to.

    Attributes:
        results: One per source, in order; None for a file to be read as a stream.
        chunks: New chunks.
        roots: Recipe roots of new files.
        files: Roots of new files by file id.
        stamps: Rows of the files that were read, by which they are known the next time.
    """

    results: list[Ingested | None]
    chunks: Encoded = field(default_factory=Encoded)
    roots: Encoded = field(default_factory=Encoded)
    files: dict[bytes, bytes] = field(default_factory=dict)
    stamps: list[tuple[bytes, bytes]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """What is the same for all batches of one ingest.

    Attributes:
        known: What is stored already.
        stamps: Which files were read before.
        level: Zstd level.
        small_text_limit: Longest text that goes to Git by itself.
        stream_size: Longer files are read as streams.
    """

    known: Known
    stamps: StampTable
    level: int
    small_text_limit: int
    stream_size: int


def process_batch(batch: list[Source], settings: BatchSettings) -> BatchResult:
    """Reads and encodes those files of a batch that have changed since they were read before.

    Raises:
        SourceError: A file cannot be read or does not hold still.
    """
    recalled = settings.stamps.unchanged(batch, settings.small_text_limit)
    fresh = [source for source, known in zip(batch, recalled, strict=True) if known is None]
    if not fresh:
        return BatchResult(list(recalled))
    result = _process_fresh(fresh, settings)
    for ingested in result.results:
        row = ingested and settings.stamps.note(ingested, settings.small_text_limit)
        if row:
            result.stamps.append(row)
    read = iter(result.results)
    result.results = [next(read) if known is None else known for known in recalled]
    return result


def _process_fresh(batch: list[Source], settings: BatchSettings) -> BatchResult:
    paths = [os.fsencode(source.path) for source in batch]
    data, reads = kernels.read_files(paths, [source.size for source in batch])
    if any(read[0] != FileStatus.OK for read in reads):
        data, reads = _read_changed(batch, paths, data, reads, settings)
    view = memoryview(data)
    result = BatchResult([])
    add = result.results.append
    pending: dict[bytes, tuple[int, int]] = {}
    for source, (status, offset, length, mode) in zip(batch, reads, strict=True):
        if status != FileStatus.OK:
            add(None)
        elif goes_to_git(data, offset, length, source.policy, settings.small_text_limit):
            text = data[offset : offset + length]
            add(Ingested(source, length, bool(mode & 0o100), None, text))
        else:
            end = offset + length
            file_id = FileId(sha256(view[offset:end]).digest())
            pending[file_id] = (offset, end)
            add(Ingested(source, length, bool(mode & 0o100), file_id, None))
    if pending:
        encode_files(result, view, pending, settings)
    return result


def goes_to_git(data: bytes, offset: int, length: int, policy: Policy, text_limit: int) -> bool:
    """Whether content belongs to Git rather than to the chunk store."""
    if length == 0:
        return True
    if policy is Policy.GIT:
        return True
    if policy is Policy.CHUNKS or length > text_limit:
        return False
    if data.find(b"\0", offset, offset + length) >= 0:
        return False
    try:
        data[offset : offset + length].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _read_changed(
    batch: list[Source],
    paths: list[bytes],
    data: bytes,
    reads: list[Read],
    settings: BatchSettings,
) -> tuple[bytes, list[Read]]:
    """Reads the files that changed once more; those that are too long by now stay CHANGED."""
    parts, size = [data], len(data)
    reads = list(reads)
    for at, (status, _, _, _) in enumerate(reads):
        if status != FileStatus.OK:
            again, (status, offset, length, mode) = _read_again(
                batch[at], paths[at], status, settings
            )
            reads[at] = (status, size + offset, length, mode)
            parts.append(again)
            size += len(again)
    return b"".join(parts), reads


def _read_again(
    source: Source, path: bytes, status: int, settings: BatchSettings
) -> tuple[bytes, Read]:
    for _ in range(ATTEMPTS):
        if status != FileStatus.CHANGED:
            break
        size = file_size(source.path)
        if size > settings.stream_size:
            return b"", (FileStatus.CHANGED, 0, 0, 0)
        data, reads = kernels.read_files([path], [size])
        status = reads[0][0]
        if status == FileStatus.OK:
            return data, reads[0]
    raise source_error(source.path, status)


def file_size(path: os.PathLike[str] | bytes) -> int:
    """Returns the size of a file that is to be read.

    Raises:
        SourceError: It cannot be asked.
    """
    try:
        return os.lstat(path).st_size
    except OSError as err:
        raise source_error(path, -(err.errno or 0)) from err


def source_error(path: os.PathLike[str] | bytes, status: int) -> SourceError:
    """Returns the error for a file that could not be read."""
    name = os.fsdecode(path)
    if status == FileStatus.CHANGED:
        return SourceError(
            f"file {name!r} changes while it is read",
            kind=ErrorKind.SOURCE_CHANGED,
            hint="import it again when nothing writes to it",
        )
    if status == FileStatus.NOT_REGULAR:
        return SourceError(
            f"{name!r} is no regular file any more",
            kind=ErrorKind.SOURCE_CHANGED,
            hint="import it again when nothing writes to it",
        )
    if status == -errno.ENOENT:
        return SourceError(
            f"{name!r} vanished while it was imported",
            kind=ErrorKind.SOURCE_CHANGED,
            hint="run the import again when nothing writes to the source",
        )
    return SourceError(f"file {name!r} cannot be read: {os.strerror(-status)}")


def encode_files(
    result: BatchResult,
    data: memoryview,
    pending: dict[bytes, tuple[int, int]],
    settings: BatchSettings,
) -> None:
    """Fills in the chunks and roots of those files that are new.

    Args:
        result: What is filled in.
        data: The contents of all files.
        pending: Where the content of each file lies in `data`, by file id.
        settings: What is stored already, and how to encode.
    """
    known = settings.known.known_files(list(pending))
    chunks: dict[bytes, tuple[int, int]] = {}
    for file_id, (start, end) in pending.items():
        if file_id not in known:
            entries = _cut(data, start, end, chunks)
            result.files[file_id] = encode_root(end - start, 0, entries)
    result.chunks = encode_chunks(data, chunks, settings)
    result.roots = encode_payloads(result.files, RecordKind.RECIPE_ROOT, settings.level)


def _cut(
    data: memoryview, start: int, end: int, chunks: dict[bytes, tuple[int, int]]
) -> list[tuple[bytes, int]]:
    """Cuts a whole file; adds its chunks to `chunks` and returns their ids and lengths."""
    if start == end:
        return []
    if end - start <= MIN_CHUNK_SIZE:
        chunk_id = blake3(data[start:end]).digest()
        chunks[chunk_id] = (start, end)
        return [(chunk_id, end - start)]
    cuts = kernels.cut_points(data[start:end], True)
    entries = hash_chunks(data, start, cuts, chunks)
    assert len(entries) <= MAX_ENTRIES, "the file is for the stream"
    return entries


def hash_chunks(
    data: memoryview, base: int, cuts: list[int], chunks: dict[bytes, tuple[int, int]]
) -> list[tuple[bytes, int]]:
    """Returns ids and lengths of the chunks that end at `base` + `cuts`; adds to `chunks`."""
    entries = []
    start = base
    for cut in cuts:
        end = base + cut
        chunk_id = blake3(data[start:end]).digest()
        chunks[chunk_id] = (start, end)
        entries.append((chunk_id, end - start))
        start = end
    return entries


def encode_chunks(
    data: memoryview, chunks: dict[bytes, tuple[int, int]], settings: BatchSettings
) -> Encoded:
    """Returns the records of those chunks of `data` that are new."""
    if not chunks:
        return Encoded()
    known = settings.known.known_chunks(list(chunks))
    spans = [(start, end, rid) for rid, (start, end) in chunks.items() if rid not in known]
    return _encode(data, spans, RecordKind.CHUNK, settings.level)


def encode_payloads(payloads: Mapping[bytes, bytes], kind: RecordKind, level: int) -> Encoded:
    """Returns the records of some recipe nodes or roots."""
    spans, at = [], 0
    for record_id, payload in payloads.items():
        end = at + len(payload)
        spans.append((at, end, record_id))
        at = end
    return _encode(memoryview(b"".join(payloads.values())), spans, kind, level)


def _encode(
    data: memoryview, spans: list[tuple[int, int, bytes]], kind: RecordKind, level: int
) -> Encoded:
    encoded = Encoded()
    if not spans:
        return encoded
    blob, table = kernels.encode_records(data, spans, kind, level)
    made = memoryview(blob)
    add, number = encoded.records.append, int(kind)
    begun = at = 0
    for (start, end, record_id), (offset, record_len, codec) in zip(spans, table, strict=True):
        add((record_id, at, record_len, end - start, number, codec))
        at += record_len
        if stays_in_place(codec, end - start):
            header_end = offset + RECORD_HEADER_SIZE
            encoded.parts += (made[begun:header_end], data[start:end])
            begun = header_end
    encoded.parts.append(made[begun:])
    return encoded
