"""Opening a store and reading files from it."""

from __future__ import annotations

import os
import random
import threading
from io import BytesIO
from typing import TYPE_CHECKING

import pytest

from mlbfs.errors import (
    CorruptionError,
    ErrorKind,
    InternalError,
    InvalidInputError,
    NotFoundError,
)
from mlbfs.ids import FileId, ObjectId
from mlbfs.store import recipe
from mlbfs.store.chunkstore import ChunkStore
from mlbfs.store.dirindex import encode_directory

if TYPE_CHECKING:
    from pathlib import Path

SIZES = [0, 1, 16_384, 16_385, 300_000]


@pytest.fixture
def store(tmp_path: Path):
    """An empty store."""
    with ChunkStore.create(tmp_path / "store") as found:
        yield found


def _put(store: ChunkStore, *contents: bytes) -> list[FileId]:
    with store.writer() as writer:
        ids = [writer.put_bytes(data)[0] for data in contents]
        writer.commit()
    return ids


@pytest.mark.parametrize("size", SIZES)
def test_a_file_comes_back(store: ChunkStore, size: int) -> None:
    """Whole, and its length without opening it."""
    data = random.Random(size).randbytes(size)
    (file_id,) = _put(store, data)
    assert size == store.file_size(file_id) == store.open_file(file_id).size
    assert data == store.open_file(file_id).read(0, size + 1)


def test_any_range_comes_back(store: ChunkStore) -> None:
    """Short only at the end of the file."""
    rng = random.Random(2)
    data = rng.randbytes(700_000)
    reader = store.open_file(_put(store, data)[0])
    for _ in range(50):
        offset, length = rng.randrange(720_000), rng.randrange(200_000)
        assert data[offset : offset + length] == reader.read(offset, length)
    assert reader.read(700_000, 10) == reader.read(5, 0) == b""
    for offset, length in ((-1, 10), (0, -1)):
        with pytest.raises(InvalidInputError, match="cannot read"):
            reader.read(offset, length)


def test_chunks_are_the_file(store: ChunkStore) -> None:
    """In order; their lengths are its length, and each has its place in a pack."""
    reader = store.open_file(_put(store, os.urandom(500_000))[0])
    chunks = list(reader.chunks())
    assert len(chunks) > 1
    assert sum(length for _, length in chunks) == 500_000
    assert {one for one, _ in chunks} == store.stored_lengths([one for one, _ in chunks]).keys()


