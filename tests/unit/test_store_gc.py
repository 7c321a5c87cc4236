"""gc: what is needed stays, what is not goes."""

from __future__ import annotations

import os
import random
from io import BytesIO
from typing import TYPE_CHECKING

import pytest

from mlbfs.errors import ConflictError
from mlbfs.ids import FileId, ObjectId
from mlbfs.store.chunkstore import ChunkStore
from mlbfs.store.dirindex import encode_directory
from mlbfs.store.fsck import fsck
from mlbfs.store.gc import IdSet, collect

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path):
    """An empty store."""
    with ChunkStore.create(tmp_path / "store") as found:
        yield found


def _fill(store: ChunkStore, seed: int, sizes: list[int]) -> dict[FileId, bytes]:
    rng = random.Random(seed)
    with store.writer() as writer:
        contents = [rng.randbytes(size) for size in sizes]
        filled = {writer.put_stream(BytesIO(data))[0]: data for data in contents}
        writer.commit()
    return filled


def _pack_bytes(store: ChunkStore) -> int:
    return sum(path.stat().st_size for path in (store.root / "packs").glob("*.pack"))


def _assert_holds(store: ChunkStore, files: dict[FileId, bytes]) -> None:
    store.chunks.cache.clear()
    for file_id, data in files.items():
        assert data == store.open_file(file_id).read(0, len(data) + 1)
    assert list(fsck(store)) == []


def test_nothing_live_leaves_nothing(store: ChunkStore) -> None:
    """Every pack goes and every row."""
    files = _fill(store, 1, [10, 100_000])
    before = _pack_bytes(store)
    result = collect(store, list)
    assert (before, 1, 2) == (result.freed_bytes, result.removed_packs, result.removed_files)
    assert (_pack_bytes(store), store.statistics().chunks) == (0, 0)
    assert all(store.file_size(one) is None for one in files)
    assert list(fsck(store)) == []


def test_everything_live_keeps_everything(store: ChunkStore) -> None:
    """Nothing is freed and nothing written."""
    files = _fill(store, 1, [10, 100_000, 0])
    result = collect(store, lambda: files, repack=True)
    assert (
        result.freed_bytes,
        result.removed_packs,
        result.repacked_packs,
        result.dead_bytes,
    ) == (0, 0, 0, 0)
    _assert_holds(store, files)


@pytest.mark.parametrize("repack", [False, True])
def test_a_pack_that_is_half_dead(store: ChunkStore, repack: bool) -> None:
    """Is rewritten only when asked."""
    files = _fill(store, 2, [3_000_000, 200_000, 5000, 2_900_000])
    live = dict(list(files.items())[1:])
    before = _pack_bytes(store)
    result = collect(store, lambda: live, repack=repack)
    assert repack == result.repacked_packs
    assert before - result.freed_bytes == _pack_bytes(store)
    assert repack == (result.freed_bytes > 2_900_000)
    _assert_holds(store, live)


def test_many_small_packs_become_one(store: ChunkStore) -> None:
    """Only when packs may be rewritten; few are left alone."""
    files: dict[FileId, bytes] = {}
    for seed in range(10):
        files.update(_fill(store, seed, [5000]))
        if seed < 7:
            assert collect(store, lambda: files, repack=True).repacked_packs == 0
    assert collect(store, lambda: files).repacked_packs == 0
    assert collect(store, lambda: files, repack=True).repacked_packs == 10
    assert store.statistics().packs == 1
    _assert_holds(store, files)


def test_long_recipes_move_with_their_pack(store: ChunkStore) -> None:
    """Their rows say where the root lies, so these are written anew."""
    files = _fill(store, 3, [8_000_000, 5_000_000])
    live = dict(list(files.items())[1:])
    assert collect(store, lambda: live, repack=True).repacked_packs == 1
    _assert_holds(store, live)


def test_shared_chunks_stay(store: ChunkStore) -> None:
    """One that a live file needs lives, whoever brought it."""
    common = os.urandom(500_000)
    with store.writer() as writer:
        dead, _ = writer.put_bytes(common + b"dead")
        live, _ = writer.put_bytes(common + b"live")
        writer.commit()
    collect(store, lambda: [live], repack=True)
    assert store.file_size(dead) is None
    _assert_holds(store, {live: common + b"live"})


