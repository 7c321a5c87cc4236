"""Where encoded records go: packs that are filled, sealed and synced one after another.

Owns: the unpublished packs of one writer and the ids in them.
Layer: store. Imports the leaves, files, packs, seen and batch.

Concurrency: one thread appends; sealed packs are synced by a thread of their own; any thread may
ask whether an id was stored.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlbfs.limits import PACK_TARGET_SIZE
from mlbfs.store.packs import PackWriter, SealedPack, WriterDirectory
from mlbfs.store.recordformat import RecordKind
from mlbfs.store.seen import Seen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlbfs.store.batch import Encoded
    from mlbfs.store.files import Files
    from mlbfs.store.packs import Record


class PackSink:
    """Appends records to packs."""

    def __init__(self, packs: Path, files: Files) -> None:
        """Makes the directory that the packs are written in.

        Raises:
            StorageError: The device refused.
        """
        self.seen = Seen()
        self.sealed: list[SealedPack] = []
        self.new_chunks = 0
        self.new_bytes = 0
        self.stored_bytes = 0
        self._packs = packs
        self._files = files
        self._pack_size = PACK_TARGET_SIZE
        self._directory = WriterDirectory(packs)
        self._open: PackWriter | None = None
        self._syncer = ThreadPoolExecutor(1, "mlbfs-sync")
        self._syncs: list[Future[None]] = []
        self._failure: OSError | None = None

    @property
    def path(self) -> Path:
        """The directory of this writer."""
        return self._directory.path

    def append(self, encoded: Encoded) -> tuple[int, list[Record]]:
        """Appends those records that are not there yet.

        Returns:
            The ordinal of the pack and the records that were written, with their offsets in it.

        Raises:
            OSError: The device refused.
        """
        with self._unbroken():
            return self._append(encoded)

    @contextmanager
    def _unbroken(self) -> Iterator[None]:
        """Lets nothing follow a failed write: what it has left in the file is not known."""
        if self._failure is not None:
            raise self._failure
        try:
            yield
        except OSError as err:
            self._failure = err
            raise

    def _append(self, encoded: Encoded) -> tuple[int, list[Record]]:
        seen = self.seen
        fresh = [record for record in encoded.records if record[0] not in seen]
        if not fresh:
            return 0, []
        if self._open is None:
            path = self.path / f"{len(self.sealed)}.pack"
            self._open = PackWriter(path, self._files)
        first = len(self._open.records)
        if len(fresh) == len(encoded.records):
            self._open.append(encoded.parts, fresh)
        else:
            self._open.append(*_select(encoded.parts, fresh))
        self._count(fresh)
        ordinal = len(self.sealed)
        placed = self._open.records[first:]
        if self._open.size >= self._pack_size:
            self._seal()
        return ordinal, placed

    def _count(self, fresh: list[Record]) -> None:
        add = self.seen.add
        for rid, _, record_len, plain_len, kind, _ in fresh:
            add(rid)
            self.stored_bytes += record_len
            if kind == RecordKind.CHUNK:
                self.new_chunks += 1
                self.new_bytes += plain_len

    def _seal(self) -> None:
        writer, self._open = self._open, None
        if writer is None:
            return
        try:
            pack = writer.seal()
        except OSError:
            writer.close()
            raise
        self.seen.seal(writer, pack)
        self.sealed.append(pack)
        self._syncs.append(self._syncer.submit(pack.sync, self._files))

    def publish(self) -> list[SealedPack]:
        """Makes all packs durable under their final names and returns them.

        Raises:
            OSError: The device refused.
        """
        with self._unbroken():
            self._seal()
            for sync in self._syncs:
                sync.result()
            for pack in self.sealed:
                pack.publish(self._packs, self._files)
            if self.sealed:
                self._files.sync_directory(self._packs)
        return self.sealed

    def close(self) -> None:
        """Removes what was not published."""
        self._syncer.shutdown(wait=True, cancel_futures=True)
        if self._open is not None:
            self._open.close()
            self._open = None
        for pack in self.sealed:
            pack.close()
        self._directory.remove()


def _select(
    parts: list[bytes | memoryview], records: list[Record]
) -> tuple[list[bytes | memoryview], list[Record]]:
    """Returns the chosen records only, close together."""
    whole = memoryview(b"".join(parts))
    chosen: list[bytes | memoryview] = []
    moved: list[Record] = []
    at = 0
    for rid, offset, record_len, plain_len, kind, codec in records:
        chosen.append(whole[offset : offset + record_len])
        moved.append((rid, at, record_len, plain_len, kind, codec))
        at += record_len
    return chosen, moved
