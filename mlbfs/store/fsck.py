"""fsck: proves that a store is sound, or says what is not, and repairs what can be.

Owns: what is compared with what, and the order of a repair.
Layer: store. Imports the modules of the store.

Checked: the table of every pack, checksum and id of every record, that the chunk index agrees with
the packs, that every file is complete, and every directory index.

Order of a repair: sound records of damaged packs are copied to new packs and these made durable;
the damaged packs are set aside as `<id>.damaged`, for gc to remove; the index is rebuilt. An
interrupted repair is begun again: the old packs are there until the new ones are.

Concurrency: a check keeps gc away, a repair writers too. Readers go on.
"""

from __future__ import annotations

import os
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from mlbfs.errors import CorruptionError, FormatError, StorageError, storage_error
from mlbfs.ids import PackId, short_hex
from mlbfs.store.dirindex import DirectoryIndex
from mlbfs.store.findings import Finding, FindingKind
from mlbfs.store.index import parse_location
from mlbfs.store.locks import FileLock
from mlbfs.store.packs import DIRECTORY, SUFFIX, list_packs, remove_leftovers
from mlbfs.store.packscan import check_record, load_records
from mlbfs.store.rebuild import iter_recipe, pack_id_of, rebuild
from mlbfs.store.recordformat import RecordKind
from mlbfs.store.repack import copy_records
from mlbfs.store.sink import PackSink
from mlbfs.store.verify import verify_files
from mlbfs.store.writer import LOCK_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from mlbfs.store.chunkstore import ChunkStore
    from mlbfs.store.index import FileRow, PackRow
    from mlbfs.store.packformat import PackRecord

DAMAGED_SUFFIX = ".damaged"
_BATCH = 1000


@dataclass(slots=True)
class _PackReport:
    """What was found in one pack."""

    path: Path
    pack_id: PackId
    size: int = 0
    sound: list[PackRecord] = field(default_factory=list)
    damaged: list[tuple[PackRecord, str]] = field(default_factory=list)
    table_error: str | None = None
    unreadable: str | None = None

    @property
    def is_sound(self) -> bool:
        return not self.damaged and self.table_error is None and self.unreadable is None


def fsck(
    store: ChunkStore,
    *,
    repair: bool = False,
    content: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Finding]:
    """Yields everything that is wrong with a store.

    Args:
        store: The store; for a repair, opened with `repair=True`.
        repair: Mend what can be mended, as the findings are consumed to the end.
        content: Read every file as well, and compare its SHA-256 with its id.
        progress: Told the bytes that are done and those there are.

    Raises:
        ConflictError: gc is at work, or a writer when this is a repair (LOCKED).
        StorageError: The device failed where it hinders the check itself.
    """
    with FileLock(store.root / LOCK_NAME, exclusive=repair):
        check = _Check(store, repair=repair, progress=progress)
        yield from check.packs()
        if repair:
            yield from check.mend()
        else:
            yield from check.index_rows()
        yield from check.file_rows()
        yield from check.directories()
        check.note_verified()
        if content and store.index.state() == b"ready":
            yield from verify_files(store, progress)


