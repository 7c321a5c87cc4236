"""Stores the content of the files that a commit takes.

Owns: which files are read for a commit, and whether they go to Git or to the chunk store.
Layer: workspace.

Invariants:
  C4. Only files that changed are read, each inode once.
  C5. What is read is what was captured: the data file of that moment, which nobody writes (W8).

Concurrency: one thread; the workspace's lock is not held.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from mlbfs.errors import ConflictError
from mlbfs.git.pointers import encode_pointer, parse_pointer
from mlbfs.ids import OBJECT_ID_SIZE, FileId, ObjectId
from mlbfs.store.batch import goes_to_git
from mlbfs.store.edit import Edit
from mlbfs.store.filereader import FileReader
from mlbfs.store.source import Policy, Source
from mlbfs.workspace.pieces import PiecedFile
from mlbfs.workspace.selection import Selection
from mlbfs.workspace.status import known_content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mlbfs.git.attributes import Attributes
    from mlbfs.git.objects import ObjectWriter
    from mlbfs.store.source import Ingested
    from mlbfs.store.writer import StoreWriter
    from mlbfs.workspace.core import Core
    from mlbfs.workspace.dirty import Item
    from mlbfs.workspace.extents import Extents
    from mlbfs.workspace.rows import Node
    from mlbfs.workspace.source import Reader, SnapshotSource

GATHER_LIMIT = 8 << 20
"""Files up to this that stand on a base are gathered in memory, so that a policy can send them to
Git; longer ones go to the chunk store."""


class BlobSink(Protocol):
    """Takes what belongs into Git."""

    def put_blob(self, data: bytes) -> ObjectId:
        """Takes a blob and returns its id."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Content of a file, as a tree names it."""

    object_id: ObjectId
    file_id: FileId | None
    size: int

    @property
    def content(self) -> bytes:
        """The id that a directory index has for it."""
        return self.object_id if self.file_id is None else self.file_id


@dataclass(slots=True)
class Captured:
    """The changes at one moment (C2).

    Attributes:
        items: What is recorded.
        ignored: What no commit takes, for the words of its result.
        above: For each chosen path that lies below a changed item, the nearest such item.
    """

    generation: int
    items: list[Item]
    above: dict[bytes, Item] = field(default_factory=dict)
    ignored: Selection = field(default_factory=lambda: Selection(()))
    sizes: dict[int, int] = field(default_factory=dict)
    extents: dict[int, Extents] = field(default_factory=dict)
    stored: dict[int, Stored] = field(default_factory=dict)


