"""Stores what merge drivers made.

Owns: how merged content goes to Git or to the chunk store.
Layer: workspace.

Concurrency: one thread.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from mlbfs.git.pointers import encode_pointer, parse_pointer
from mlbfs.git.trees import TreeEntry
from mlbfs.ids import FILE_ID_SIZE, FileId
from mlbfs.merge.driver import Data, FileAt, Pieces, Span, Take
from mlbfs.merge.parts import PiecedContent, piece_length
from mlbfs.merge.versions import Side
from mlbfs.store.batch import goes_to_git
from mlbfs.store.edit import Edit
from mlbfs.store.filereader import FileReader
from mlbfs.store.ingest import MAX_GIT_BLOB_SIZE
from mlbfs.store.source import Source
from mlbfs.workspace.source import entry_kind
from mlbfs.workspace.storing import Stored, put_ingested
from mlbfs.workspace.treeedit import NewEntry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mlbfs.git.attributes import Attributes
    from mlbfs.merge.driver import Content as MergedContent
    from mlbfs.merge.driver import MergeCall, Piece
    from mlbfs.merge.trees import Entry
    from mlbfs.store.writer import StoreWriter
    from mlbfs.workspace.source import SnapshotSource
    from mlbfs.workspace.storing import BlobSink


class MergeContent:
    """Stores the results of one merge.

    Args:
        source: The repository.
        attributes: Those of ours: they say what stays in Git.
        writer: Takes chunks.
        objects: Takes blobs.
    """

    def __init__(
        self,
        source: SnapshotSource,
        attributes: Attributes,
        writer: StoreWriter,
        objects: BlobSink,
    ) -> None:
        self._source = source
        self._attributes = attributes
        self._writer = writer
        self._objects = objects

    def entry(self, found: Entry) -> NewEntry:
        """Returns what a side has, as it goes into a tree; nothing is stored."""
        shown = self._source.describe(TreeEntry(b"", found.mode, found.id))
        return NewEntry(shown.kind, shown.size, found.id, shown.file_id)

    def put(
        self, path: bytes, mode: int, content: MergedContent, call: MergeCall
    ) -> NewEntry | None:
        """Stores what a driver answered; None when the path is to go.

        Raises:
            StorageError: The device refused.
        """
        match content:
            case Take(side):
                version = call.version(side)
                if version is None:
                    return None
                file_id = FileId(version.content) if len(version.content) == FILE_ID_SIZE else None
                return NewEntry(entry_kind(mode), version.size, version.object_id, file_id)
            case Data(data):
                stored = self._put_bytes(path, data)
            case FileAt(place):
                stored = self._put_file(path, place)
            case Pieces(parts):
                stored = self._put_pieces(path, parts, call)
            case _:
                return None
        return NewEntry(entry_kind(mode), stored.size, stored.object_id, stored.file_id)

    def put_data(self, path: bytes, mode: int, content: Data) -> NewEntry:
        """Stores bytes where a path says that they go."""
        stored = self._put_bytes(path, content.data)
        return NewEntry(entry_kind(mode), stored.size, stored.object_id, stored.file_id)

    def put_blob(self, mode: int, data: bytes) -> NewEntry:
        """Stores bytes as a Git blob whatever they are: the target of a symbolic link, say."""
        return NewEntry(entry_kind(mode), len(data), self._objects.put_blob(data), None)

    def _put_bytes(self, path: bytes, data: bytes) -> Stored:
        policy = self._attributes.storage_policy(path)
        is_text = goes_to_git(data, 0, len(data), policy, self._source.small_text_limit)
        # The text of a pointer as a blob would be read as a pointer to something else.
        if is_text and len(data) <= MAX_GIT_BLOB_SIZE and parse_pointer(data) is None:
            return Stored(self._objects.put_blob(data), None, len(data))
        return self._put_pointer(*self._writer.put_bytes(data))

    def _put_file(self, path: bytes, place: Path) -> Stored:
        policy = self._attributes.storage_policy(path)
        source = Source(place, place.stat().st_size, policy)
        limit = self._source.small_text_limit
        (ingested,) = self._writer.ingest([source], small_text_limit=limit)
        return put_ingested(ingested, self._writer, self._objects)

    def _put_pieces(self, path: bytes, parts: Sequence[Piece], call: MergeCall) -> Stored:
        file = PiecedContent(parts, call)
        if file.size <= self._source.small_text_limit:
            data = bytearray(file.size)
            file.read_into(0, memoryview(data))
            return self._put_bytes(path, bytes(data))
        base = self._followed(parts, call)
        if base is None:
            return self._put_pointer(*self._writer.put_stream(io.BufferedReader(_Stream(file))))
        reader, changes = base
        return self._put_pointer(*self._writer.put_edit(Edit(reader, file.size, changes, file)))

    def _followed(
        self, parts: Sequence[Piece], call: MergeCall
    ) -> tuple[FileReader, list[tuple[int, int]]] | None:
        """Returns the stored version that pieces follow most, and where they leave it."""
        kept = {side: _kept_bytes(parts, side) for side in (Side.OURS, Side.THEIRS)}
        side = max(kept, key=lambda one: kept[one])
        if not kept[side]:
            return None
        reader = call.open(side)
        if isinstance(reader, FileReader) and self._source.store.is_complete(reader.file_id):
            return reader, _changed_ranges(parts, side)
        return None

    def _put_pointer(self, file_id: FileId, size: int) -> Stored:
        return Stored(self._objects.put_blob(encode_pointer(file_id, size)), file_id, size)


def _places(parts: Sequence[Piece]) -> Iterator[tuple[int, Piece]]:
    """Yields pieces with where each begins in the result."""
    at = 0
    for part in parts:
        yield at, part
        at += piece_length(part)


def _is_kept(at: int, part: Piece, side: Side) -> bool:
    """Whether a piece lies where a side has the same bytes."""
    return isinstance(part, Span) and part.side is side and part.start == at


def _kept_bytes(parts: Sequence[Piece], side: Side) -> int:
    return sum(piece_length(part) for at, part in _places(parts) if _is_kept(at, part, side))


def _changed_ranges(parts: Sequence[Piece], side: Side) -> list[tuple[int, int]]:
    """Returns the ranges of the result that are not as a side has them, joined and in order."""
    found: list[tuple[int, int]] = []
    for at, part in _places(parts):
        stop = at + piece_length(part)
        if at == stop or _is_kept(at, part, side):
            continue
        if found and found[-1][1] == at:
            at = found.pop()[0]
        found.append((at, stop))
    return found


class _Stream(io.RawIOBase):
    def __init__(self, file: PiecedContent) -> None:
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        """Returns whether bytes can be read, which is always."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer, as in io
        """Fills the front of a buffer with the next bytes."""
        length = min(len(buffer), self._file.size - self._at)
        self._file.read_into(self._at, memoryview(buffer)[:length])
        self._at += length
        return length
