"""Stores content that stock Git is about to add, one file at a time, and answers its pointer.

Git asks for one file after the other and believes the answer at once, so each content has to be
safe before it is answered. A pack of the chunk store for each of a thousand small files would be
slow to make and slow to read. So a small content waits in a file of its own, which every reader
finds; at the end of the process, and now and then, those files become chunks together and go.

Owns: that order, and what is kept from gc meanwhile.
Layer: workspace.

Invariants:
  L1. When a pointer is answered its content is durable, and every process can read it.
  L2. While a process stores, gc stays away; what it stored is noted before it is answered. Where gc
      was first, the process waits for it: what is stored already may be what gc removes.
  L3. A kill at any moment loses nothing: whoever stores next hands over what was left waiting.
  L4. What waits is removed under its lock alone, and after it has become durable chunks.

Concurrency: one thread; any number of processes, one of which hands over at a time.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Self

from mlbfs.errors import CorruptionError, ErrorKind
from mlbfs.git.pointers import encode_pointer, parse_pointer
from mlbfs.ids import FileId
from mlbfs.limits import MIB
from mlbfs.store.batch import goes_to_git
from mlbfs.store.ingest import MAX_GIT_BLOB_SIZE
from mlbfs.store.locks import FileLock, wait_for_lock
from mlbfs.store.source import Policy, Source
from mlbfs.store.writer import LOCK_NAME
from mlbfs.workspace.piecestream import PieceStream
from mlbfs.workspace.recent import RecentContent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mlbfs.store.stream import ByteSource
    from mlbfs.workspace.source import SnapshotSource

SHORT = 4 * MIB
"""Longer contents go to packs of their own at once."""

MOST_WAITING = 64 * MIB
"""So many bytes wait to be handed over together."""

_WAITING_LOCK = "waiting.lock"


class Cleaner:
    """Stores contents for one process; a context manager. `hand_over` comes last.

    Args:
        source: The repository.
        patience: Seconds that gc is waited for.
        waiting: Is called once, when gc is waited for.
    """

    def __init__(
        self,
        source: SnapshotSource,
        *,
        patience: float = 0.0,
        waiting: Callable[[], None] = lambda: None,
    ) -> None:
        self._patience = patience
        self._waiting = waiting
        self._source = source
        self._store = source.store
        self._limit = source.small_text_limit
        self._recent = RecentContent(source.store.root)
        self._lock: FileLock | None = None
        self._bytes_waiting = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._recent.close()
        if self._lock is not None:
            self._lock.release()

    def clean(self, content: Iterable[bytes], policy: Policy) -> bytes:
        """Returns what stands in Git for a content: itself if it is small text, else a pointer.

        A pointer is what it is: the file of a clone that has no content for it. Only when the text
        of a pointer is known as a content, it is stored as one.

        Raises:
            ConflictError: gc is at work (LOCKED).
            StorageError: The device failed.
        """
        stream = PieceStream(content)
        most = max(SHORT, self._limit, MAX_GIT_BLOB_SIZE if policy is Policy.GIT else 0)
        data = stream.look(most + 1)
        if len(data) > most:
            return self._put_long(stream)
        if self._stays(data, policy):
            return data
        return self._put(data) if len(data) <= SHORT else self._put_long(PieceStream([data]))

    def _stays(self, data: bytes, policy: Policy) -> bool:
        if parse_pointer(data) is not None:
            return not self._is_known(FileId(sha256(data).digest()))
        if parse_pointer(data.replace(b"\r\n", b"\n")) is not None:
            return False  # in Git, it would come back as the content of that pointer
        is_short = len(data) <= MAX_GIT_BLOB_SIZE
        return is_short and goes_to_git(data, 0, len(data), policy, self._limit)

    def _is_known(self, file_id: FileId) -> bool:
        if self._store.file_size(file_id) is not None:
            return True
        reader = self._source.open_whole(file_id)
        if reader is not None:
            reader.close()
        return reader is not None

    def keep_gc_away(self) -> None:
        """Waits for gc, and keeps it away until this is closed (L2).

        Raises:
            ConflictError: gc is at work, and was waited for in vain (LOCKED).
            StorageError: The device failed.
        """
        if self._lock is None:
            path = self._store.root / LOCK_NAME
            self._lock = wait_for_lock(path, seconds=self._patience, waiting=self._waiting)

    def _keep(self, file_id: FileId) -> None:
        """Keeps a content from gc, which is away from the first one on (L2)."""
        self.keep_gc_away()
        self._recent.note([file_id])

    def _put(self, data: bytes) -> bytes:
        file_id = FileId(sha256(data).digest())
        self._keep(file_id)
        if not self._store.is_complete(file_id) and not self._is_sound(file_id, len(data)):
            if self._source.waiting.put(file_id, [data], durable=True):
                self._bytes_waiting += len(data)
            else:  # a damaged one waits
                self._put_now(PieceStream([data]))
        if self._bytes_waiting > MOST_WAITING:
            self.hand_over()
        return encode_pointer(file_id, len(data))

    def _is_sound(self, file_id: FileId, size: int) -> bool:
        """Whether a content lies in a file that can be relied on, whoever has put it there."""
        reader = self._source.open_whole(file_id)
        if reader is None:
            return False
        with reader:
            try:
                reader.verify()
            except CorruptionError:
                return False
            return reader.size == size

    def _put_long(self, stream: ByteSource) -> bytes:
        return encode_pointer(*self._put_now(stream))

    def _put_now(self, stream: ByteSource) -> tuple[FileId, int]:
        self.keep_gc_away()
        with self._store.writer() as writer:
            file_id, size = writer.put_stream(stream)
            self._keep(file_id)
            writer.commit()
        return file_id, size

    def hand_over(self) -> None:
        """Makes chunks of what waits as files, whoever has put it there.

        Raises:
            ConflictError: gc is at work (LOCKED).
            CorruptionError: One of the files was changed by somebody else; it alone stays.
            StorageError: The device failed; everything stays where it is.
        """
        if not self._source.waiting.ids():
            return
        self.keep_gc_away()
        with FileLock(self._store.root / _WAITING_LOCK, exclusive=True, wait=True):  # L4
            damaged = self._store_waiting(self._source.waiting.ids())
        self._bytes_waiting = 0
        if damaged:
            raise CorruptionError(
                f"{str(self._source.waiting.path(damaged[0]))!r} was changed by another program",
                kind=ErrorKind.CORRUPT_OBJECT,
                hint="remove it, and add the file again: git add --renormalize",
            )

    def _store_waiting(self, file_ids: list[FileId]) -> list[FileId]:
        """Makes chunks of some files and removes them; returns those that are damaged."""
        waiting = self._source.waiting
        sources = [
            Source(waiting.path(file_id), waiting.size(file_id) or 0, Policy.CHUNKS, file_id)
            for file_id in file_ids
        ]
        with self._store.writer() as writer:
            good = {found.file_id for found in writer.ingest(sources)}
            writer.commit()
        damaged = []
        for file_id in file_ids:
            if file_id in good or self._store.is_complete(file_id):
                waiting.remove(file_id)
            else:
                damaged.append(file_id)
        return damaged
