"""The work of one ingest thread: a batch of small files from paths to pack records.

Owns: how a batch is read, sorted into text and chunks, hashed, cut, compared with what the store
has, and encoded. Nothing here touches a pack or changes shared state, so batches run in parallel.
Layer: store. Imports the leaves, source, index, recipe, recordformat and kernels.

Everything is done per batch rather than per file, with tuples on the inner path: for files of a
few kilobytes the interpreter is the bottleneck.
"""

from __future__ import annotations

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
from mlbfs.store.recordformat import FileStatus, RecordKind
from mlbfs.store.source import Ingested, Policy, Source, SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlbfs.store.packs import Record

ATTEMPTS = 5
"""Times a file that changes under our hands is read before giving up."""


class Known(Protocol):
    """What is stored already; asked once per batch."""

    def known_files(self, ids: Sequence[bytes]) -> set[bytes]:
        """Returns those files that need not be stored again."""

    def known_chunks(self, ids: Sequence[bytes]) -> set[bytes]:
        """Returns those chunks that need not be stored again."""


@dataclass(slots=True)
class Encoded:
    """Records ready to be appended to a pack.

    Attributes:
        blob: The records one after another.
        records: What they are; offsets count from the start of `blob`.
    """

    blob: bytes = b""
    records: list[Record] = field(default_factory=list)


@dataclass(slots=True)
class BatchResult:
    """What a batch came to.

    Attributes:
        results: One per source, in order; None for a file to be read as a stream.
        chunks: New chunks.
        roots: Recipe roots of new files.
        files: Roots of new files by file id.
    """

    results: list[Ingested | None]
    chunks: Encoded = field(default_factory=Encoded)
    roots: Encoded = field(default_factory=Encoded)
    files: dict[bytes, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """What is the same for all batches of one ingest.

    Attributes:
        known: What is stored already.
        level: Zstd level.
        small_text_limit: Longest text that goes to Git by itself.
        stream_size: Longer files are read as streams.
    """

    known: Known
    level: int
    small_text_limit: int
    stream_size: int


def process_batch(batch: list[Source], settings: BatchSettings) -> BatchResult:
    """Reads and encodes a batch of files.

    Raises:
        SourceError: A file cannot be read or does not hold still.
    """
    paths = [os.fsencode(source.path) for source in batch]
    blob, spans = kernels.read_files(paths, [source.size for source in batch])
    result = BatchResult([])
    pending: list[tuple[FileId, memoryview]] = []
    view = memoryview(blob)
    add = result.results.append
    for source, path, (status, offset, length, mode) in zip(batch, paths, spans, strict=True):
        if status != FileStatus.OK:
            again = _read_again(source, path, status, settings)
            if again is None:
                add(None)
                continue
            data, offset, length, mode = again
            content, whole = memoryview(data), data
        else:
            content, whole = view[offset : offset + length], blob
        executable = bool(mode & 0o100)
        if goes_to_git(whole, offset, length, source.policy, settings.small_text_limit):
            text = whole[offset : offset + length]
            add(Ingested(source, length, executable, None, text))
        else:
            file_id = FileId(sha256(content).digest())
            pending.append((file_id, content))
            add(Ingested(source, length, executable, file_id, None))
    encode_files(result, pending, settings)
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


def _read_again(
    source: Source, path: bytes, status: int, settings: BatchSettings
) -> tuple[bytes, int, int, int] | None:
    """Reads a file that changed; None when it has become one for the stream."""
    for _ in range(ATTEMPTS):
        if status != FileStatus.CHANGED:
            raise source_error(source.path, status)
        size = file_size(source.path)
        if size > settings.stream_size:
            return None
        data, spans = kernels.read_files([path], [size])
        status, offset, length, mode = spans[0]
        if status == FileStatus.OK:
            return data, offset, length, mode
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
    return SourceError(f"file {name!r} cannot be read: {os.strerror(-status)}")


def encode_files(
    result: BatchResult, pending: list[tuple[FileId, memoryview]], settings: BatchSettings
) -> None:
    """Fills in the chunks and roots of those files that are new.

    Args:
        result: What is filled in.
        pending: Ids and contents of files that go to the chunk store.
        settings: What is stored already, and how to encode.
    """
    wanted = dict(pending)
    known = settings.known.known_files(list(wanted)) if wanted else set()
    chunks: dict[bytes, memoryview] = {}
    for file_id, content in wanted.items():
        if file_id not in known:
            entries = cut(content, chunks)
            result.files[file_id] = encode_root(len(content), 0, entries)
    result.chunks = encode_chunks(chunks, settings.known, settings.level)
    roots = list(result.files.items())
    result.roots = encode_payloads(roots, RecordKind.RECIPE_ROOT, settings.level)


def cut(content: memoryview, chunks: dict[bytes, memoryview]) -> list[tuple[bytes, int]]:
    """Cuts a whole file; adds its chunks to `chunks` and returns their ids and lengths."""
    if not content:
        return []
    if len(content) <= MIN_CHUNK_SIZE:
        chunk_id = blake3(content).digest()
        chunks[chunk_id] = content
        return [(chunk_id, len(content))]
    entries = []
    start = 0
    for end in kernels.cut_points(content, True):
        piece = content[start:end]
        chunk_id = blake3(piece).digest()
        chunks[chunk_id] = piece
        entries.append((chunk_id, end - start))
        start = end
    assert len(entries) <= MAX_ENTRIES, "the file is for the stream"
    return entries


def encode_chunks(chunks: dict[bytes, memoryview], known: Known, level: int) -> Encoded:
    """Returns the records of those chunks that are new."""
    if not chunks:
        return Encoded()
    stored = known.known_chunks(list(chunks))
    fresh = [(rid, piece) for rid, piece in chunks.items() if rid not in stored]
    return encode_payloads(fresh, RecordKind.CHUNK, level)


def encode_payloads(
    payloads: Sequence[tuple[bytes, bytes | memoryview]], kind: RecordKind, level: int
) -> Encoded:
    """Returns the records of some payloads, given as (id, bytes)."""
    if not payloads:
        return Encoded()
    joined = b"".join([piece for _, piece in payloads])
    spans, at = [], 0
    for record_id, piece in payloads:
        end = at + len(piece)
        spans.append((at, end, record_id))
        at = end
    blob, table = kernels.encode_records(joined, spans, kind, level)
    number = int(kind)
    records = [
        (record_id, offset, record_len, end - start, number, codec)
        for (start, end, record_id), (offset, record_len, codec) in zip(spans, table, strict=True)
    ]
    return Encoded(blob, records)