def test_an_open_reader_goes_on(store: ChunkStore) -> None:
    """Chunks that moved are found again."""
    files = _fill(store, 4, [3_000_000, 1_000_000])
    (file_id, data) = list(files.items())[1]
    reader = store.open_file(file_id)
    assert data[:10] == reader.read(0, 10)
    collect(store, lambda: [file_id], repack=True)
    store.chunks.cache.clear()
    assert data == reader.read(0, len(data))


def test_a_reader_of_another_process_goes_on(store: ChunkStore, tmp_path: Path) -> None:
    """It has neither descriptors nor caches in common with gc."""
    files = _fill(store, 4, [3_000_000, 1_000_000])
    (file_id, data) = list(files.items())[1]
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with ChunkStore.open(store.root) as own:
                reader = own.open_file(file_id)
                os.write(ready[1], b"1")
                os.read(done[0], 1)
                code = 0 if reader.read(0, len(data)) == data else 2
        finally:
            os._exit(code)
    os.read(ready[0], 1)
    collect(store, lambda: [file_id], repack=True)
    os.write(done[1], b"1")
    assert os.waitpid(child, 0)[1] == 0
    for fd in (*ready, *done):
        os.close(fd)


def test_a_dry_run_changes_nothing(store: ChunkStore) -> None:
    """It says what would be freed."""
    files = _fill(store, 5, [100_000])
    _fill(store, 6, [100_000])
    result = collect(store, lambda: files, dry_run=True)
    assert (result.removed_packs, result.removed_files) == (1, 1)
    assert store.statistics().packs == 2
    assert list(fsck(store)) == []


def test_directories_of_unreachable_trees_go(store: ChunkStore) -> None:
    """Only when the live trees are given."""
    kept, gone = ObjectId(b"k" * 20), ObjectId(b"g" * 20)
    store.put_directories([(one, encode_directory([], time_ns=0)) for one in (kept, gone)])
    assert collect(store, list).removed_directories == 0
    assert collect(store, list, live_trees=lambda: [kept]).removed_directories == 1
    assert store.directory(gone) is None
    assert store.directory(kept) is not None


def test_live_files_are_asked_for_under_the_lock(store: ChunkStore) -> None:
    """A commit that comes in between would else be lost."""
    seen: list[bool] = []

    def live() -> list[FileId]:
        with pytest.raises(ConflictError):
            store.writer()
        seen.append(True)
        return []

    collect(store, live)
    assert seen == [True]


def test_a_writer_keeps_gc_away(store: ChunkStore) -> None:
    """Also between its commit and its end, when the ref moves."""
    with store.writer() as writer:
        file_id, _ = writer.put_bytes(b"precious")
        with pytest.raises(ConflictError):
            collect(store, list)
        writer.commit()
        with pytest.raises(ConflictError):
            collect(store, list)
    collect(store, lambda: [file_id])
    _assert_holds(store, {file_id: b"precious"})


def test_files_that_lie_elsewhere_are_counted(store: ChunkStore) -> None:
    """Such as those of Git LFS."""
    assert collect(store, lambda: [FileId(bytes(32))]).missing_files == 1


def test_leftovers_and_packs_without_rows_go(store: ChunkStore) -> None:
    """What crashes have left is removed."""
    files = _fill(store, 7, [50_000])
    with store.writer() as writer:
        stray = [writer.put_bytes(os.urandom(60_000))[0]]
        writer._sink.publish()  # As a crash before the index transaction leaves it.
    dead = store.root / "packs" / "tmp-00"
    dead.mkdir()
    (dead / "0.pack").write_bytes(b"x" * 8192)
    (store.root / "packs" / f"{'0' * 64}.damaged").write_bytes(b"y" * 100)
    result = collect(store, lambda: files)
    assert result.freed_bytes > 60_000 + 8192
    assert len(list((store.root / "packs").iterdir())) == 1
    assert all(store.file_size(one) is None for one in stray)
    _assert_holds(store, files)


def test_an_id_set_is_exact() -> None:
    """Also for ids that begin alike."""
    ids = IdSet()
    first, second, third = (b"12345678" + bytes([n]) * 24 for n in range(3))
    ids.add(first)
    ids.add(second)
    assert first in ids
    assert second in ids
    assert third not in ids
