"""Content of files between stock Git and the chunk store: clean on its way in, smudge out.

Owns: where the bytes of a pointer are looked for, and that content from elsewhere is taken over.
Layer: workspace.

Invariants:
  F1. A pointer never stands for content that is missing, unless that was asked for: it is an error
      which names the file.
  F2. What is no pointer passes through as it is.
  F3. Content that came from another repository is stored here too, as a clone keeps what it checked
      out whatever becomes of its origin.

Concurrency: one thread; any number of processes.
"""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Self

from mlbfs.errors import CorruptionError, ErrorKind, NotFoundError, storage_error
from mlbfs.git.pointers import MAX_POINTER_SIZE, parse_pointer
from mlbfs.ids import short_hex
from mlbfs.limits import MIB
from mlbfs.store.source import Policy
from mlbfs.workspace.cleaning import Cleaner
from mlbfs.workspace.exporter import PIECE, pieces
from mlbfs.workspace.nearby import Nearby
from mlbfs.workspace.piecestream import PieceStream
from mlbfs.workspace.policies import attributes_reader
from mlbfs.workspace.source import BytesReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mlbfs.git.attributes import Attributes
    from mlbfs.git.pointers import Pointer
    from mlbfs.ids import FileId
    from mlbfs.workspace.source import Reader, SnapshotSource

ALLOW_MISSING = "MLBFS_ALLOW_MISSING"
"""Variable of the environment with which pointers stand for content that is missing."""

HOW_TO_FETCH = "fetch it from where the commit was made, or run 'git lfs fetch'"

FILTER = "mlbfs"
"""Name of the filter, as in `filter=mlbfs`, and of the summaries, as in `diff=mlbfs`."""

PATIENCE = 600.0
"""Seconds that Git waits for gc, which reads the records of all packs and may rewrite some."""

_LONG = 4 * MIB
"""A longer content is not written out for a summary to read a few bytes of it."""

_ENCODING = "working-tree-encoding"
_IN_MEMORY = 8 * MIB
"""A longer content that only passes through waits in a temporary file."""


class ContentFinder:
    """Opens content of pointers, in this repository or in one nearby; a context manager."""

    def __init__(self, source: SnapshotSource) -> None:
        self._borrowed: set[FileId] = set()
        self._source = source
        self._nearby = Nearby(source.git)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._nearby.close()

    def open(self, pointer: Pointer) -> Reader:
        """Opens the content of a pointer.

        Raises:
            NotFoundError: It is in no repository that is known here (F1).
            CorruptionError: It has another length than the pointer says.
        """
        if not pointer.size:
            return BytesReader(b"")
        reader = self._find(pointer.file_id)
        if reader.size != pointer.size:
            raise CorruptionError(
                f"content {short_hex(pointer.file_id)} has {reader.size} bytes, "
                f"but its pointer says {pointer.size}",
                kind=ErrorKind.CORRUPT_OBJECT,
            )
        return reader

    def _find(self, file_id: FileId) -> Reader:
        try:
            return self._source.open_content(file_id)
        except NotFoundError as err:
            reader = self._nearby.open(file_id)
            if reader is None:
                raise self._missing(file_id) from err
        self._borrowed.add(file_id)
        return reader

    @property
    def has_borrowed(self) -> bool:
        """Whether anything was found in other repositories."""
        return bool(self._borrowed)

    def take_over(self) -> None:
        """Stores here what was found in other repositories.

        Raises:
            ConflictError: gc is at work (LOCKED).
            CorruptionError: A content is damaged where it lies.
            StorageError: The device failed.
        """
        with self._source.store.writer() as writer:
            for file_id in sorted(self._borrowed):
                reader = self._nearby.open(file_id)
                if reader is not None:  # else it has gone since it was read
                    writer.put_stream(ReaderStream(reader))
            writer.commit()
        self._borrowed.clear()

    def _missing(self, file_id: FileId) -> NotFoundError:
        refused = self._nearby.refused
        return NotFoundError(
            f"content {short_hex(file_id)} is not in this repository, nor in one that it came from",
            kind=ErrorKind.FILE_NOT_FOUND,
            hint=f"not looked into: {'; '.join(refused)}"
            if refused
            else f"{HOW_TO_FETCH}; with {ALLOW_MISSING}=1 Git writes its pointer",
        )