class FileStoring:
    """Stores the captured files of one commit."""

    def __init__(
        self,
        core: Core,
        captured: Captured,
        attributes: Attributes,
        writer: StoreWriter,
        objects: ObjectWriter,
    ) -> None:
        self._core = core
        self._captured = captured
        self._attributes = attributes
        self._writer = writer
        self._objects = objects

    def run(
        self,
        stored: Callable[[int], None],
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> None:
        """Stores the content of every file that is not known, each inode once (C4).

        Args:
            stored: Called with the inode of each file that need not be kept still any longer.
            progress: Called with the bytes that were stored and those that there are.
        """
        captured, writer, objects = self._captured, self._writer, self._objects
        whole: dict[int, Item] = {}
        pieced: dict[int, Item] = {}
        for item in captured.items:
            node = item.node
            if node is None or not item.is_regular or not item.is_keepable:
                continue
            known = known_content(node)
            if known is not None:
                if node.data and not has_content(self._core.source, known):
                    raise ConflictError(
                        "a gc at the same time took stored content away", hint="run it again"
                    )
                captured.stored[node.ino] = _known(known, captured.sizes[node.ino], objects)
            else:
                (pieced if self._has_gaps(node) else whole).setdefault(node.ino, item)
        self._watch(whole, pieced, progress)
        sources = (
            Source(
                os.fsencode(self._core.data.path((ino, _data_version(item)))),
                captured.sizes[ino],
                self._attributes.storage_policy(item.path),
                ino,
            )
            for ino, item in whole.items()
        )
        limit = self._core.source.small_text_limit
        for ingested in writer.ingest(sources, small_text_limit=limit):
            ino = ingested.source.token
            assert isinstance(ino, int), "the token is what was handed in"
            captured.stored[ino] = put_ingested(ingested, writer, objects)
            stored(ino)
        for ino, item in pieced.items():
            policy = self._attributes.storage_policy(item.path)
            captured.stored[ino] = self._store_pieced(item, policy)
            stored(ino)

    def _watch(
        self, whole: Iterable[int], pieced: Iterable[int], progress: Callable[[int, int], None]
    ) -> None:
        """Lets `progress` be told as bytes are stored; of a file on a base, those written count."""
        captured = self._captured
        total = sum(captured.sizes[ino] for ino in whole)
        total += sum(end - start for ino in pieced for start, end in captured.extents[ino])
        done = 0

        def on_length(length: int) -> None:
            nonlocal done
            done = min(done + length, total)  # around a change, some more is cut again
            progress(done, total)

        self._writer.on_length = on_length

    def _has_gaps(self, node: Node) -> bool:
        """Returns whether some of a file's bytes lie in its base alone."""
        extents = self._captured.extents.get(node.ino)
        return extents is not None and not extents.covers(0, node.base_size)

    def _store_pieced(self, item: Item, policy: Policy) -> Stored:
        """Stores a file whose bytes lie partly in its base."""
        captured = self._captured
        node = item.node
        assert node is not None, "a file is there"
        assert node.base is not None, "a file in pieces has a base"
        base = self._core.source.open_content(node.base)
        path = self._core.data.path((node.ino, node.data))
        size, extents = captured.sizes[node.ino], captured.extents[node.ino]
        with PiecedFile(path, base, node.base_size, extents, size) as file:
            text = self._text_of(file, policy)
            if text is not None:
                return Stored(self._objects.put_blob(text), None, size)
            file_id, size = self._put(file, base)
        return Stored(self._objects.put_blob(encode_pointer(file_id, size)), file_id, size)

    def _text_of(self, file: PiecedFile, policy: Policy) -> bytes | None:
        """Returns the bytes of a file that goes to Git, or None."""
        limit = self._core.source.small_text_limit
        if file.size > (GATHER_LIMIT if policy is Policy.GIT else limit):
            return None
        with file.stream() as stream:
            data = stream.read()
        is_text = goes_to_git(data, 0, len(data), policy, limit)
        return data if is_text and parse_pointer(data) is None else None

    def _put(self, file: PiecedFile, base: Reader) -> tuple[FileId, int]:
        """Stores a file as chunks; only what changed, where the base is known chunk by chunk."""
        if isinstance(base, FileReader) and self._core.source.store.is_complete(base.file_id):
            return self._writer.put_edit(Edit(base, file.size, file.changes(), file))
        with file.stream() as stream:
            return self._writer.put_stream(stream)


def has_content(source: SnapshotSource, content: bytes) -> bool:
    """Returns whether a repository has content: a file of the chunk store, or a Git blob."""
    if len(content) == OBJECT_ID_SIZE:
        return source.git.object_kind(ObjectId(content)) is not None
    return source.store.file_size(FileId(content)) is not None


def _data_version(item: Item) -> int:
    assert item.node is not None, "a file is there"
    return item.node.data


def _known(content: bytes, size: int, objects: ObjectWriter) -> Stored:
    if len(content) == 20:
        return Stored(ObjectId(content), None, size)
    file_id = FileId(content)
    return Stored(objects.put_blob(encode_pointer(file_id, size)), file_id, size)


def put_ingested(ingested: Ingested, writer: StoreWriter, objects: BlobSink) -> Stored:
    """Stores what became of a file as a blob: the text, or a pointer to its chunks."""
    file_id, text, size = ingested.file_id, ingested.text, ingested.size
    if text is not None and parse_pointer(text) is not None:
        # As a blob it would be read as a pointer to something else.
        file_id, size = writer.put_bytes(text)
    if file_id is not None:
        return Stored(objects.put_blob(encode_pointer(file_id, size)), file_id, size)
    assert text is not None, "a file without an id carries its text"
    return Stored(objects.put_blob(text), None, size)
