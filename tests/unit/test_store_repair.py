"""Rebuilding the index, fsck and its repair."""

from __future__ import annotations

import os
import random
from io import BytesIO
from typing import TYPE_CHECKING

import pytest

from mlbfs.errors import ConflictError, CorruptionError, ErrorKind, NotFoundError, StorageError
from mlbfs.ids import FileId, ObjectId
from mlbfs.store import recipe
from mlbfs.store.chunkstore import ChunkStore
from mlbfs.store.dirindex import encode_directory
from mlbfs.store.findings import FindingKind
from mlbfs.store.fsck import fsck
from mlbfs.store.packformat import TRAILER

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.store.findings import Finding

SIZES = (0, 1, 3000, 3000, 40_000, 200_000)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the store lies."""
    return tmp_path / "store"


@pytest.fixture
def files(root: Path) -> dict[FileId, bytes]:
    """Files in two packs, one of them long."""
    rng = random.Random(4)
    contents: dict[FileId, bytes] = {}
    with ChunkStore.create(root) as store:
        for _ in range(2):
            with store.writer() as writer:
                for size in SIZES:
                    data = rng.randbytes(size)
                    contents[writer.put_bytes(data)[0]] = data
                data = rng.randbytes(4_000_000)
                contents[writer.put_stream(BytesIO(data))[0]] = data
                writer.commit()
    return contents


def _packs(root: Path) -> list[Path]:
    return sorted((root / "packs").glob("*.pack"))


def _check(root: Path, *, repair: bool = False) -> list[Finding]:
    with ChunkStore.open(root, repair=repair) as store:
        return list(fsck(store, repair=repair))


def _kinds(findings: list[Finding]) -> set[FindingKind]:
    return {finding.kind for finding in findings}


def _unreadable(root: Path, files: dict[FileId, bytes]) -> set[FileId]:
    """Returns the files that do not come back; wrong bytes are a failure at once."""
    bad = set()
    with ChunkStore.open(root) as store:
        for file_id, data in files.items():
            try:
                assert data == store.open_file(file_id).read(0, len(data) + 1)
            except (CorruptionError, NotFoundError):
                bad.add(file_id)
    return bad


def _flip(path: Path, at: int) -> None:
    with path.open("r+b") as stream:
        stream.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
        byte = stream.read(1)
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes([byte[0] ^ 0x55]))


def test_a_sound_store_has_no_findings(root: Path, files: dict[FileId, bytes]) -> None:
    """And fsck tells how far it is."""
    told: list[tuple[int, int]] = []
    with ChunkStore.open(root) as store:
        assert list(fsck(store, progress=lambda done, total: told.append((done, total)))) == []
    total = sum(path.stat().st_size for path in _packs(root))
    assert (0, total) == told[0]
    assert (total, total) == told[-1]


def test_a_missing_index_is_refused_and_rebuilt(root: Path, files: dict[FileId, bytes]) -> None:
    """Deleting it loses nothing."""
    (root / "index.lmdb").unlink()
    with pytest.raises(CorruptionError) as caught:
        ChunkStore.open(root)
    assert caught.value.kind is ErrorKind.CORRUPT_INDEX
    assert caught.value.hint == "run 'mlbfs fsck --repair'"
    assert {FindingKind.INDEX_NOT_READY} == _kinds(_check(root, repair=True))
    assert set() == _unreadable(root, files)
    assert _check(root) == []


def test_an_interrupted_rebuild_is_noticed(root: Path, files: dict[FileId, bytes]) -> None:
    """An index that is not complete is not used."""
    (root / "index.lmdb").unlink()
    ChunkStore.open(root, repair=True).close()
    with pytest.raises(CorruptionError, match="not rebuilt to its end"):
        ChunkStore.open(root)
    _check(root, repair=True)
    assert set() == _unreadable(root, files)


def test_an_index_of_garbage_is_set_aside(root: Path, files: dict[FileId, bytes]) -> None:
    """Only a repair does so."""
    (root / "index.lmdb").write_bytes(b"garbage" * 5000)
    with pytest.raises(CorruptionError) as caught:
        ChunkStore.open(root)
    assert caught.value.kind is ErrorKind.CORRUPT_INDEX
    _check(root, repair=True)
    assert set() == _unreadable(root, files)


def test_an_index_deleted_under_an_open_store(root: Path, files: dict[FileId, bytes]) -> None:
    """A writer refuses to add rows that nobody would see."""
    with ChunkStore.open(root) as store:
        (root / "index.lmdb").unlink()
        with pytest.raises(StorageError, match="was replaced"):
            store.writer()


def test_rebuilding_keeps_every_file(root: Path, files: dict[FileId, bytes]) -> None:
    """And every row, for nothing else tells where things are."""
    with ChunkStore.open(root) as store:
        before = store.statistics()
        store.rebuild_index()
        after = store.statistics()
    assert (before.files, before.chunks) == (after.files, after.chunks)
    assert set() == _unreadable(root, files)


@pytest.mark.parametrize("at", [-1, -20, -TRAILER.size - 5, 0, 9])
def test_a_damaged_table_loses_nothing(root: Path, files: dict[FileId, bytes], at: int) -> None:
    """The records are found without it, and a repair writes it anew."""
    path = _packs(root)[0]
    _flip(path, at)
    kinds = _kinds(_check(root))
    assert {FindingKind.PACK_TABLE_DAMAGED} == kinds
    _check(root, repair=True)
    assert _check(root) == []
    assert set() == _unreadable(root, files)


def test_a_truncated_pack_keeps_its_beginning(root: Path, files: dict[FileId, bytes]) -> None:
    """What was cut off is named; what is left is saved."""
    path = _packs(root)[0]
    os.truncate(path, path.stat().st_size // 2)
    assert {FindingKind.PACK_TABLE_DAMAGED, FindingKind.FILE_INCOMPLETE} <= _kinds(_check(root))
    repaired = _check(root, repair=True)
    bad = _unreadable(root, files)
    assert 0 < len(bad) < len(files)
    named = {f.record_id for f in repaired if f.kind is FindingKind.FILE_INCOMPLETE}
    with ChunkStore.open(root) as store:
        unknown = {one for one in bad if store.file_size(one) is None}
    assert bad == {FileId(one) for one in named if one} | unknown


def test_a_lost_chunk_is_stored_anew_by_an_import(root: Path, files: dict[FileId, bytes]) -> None:
    """A repair forgets what is damaged, so that it counts as new."""
    path = _packs(root)[0]
    _flip(path, path.stat().st_size // 2)
    before = _check(root)
    assert {FindingKind.RECORD_DAMAGED, FindingKind.FILE_INCOMPLETE} == _kinds(before)
    assert any(path.name in finding.message for finding in before)
    assert {FindingKind.FILE_INCOMPLETE} == _kinds(
        [f for f in _check(root, repair=True) if not f.repaired]
    )
    bad = _unreadable(root, files)
    assert len(bad) == 1
    with ChunkStore.open(root) as store:
        assert bad == {one for one in files if not store.is_complete(one)}
    with ChunkStore.open(root) as store, store.writer() as writer:
        for one in bad:
            writer.put_stream(BytesIO(files[one]))
        assert writer.statistics().new_chunks == 1
        writer.commit()
    assert _check(root) == []
    assert set() == _unreadable(root, files)


def test_a_missing_pack(root: Path, files: dict[FileId, bytes]) -> None:
    """Is named; a repair forgets what was in it."""
    path = _packs(root)[0]
    path.unlink()
    assert FindingKind.PACK_MISSING in _kinds(_check(root))
    _check(root, repair=True)
    assert FindingKind.PACK_MISSING not in _kinds(_check(root))
    with ChunkStore.open(root) as store:
        known = {one for one in files if store.file_size(one) is not None}
        assert all(files[one] == store.open_file(one).read(0, 10**7) for one in known)


def test_a_pack_the_index_does_not_know(root: Path, files: dict[FileId, bytes]) -> None:
    """As a crash between two steps of a commit leaves it: harmless."""
    with ChunkStore.open(root) as store:
        row = store.index.packs()[0]
        with store.index.begin() as txn:
            txn.remove_pack(row.number)
    findings = _check(root)
    assert FindingKind.PACK_NOT_INDEXED in _kinds(findings)
    _check(root, repair=True)
    assert _check(root) == []


def test_wrong_rows_are_found(root: Path, files: dict[FileId, bytes]) -> None:
    """A row that points to another record, and one that is gone."""
    with ChunkStore.open(root) as store:
        (first, one), (second, _) = list(store.index.iter_chunks())[:2]
        with store.index.begin() as txn:
            raw = txn.get_chunk(first)
            assert raw is not None
            txn.put_chunks([(second, raw)])
        assert one == store.index.chunk(second)
    findings = _check(root)
    assert {FindingKind.INDEX_ROW_WRONG, FindingKind.FILE_INCOMPLETE} == _kinds(findings)
    with ChunkStore.open(root) as store, store.index.begin() as txn:
        txn.remove_chunks([first])
    assert FindingKind.INDEX_ROW_MISSING in _kinds(_check(root))
    _check(root, repair=True)
    assert _check(root) == []
    assert set() == _unreadable(root, files)


def test_a_damaged_directory_index_is_dropped(root: Path, files: dict[FileId, bytes]) -> None:
    """Git restores it."""
    good, bad = ObjectId(b"g" * 20), ObjectId(b"b" * 20)
    data = encode_directory([], time_ns=1)
    with ChunkStore.open(root) as store:
        store.put_directories([(good, data), (bad, data[:-1] + b"\xff")])
    assert {FindingKind.DIRECTORY_DAMAGED} == _kinds(_check(root))
    _check(root, repair=True)
    assert _check(root) == []
    with ChunkStore.open(root) as store:
        assert store.directory(bad) is None
        assert store.directory(good) is not None


def test_a_damaged_node_of_a_long_recipe(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is named and stored anew by an import."""
    monkeypatch.setattr(recipe, "MAX_ENTRIES", 8)
    data = os.urandom(3_000_000)
    with ChunkStore.create(root) as store:
        with store.writer() as writer:
            file_id, _ = writer.put_stream(BytesIO(data))
            writer.commit()
        node = next(store.open_file(file_id).nodes())
        place = store.index.chunk(node)
        assert place is not None
    _flip(_packs(root)[0], place.offset + 60)
    assert {FindingKind.RECORD_DAMAGED, FindingKind.FILE_INCOMPLETE} == _kinds(_check(root))
    _check(root, repair=True)
    assert {file_id} == _unreadable(root, {file_id: data})
    with ChunkStore.open(root) as store, store.writer() as writer:
        writer.put_stream(BytesIO(data))
        assert writer.statistics().new_chunks == 0
        writer.commit()
    assert set() == _unreadable(root, {file_id: data})


def test_repair_and_writers_exclude_each_other(root: Path, files: dict[FileId, bytes]) -> None:
    """A plain check goes on beside a writer."""
    with ChunkStore.open(root) as store, store.writer():
        assert list(fsck(store)) == []
        with pytest.raises(ConflictError):
            list(fsck(store, repair=True))