class ContentFilter:
    """What `filter=mlbfs` does with the files of one repository; a context manager.

    Args:
        source: The repository.
        attributes: Those of the work tree: they say what stays in Git.
        allow_missing: Give out the pointer of content that is missing.
        only_shown: What comes out is shown to somebody, and no file of the work tree: summaries
            are made of pointers then, which tell more quickly what is in a long content, and that
            it is missing.
        waiting: Is called once, when gc has to be waited for.
    """

    def __init__(
        self,
        source: SnapshotSource,
        attributes: Attributes,
        *,
        allow_missing: bool = False,
        only_shown: bool = False,
        waiting: Callable[[], None] = lambda: None,
    ) -> None:
        self._source = source
        self._attributes = attributes
        self._allow_missing = allow_missing
        self._only_shown = only_shown
        self._cleaner = Cleaner(source, patience=PATIENCE, waiting=waiting)
        self._finder = ContentFinder(source)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        with self._finder, self._cleaner:
            pass

    def finish(self) -> None:
        """Gives what was stored and read its place in the chunk store; comes last.

        What fails here loses nothing: every content can be read where it is.

        Raises:
            ConflictError: gc is at work (LOCKED).
            StorageError: The device failed.
        """
        self._cleaner.hand_over()
        if self._finder.has_borrowed:
            self._cleaner.keep_gc_away()
            self._finder.take_over()  # F3

    def clean(self, path: bytes, content: Iterable[bytes]) -> list[bytes]:
        """Returns what Git keeps of the content of a file.

        Raises:
            ConflictError: gc is at work (LOCKED).
            StorageError: The device failed.
        """
        policy = self._attributes.storage_policy(path)
        if isinstance(self._attributes.lookup(path, [_ENCODING])[_ENCODING], str):
            policy = Policy.GIT  # Git takes what comes back for text in that encoding
        return [self._cleaner.clean(content, policy)]

    def smudge(self, path: bytes, content: Iterable[bytes]) -> Iterator[bytes]:
        """Returns the content of a file from what Git keeps of it.

        Raises:
            NotFoundError: It is in no repository that is known here (F1).
            CorruptionError: It is damaged.
            StorageError: The device failed.
        """
        stream = PieceStream(content)
        front = stream.look(MAX_POINTER_SIZE)
        pointer = None
        if len(front) < MAX_POINTER_SIZE:
            # Git has put its line ends (core.autocrlf) into the text of the pointer before.
            pointer = parse_pointer(front) or parse_pointer(front.replace(b"\r\n", b"\n"))
        is_summarized = self._only_shown and self._is_summarized(path)
        if pointer is None or (is_summarized and pointer.size > _LONG):
            return _pass_through(stream)
        try:
            return pieces(self._finder.open(pointer))
        except NotFoundError:
            if self._allow_missing or is_summarized:
                return _pass_through(stream)
            raise

    def _is_summarized(self, path: bytes) -> bool:
        """Whether `git diff` shows a summary of ours, which can be made of a pointer."""
        value = self._attributes.lookup(path, ["diff"])["diff"]
        return isinstance(value, str) and value.partition("-")[0] == FILTER


class ReaderStream:
    """The bytes of a reader, in order."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._at = 0

    def readinto(self, buffer: memoryview, /) -> int:
        """Fills the front of a buffer with the next bytes; 0 at the end."""
        data = self._reader.read(self._at, min(len(buffer), PIECE))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _pass_through(stream: PieceStream) -> Iterator[bytes]:
    """Yields a content as it came, once all of it has come (F2)."""
    try:
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
            for piece in stream.rest():
                file.write(piece)
            file.seek(0)
            while data := file.read(PIECE):
                yield data
    except OSError as err:
        raise storage_error(err, "keeping a content in the temporary folder") from err


def work_tree_attributes(source: SnapshotSource, work_tree: bytes | None) -> Attributes:
    """Returns the attributes that the files of a work tree say, as `git add` heeds them."""
    places = [] if work_tree is None else [(b"", work_tree)]
    return source.git.attributes_of(attributes_reader(None, places))