def test_a_long_recipe_is_read_through_its_nodes(
    store: ChunkStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bytes, whatever the shape of the tree."""
    monkeypatch.setattr(recipe, "MAX_ENTRIES", 8)
    monkeypatch.setattr(recipe, "MIN_ENTRIES", 2)
    monkeypatch.setattr(recipe, "FAN_OUT", 4)
    rng = random.Random(3)
    data = rng.randbytes(3_000_000)
    with store.writer() as writer:
        file_id, size = writer.put_stream(BytesIO(data))
        writer.commit()
    reader = store.open_file(file_id)
    assert len(list(reader.nodes())) > 8
    assert (3_000_000, data) == (size, reader.read(0, size))
    for _ in range(30):
        offset, length = rng.randrange(size), rng.randrange(300_000)
        assert data[offset : offset + length] == reader.read(offset, length)
    assert sum(length for _, length in reader.chunks()) == size


def test_a_read_touches_only_what_it_needs(store: ChunkStore) -> None:
    """A damaged chunk hurts reads of that chunk, no others."""
    data = os.urandom(600_000)
    (file_id,) = _put(store, data)
    chunks = list(store.open_file(file_id).chunks())
    last = store.index.chunk(chunks[-1][0])
    assert last is not None
    (pack,) = (store.root / "packs").glob("*.pack")
    with pack.open("r+b") as stream:
        stream.seek(last.offset + last.record_len - 1)
        stream.write(b"\x00\x01")
    first = chunks[0][1]
    assert data[:first] == store.open_file(file_id).read(0, first)
    with pytest.raises(CorruptionError, match=pack.name) as caught:
        store.open_file(file_id).read(599_000, 10)
    assert caught.value.hint == "run 'mlbfs fsck'"
    assert caught.value.kind is ErrorKind.CORRUPT_CHUNK


def test_nowait_returns_what_is_in_memory(store: ChunkStore) -> None:
    """What was just read does not wait for the disk."""
    data = os.urandom(200_000)
    reader = store.open_file(_put(store, data)[0])
    reader.read(0, 200_000)
    assert data[5:9] == reader.read_nowait(5, 4)


def test_a_missing_pack_is_named(store: ChunkStore) -> None:
    """Reading says which file is not there."""
    (file_id,) = _put(store, b"x" * 5000)
    (pack,) = (store.root / "packs").glob("*.pack")
    pack.unlink()
    with pytest.raises(CorruptionError, match=pack.name):
        store.open_file(file_id).read(0, 1)


def test_an_unknown_file(store: ChunkStore) -> None:
    """No size, and nothing to open."""
    assert store.file_size(FileId(bytes(32))) is None
    with pytest.raises(NotFoundError) as caught:
        store.open_file(FileId(bytes(32)))
    assert caught.value.kind is ErrorKind.FILE_NOT_FOUND


def test_directories_come_back(store: ChunkStore) -> None:
    """Those stored with a commit and those stored by themselves."""
    first, second = ObjectId(b"1" * 20), ObjectId(b"2" * 20)
    with store.writer() as writer:
        writer.commit([(first, encode_directory([], time_ns=1))])
    store.put_directories([(second, encode_directory([], time_ns=2))])
    times = [store.directory(tree) for tree in (first, second)]
    assert [index.time_ns for index in times if index is not None] == [1, 2]
    assert store.directory(ObjectId(b"3" * 20)) is None


def test_two_stores_of_one_process_see_each_other(tmp_path: Path) -> None:
    """One LMDB environment serves both, and outlives the first close."""
    with ChunkStore.create(tmp_path) as first:
        second = ChunkStore.open(tmp_path)
        (file_id,) = _put(first, b"shared")
    assert second.open_file(file_id).read(0, 10) == b"shared"
    second.close()


def test_create_opens_what_is_there(tmp_path: Path) -> None:
    """Nothing is lost by creating twice."""
    with ChunkStore.create(tmp_path) as store:
        (file_id,) = _put(store, b"kept")
    with ChunkStore.create(tmp_path) as store:
        assert store.open_file(file_id).read(0, 4) == b"kept"
        assert store.statistics().files == 1


def test_a_store_carried_across_fork_is_refused(store: ChunkStore) -> None:
    """The child gets an error instead of a damaged index."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        answer = b"no error"
        try:
            store.file_size(FileId(bytes(32)))
        except InternalError:
            answer = b"refused"
        os.write(write_end, answer)
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write_end)
    assert os.read(read_end, 100) == b"refused"
    os.close(read_end)


def test_a_child_may_open_the_store_anew(store: ChunkStore) -> None:
    """What the parent holds open does not hinder it."""
    (file_id,) = _put(store, b"for the child")
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        answer = b""
        try:
            with ChunkStore.open(store.root) as own:
                answer = own.open_file(file_id).read(0, 100)
        finally:
            os.write(write_end, answer)
            os._exit(0)
    os.waitpid(child, 0)
    os.close(write_end)
    assert os.read(read_end, 100) == b"for the child"
    os.close(read_end)
    assert store.open_file(file_id).read(0, 3) == b"for"


def test_many_threads_read_at_once(store: ChunkStore) -> None:
    """One reader serves them all."""
    data = os.urandom(900_000)
    reader = store.open_file(_put(store, data)[0])
    wrong: list[int] = []

    def work(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(20):
            at = rng.randrange(len(data))
            if reader.read(at, 10_000) != data[at : at + 10_000]:
                wrong.append(at)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
