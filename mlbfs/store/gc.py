"""gc: removes what nothing needs any more.

Owns: the marks of what is live, and the order in which the rest goes.
Layer: store. Imports the modules of the store.

Order: new packs durable, index rows pointing to them durable, rows of what goes removed, old packs
deleted. A crash between two steps leaves packs that the index does not know: the next gc takes
them in, finds them dead and deletes them.

Memory: four bytes and a bit for each record in the packs, 16 to 48 bytes for each live file.

Concurrency: gc is alone with the store but for readers; these find a chunk again that moved.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from mlbfs.errors import CorruptionError, storage_error
from mlbfs.limits import MIB
from mlbfs.store.fsck import DAMAGED_SUFFIX
from mlbfs.store.index import LOCATION, Location, located_row, parse_location
from mlbfs.store.locks import FileLock
from mlbfs.store.packs import DIRECTORY, list_packs, pack_name, remove_leftovers
from mlbfs.store.packscan import load_records
from mlbfs.store.publish import publish_packs
from mlbfs.store.rebuild import index_pack, iter_recipe, pack_id_of
from mlbfs.store.recordformat import RecordKind
from mlbfs.store.repack import copy_records
from mlbfs.store.seen import FingerprintTable
from mlbfs.store.sink import PackSink
from mlbfs.store.spool import SpoolFolder
from mlbfs.store.stamps import stored_file
from mlbfs.store.writer import LOCK_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from mlbfs.ids import FileId, ObjectId
    from mlbfs.store.chunkstore import ChunkStore
    from mlbfs.store.index import FileRow, PackRow
    from mlbfs.store.packformat import PackRecord
    from mlbfs.store.packs import SealedPack

REPACK_DEAD_PART = 0.3
"""A pack with more than this part dead is worth rewriting: each byte written frees at least half
a byte."""
SMALL_PACK = 16 * MIB
"""Commits of little content leave a small pack each."""
MANY_SMALL_PACKS = 8
"""So many of them are worth being put together: each is a file to be opened."""
_UNBOUNDED = 1 << 62
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class GcResult:
    """What gc did, or would do.

    Attributes:
        freed_bytes: Space given back: deleted packs and leftovers, less what was written anew.
        removed_packs: Packs deleted because nothing in them was needed.
        repacked_packs: Packs rewritten without what was not needed.
        live_bytes: Bytes of records that are needed.
        dead_bytes: Bytes of records that are not needed and stay, in packs that were kept.
        removed_files: Files that the store no longer knows.
        removed_directories: Directory indexes dropped.
        missing_files: Live files that the store does not have; their content lies elsewhere.
    """

    freed_bytes: int
    removed_packs: int
    repacked_packs: int
    live_bytes: int
    dead_bytes: int
    removed_files: int
    removed_directories: int
    missing_files: int


class IdSet:
    """A set of 32-byte ids in 16 bytes each: the first half of an id stands for the whole."""

    def __init__(self) -> None:
        self._table = FingerprintTable(_UNBOUNDED)
        self._colliding: set[bytes] = set()

    def __contains__(self, key: bytes) -> bool:
        return self._table.get(key) == _second_word(key) or key in self._colliding

    def add(self, key: bytes) -> None:
        """Adds an id."""
        held = self._table.get(key)
        if held is None:
            self._table.put(key, _second_word(key))
        elif held != _second_word(key):
            self._colliding.add(key)  # Rare: the first eight bytes agree, the next do not.


def _second_word(key: bytes) -> int:
    return int.from_bytes(key[8:16], "little")


class _PackMarks:
    """Which records of one pack are live."""

    __slots__ = ("bits", "offsets")

    def __init__(self, records: list[PackRecord]) -> None:
        self.offsets = array("I", [record.offset for record in records])
        self.bits = bytearray((len(records) + 7) // 8)

    def mark(self, offset: int) -> None:
        at = bisect_left(self.offsets, offset)
        if at < len(self.offsets) and self.offsets[at] == offset:
            self.bits[at >> 3] |= 1 << (at & 7)

    def __getitem__(self, position: int) -> bool:
        return bool(self.bits[position >> 3] >> (position & 7) & 1)


@dataclass(slots=True)
class _Plan:
    """What is to become of the packs."""

    remove: list[PackRow] = field(default_factory=list)
    repack: list[PackRow] = field(default_factory=list)
    live_bytes: int = 0
    dead_bytes: int = 0


def collect(
    store: ChunkStore,
    live_files: Callable[[], Iterable[FileId]],
    *,
    live_trees: Callable[[], Iterable[ObjectId]] | None = None,
    repack: bool = False,
    dry_run: bool = False,
) -> GcResult:
    """Removes everything that no live file needs.

    Args:
        store: The store.
        live_files: Called once no writer can be at work; returns every file that a ref, a reflog
            entry, a workspace or an open mount needs. Files may come twice.
        live_trees: The same for the Git trees whose directory indexes are to be kept; None keeps
            all.
        repack: Rewrite packs of which more than `REPACK_DEAD_PART` is dead, and put small ones
            together when there are many.
        dry_run: Change nothing, only count.

    Raises:
        ConflictError: A writer, a check or another gc is at work (LOCKED).
        CorruptionError: A record to be copied is damaged; nothing was removed.
        StoreFullError: There is no space to rewrite a pack; nothing was removed.
        StorageError: The device failed.
    """
    with FileLock(store.root / LOCK_NAME, exclusive=True):
        return _Collection(store, repack=repack, dry_run=dry_run).run(live_files(), live_trees)


class _Collection:
    """One run of gc."""

    def __init__(self, store: ChunkStore, *, repack: bool, dry_run: bool) -> None:
        self._index = store.index
        self._chunks = store.chunks
        self._files = store.files
        self._directory = store.root / DIRECTORY
        self._repack = repack
        self._dry_run = dry_run
        self._marks: dict[int, _PackMarks] = {}
        self._live = IdSet()

    def run(
        self,
        live_files: Iterable[FileId],
        live_trees: Callable[[], Iterable[ObjectId]] | None,
    ) -> GcResult:
        freed = 0 if self._dry_run else self._remove_leftovers()
        packs = self._index.packs()
        for row in packs:
            self._marks[row.number] = _PackMarks(self._records(row))
        missing = self._mark_files(live_files)
        plan = self._plan(packs)
        dead_files = self._dead_files()
        trees = [] if live_trees is None else self._dead_trees(live_trees())
        freed += sum(row.size for row in [*plan.remove, *plan.repack])
        if not self._dry_run:
            freed -= self._carry_out(plan, dead_files, trees)
        return GcResult(
            freed_bytes=freed,
            removed_packs=len(plan.remove),
            repacked_packs=len(plan.repack),
            live_bytes=plan.live_bytes,
            dead_bytes=plan.dead_bytes,
            removed_files=len(dead_files),
            removed_directories=len(trees),
            missing_files=missing,
        )

    def _remove_leftovers(self) -> int:
        """Removes what dead writers left and takes in packs that they published without a row."""
        freed = remove_leftovers(self._directory) + self._index.trim()
        try:
            for path in list(self._directory.glob("*" + DAMAGED_SUFFIX)):
                freed += path.stat().st_size
                self._files.remove(path)
        except OSError as err:
            raise storage_error(err, "damaged packs that were set aside") from err
        known = {row.pack_id for row in self._index.packs()}
        for path in list_packs(self._directory):
            if pack_id_of(path) not in known:
                index_pack(self._index, path, overwrite=False)
        return freed

    def _path(self, row: PackRow) -> Path:
        return self._directory / pack_name(row.pack_id)

    def _records(self, row: PackRow) -> list[PackRecord]:
        return load_records(self._path(row))[0]

    # Mark

    def _mark_files(self, live_files: Iterable[FileId]) -> int:
        """Marks everything that live files need; returns how many files are not here."""
        missing = 0
        for file_id in live_files:
            if file_id in self._live:
                continue
            row = self._index.file(file_id)
            if row is None:
                missing += 1
                continue
            self._live.add(file_id)
            if row.location is not None:
                self._mark(row.location)
            self._mark_recipe(file_id, row)
        return missing

    def _mark_recipe(self, file_id: bytes, row: FileRow) -> None:
        try:
            for ids in iter_recipe(self._chunks, file_id, row):
                for value in self._index.chunks(ids).values():
                    self._mark(parse_location(value))
        except CorruptionError:
            if not row.lost:
                raise  # What it needs is unknown, so nothing may be removed.

    def _mark(self, location: Location) -> None:
        marks = self._marks.get(location.pack)
        if marks is not None:
            marks.mark(location.offset)

    # Sweep

    def _plan(self, packs: list[PackRow]) -> _Plan:
        plan = _Plan()
        small: list[tuple[PackRow, int]] = []
        rooted = IdSet()
        for row in packs:
            records = self._records(row)
            self._mark_roots(records, self._marks[row.number], rooted)
            live = sum(record.record_len for record in self._chosen(row, records))
            dead = sum(record.record_len for record in records) - live
            plan.live_bytes += live
            if not live:
                plan.remove.append(row)
            elif self._repack and dead > REPACK_DEAD_PART * (live + dead):
                plan.repack.append(row)
            else:
                plan.dead_bytes += dead
                if self._repack and row.size < SMALL_PACK:
                    small.append((row, dead))
        if len(small) >= MANY_SMALL_PACKS:
            plan.repack += [row for row, _ in small]
            plan.dead_bytes -= sum(dead for _, dead in small)
        return plan

    def _mark_roots(self, records: list[PackRecord], marks: _PackMarks, rooted: IdSet) -> None:
        """Marks one copy of the root of each live file whose row does not say where it lies."""
        for record in records:
            if record.kind != RecordKind.RECIPE_ROOT or record.id in rooted:
                continue
            if record.id in self._live:
                row = self._index.file(record.id)
                if row is not None and row.location is None:
                    marks.mark(record.offset)
                    rooted.add(record.id)

    def _chosen(self, row: PackRow, records: list[PackRecord]) -> Iterator[PackRecord]:
        marks = self._marks[row.number]
        return (record for at, record in enumerate(records) if marks[at])

    def _dead_files(self) -> list[bytes]:
        return [file_id for file_id, _ in self._index.iter_files() if file_id not in self._live]

    def _dead_trees(self, live_trees: Iterable[ObjectId]) -> list[bytes]:
        live = set(live_trees)
        return [tree_id for tree_id in self._index.iter_directory_ids() if tree_id not in live]

    # Carry out

    def _carry_out(self, plan: _Plan, files: list[bytes], trees: list[bytes]) -> int:
        """Does what the plan says; returns the bytes of the new packs."""
        made = self._write_packs(plan.repack) if plan.repack else []
        # What an earlier gc wrote and did not get to use may have come out the same again.
        renewed = {pack.pack_id for pack in made}
        going = [row for row in [*plan.remove, *plan.repack] if row.pack_id not in renewed]
        self._remove_rows(files, trees)
        for row in going:
            self._forget(row)
        try:
            for row in going:
                self._files.remove(self._path(row))
            self._files.sync_directory(self._directory)
        except OSError as err:
            raise storage_error(err, "packs that are not needed") from err
        return sum(pack.size for pack in made)

    def _write_packs(self, rows: list[PackRow]) -> list[SealedPack]:
        sink = PackSink(self._directory, self._files)
        try:
            for row in rows:
                copy_records(self._path(row), self._chosen(row, self._records(row)), sink)
            packs = sink.publish()
            spools = SpoolFolder(sink.path, self._files)
            numbers = publish_packs(self._index, packs, spools=spools)
        except OSError as err:
            raise storage_error(err, "pack") from err
        finally:
            sink.close()
        for pack, number in zip(packs, numbers, strict=True):
            self._move_roots(pack, number)
        return packs

    def _move_roots(self, pack: SealedPack, number: int) -> None:
        """Points the rows of long recipes to their new place."""
        moved = []
        for file_id, offset, record_len, plain_len, kind, _ in pack.iter_table():
            if kind != RecordKind.RECIPE_ROOT:
                continue
            row = self._index.file(file_id)
            if row is not None and row.location is not None:
                place = Location(number, offset, record_len, plain_len)
                moved.append((file_id, located_row(place, row.size)))
        if moved:
            with self._index.begin() as txn:
                txn.put_files(moved)

    def _remove_rows(self, files: list[bytes], trees: list[bytes]) -> None:
        left = iter(files)
        while batch := list(islice(left, 100 * _BATCH)):
            with self._index.begin() as txn:
                txn.remove_files(batch)
        if trees:
            with self._index.begin() as txn:
                txn.remove_directories(trees)
        gone = set(files)
        sources = (key for key, row in self._index.iter_sources() if stored_file(row) in gone)
        while batch := list(islice(sources, 100 * _BATCH)):
            with self._index.begin() as txn:
                txn.remove_sources(batch)

    def _forget(self, row: PackRow) -> None:
        """Removes a pack and the rows that still point to it from the index."""
        records = self._records(row)
        with self._index.begin() as txn:
            gone = []
            for record in records:
                value = txn.get_chunk(record.id)
                if value is not None and LOCATION.unpack(value)[0] == row.number:
                    gone.append(record.id)
            txn.remove_chunks(gone)
            txn.remove_pack(row.number)