class _Check:
    """One run of fsck."""

    def __init__(
        self,
        store: ChunkStore,
        *,
        repair: bool,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._index = store.index
        self._chunks = store.chunks
        self._files = store.files
        self._directory = store.root / DIRECTORY
        self._repair = repair
        self._progress = progress or (lambda _done, _total: None)
        self._rows = {row.pack_id: row for row in self._index.packs()}
        self._ready = self._index.state() == b"ready"
        self._verified: list[PackId] = []
        self._to_mend: list[_PackReport] = []
        self._unreadable: set[PackId] = set()
        self._bad_ids: set[bytes] = set()
        self._rows_met = 0

    # Packs

    def packs(self) -> Iterator[Finding]:
        """Yields what is wrong with the packs, and where the index disagrees with them."""
        if not self._ready:
            yield Finding(
                FindingKind.INDEX_NOT_READY,
                "the chunk index is missing or was not rebuilt to its end",
                repaired=self._repair,
            )
        missing = dict(self._rows)
        for report in self._reports():
            missing.pop(report.pack_id, None)
            yield from self._report_findings(report)
            if report.is_sound:
                self._verified.append(report.pack_id)
            elif report.unreadable is None and self._repair:
                self._to_mend.append(report)
            if self._ready and not self._repair:
                yield from self._compare(report)
        for row in missing.values():
            yield Finding(
                FindingKind.PACK_MISSING,
                f"pack {row.pack_id.hex()}{SUFFIX} is missing",
                pack=row.pack_id.hex() + SUFFIX,
                repaired=self._repair,
            )

    def _reports(self) -> Iterator[_PackReport]:
        paths = list_packs(self._directory)
        total = sum(path.stat().st_size for path in paths)
        done = 0
        self._progress(0, total)
        workers = len(os.sched_getaffinity(0))
        with ThreadPoolExecutor(workers, "mlbfs-fsck") as pool:
            waiting: deque[Future[_PackReport]] = deque()
            left = iter(paths)
            try:
                while True:
                    waiting.extend(
                        pool.submit(_check_pack, path)
                        for path in islice(left, workers + 1 - len(waiting))
                    )
                    if not waiting:
                        return
                    report = waiting.popleft().result()
                    done += report.size
                    self._progress(done, total)
                    yield report
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _report_findings(self, report: _PackReport) -> Iterator[Finding]:
        name = report.path.name
        if report.unreadable is not None:
            self._unreadable.add(report.pack_id)
            yield Finding(FindingKind.PACK_UNREADABLE, report.unreadable, pack=name)
            return
        if report.table_error is not None:
            yield Finding(
                FindingKind.PACK_TABLE_DAMAGED,
                report.table_error,
                pack=name,
                repaired=self._repair,
            )
        for record, reason in report.damaged:
            yield Finding(
                FindingKind.RECORD_DAMAGED,
                f"pack {name}: {_what(record)} {short_hex(record.id)} at {record.offset}: {reason}",
                pack=name,
                record_id=record.id,
                repaired=self._repair,
            )

    # The index against the packs

    def _compare(self, report: _PackReport) -> Iterator[Finding]:
        row = self._rows.get(report.pack_id)
        if row is None:
            yield Finding(
                FindingKind.PACK_NOT_INDEXED,
                f"pack {report.path.name} is not in the chunk index; no commit needs it",
                harmful=False,
                pack=report.path.name,
            )
            return
        absent = self._match(report, row)
        if absent:
            yield Finding(
                FindingKind.INDEX_ROW_MISSING,
                f"the chunk index lacks {absent} records of pack {report.path.name}",
                harmful=False,
                pack=report.path.name,
            )

    def _match(self, report: _PackReport, row: PackRow) -> int:
        """Counts rows that point to this pack, notes damaged ones; returns absent ones."""
        absent = 0
        damaged = [record for record, _ in report.damaged]
        records = [r for r in [*report.sound, *damaged] if r.kind != RecordKind.RECIPE_ROOT]
        bad_offsets = {record.offset for record in damaged}
        for batch in _batches(records):
            found = self._index.chunks([record.id for record in batch])
            for record in batch:
                value = found.get(record.id)
                if value is None:
                    absent += 1
                    continue
                at = parse_location(value)
                if at.pack == row.number and at.offset == record.offset:
                    self._rows_met += 1
                    if record.offset in bad_offsets:
                        self._bad_ids.add(record.id)
        return absent

    def index_rows(self) -> Iterator[Finding]:
        """Yields rows that point to nothing."""
        if not self._ready or self._rows_met == self._index.counts().chunks:
            return
        for chunk_id, location in self._index.iter_chunks():
            try:
                plain = self._chunks.read_at(location, chunk_id, relocate=lambda _: None)
            except CorruptionError as err:
                if chunk_id not in self._bad_ids:
                    self._bad_ids.add(chunk_id)
                    yield Finding(
                        FindingKind.INDEX_ROW_WRONG,
                        f"chunk {short_hex(chunk_id)}: {err.message}",
                        record_id=chunk_id,
                    )
            else:
                assert plain is not None

    # Files and directories

    def file_rows(self) -> Iterator[Finding]:
        """Yields files that cannot be read whole.

        One that is marked so already does no new harm; perhaps gc removed what no commit needs.
        Whether a commit needs it is for the caller to find out.
        """
        for file_id, row in self._index.iter_files():
            reason = self._why_incomplete(file_id, row)
            if reason is not None:
                yield Finding(
                    FindingKind.FILE_INCOMPLETE,
                    f"file {short_hex(file_id)}: {reason}",
                    harmful=not row.lost,
                    record_id=file_id,
                )

    def _why_incomplete(self, file_id: bytes, row: FileRow) -> str | None:
        try:
            for ids in iter_recipe(self._chunks, file_id, row):
                wanted = set(ids)
                known = self._index.chunks(list(wanted)).keys()
                absent = (wanted - known) | (wanted & self._bad_ids)
                if absent:
                    return f"chunk {short_hex(min(absent))} is missing or damaged"
        except CorruptionError as err:
            return err.message
        return None

    def directories(self) -> Iterator[Finding]:
        """Yields directory indexes that are damaged; a repair drops them, for Git restores them."""
        damaged: list[bytes] = []
        for tree_id in self._index.iter_directory_ids():
            data = self._index.directory(tree_id)
            try:
                DirectoryIndex(data or b"").check()
            except FormatError as err:
                damaged.append(tree_id)
                yield Finding(
                    FindingKind.DIRECTORY_DAMAGED,
                    f"tree {short_hex(tree_id)}: {err.message}",
                    record_id=tree_id,
                    repaired=self._repair,
                )
        if damaged and self._repair:
            with self._index.begin() as txn:
                txn.remove_directories(damaged)

    # Repair

    def mend(self) -> Iterator[Finding]:
        """Rewrites damaged packs and rebuilds the index."""
        freed = remove_leftovers(self._directory)
        if freed:
            yield Finding(
                FindingKind.LEFTOVER,
                f"{freed} bytes of an import that did not end were removed",
                harmful=False,
                repaired=True,
            )
        for report in self._to_mend:
            self._verified += self._salvage(report)
        self._chunks.cache.clear()
        rebuild(self._index, self._directory, self._chunks, skip=self._unreadable)

    def _salvage(self, report: _PackReport) -> list[PackId]:
        """Copies what is sound to new packs and sets the damaged one aside."""
        sink = PackSink(self._directory, self._files)
        try:
            copy_records(report.path, report.sound, sink)
            made = [pack.pack_id for pack in sink.publish()]
        except OSError as err:
            raise storage_error(err, f"pack {report.path.name}") from err
        finally:
            sink.close()
        if report.pack_id not in made:  # Else the new pack has taken its place.
            self._set_aside(report.path)
        return made

    def _set_aside(self, path: Path) -> None:
        try:
            self._files.rename(path, path.with_suffix(DAMAGED_SUFFIX))
            self._files.sync_directory(self._directory)
        except OSError as err:
            raise storage_error(err, f"pack {path.name}") from err

    def note_verified(self) -> None:
        """Notes in the index which packs are sound, for dedup hits to trust."""
        wanted = set(self._verified)
        now = int(time.time())
        with self._index.begin() as txn:
            for row in self._index.packs():
                if row.pack_id in wanted:
                    txn.set_verified(row, now)


def _check_pack(path: Path) -> _PackReport:
    """Verifies one pack whole."""
    pack_id = pack_id_of(path)
    report = _PackReport(path, pack_id)
    try:
        report.size = path.stat().st_size
        records, report.table_error = load_records(path)
        with path.open("rb") as stream:
            fd = stream.fileno()
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
            for record in records:
                reason = check_record(fd, record)
                if reason is None:
                    report.sound.append(record)
                else:
                    report.damaged.append((record, reason))
    except StorageError as err:
        report.unreadable = err.message
    except OSError as err:
        report.unreadable = storage_error(err, f"pack {path.name}").message
    return report


def _what(record: PackRecord) -> str:
    return {RecordKind.CHUNK: "chunk", RecordKind.RECIPE_NODE: "recipe node"}.get(
        RecordKind(record.kind), "recipe root of file"
    )


def _batches(items: Sequence[PackRecord]) -> Iterable[Sequence[PackRecord]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]
