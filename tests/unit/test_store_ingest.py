"""Ingest: files of the host in, results in order out."""

from __future__ import annotations

import hashlib
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING

import pytest

from mlbfs.errors import ErrorKind
from mlbfs.ids import FileId
from mlbfs.store import batch, ingest
from mlbfs.store.chunkstore import ChunkStore
from mlbfs.store.known import TRUSTED_SECONDS
from mlbfs.store.readahead import settle
from mlbfs.store.source import Policy, Source, SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.store.source import Ingested


@pytest.fixture
def store(tmp_path: Path):
    """An empty store."""
    with ChunkStore.create(tmp_path / "store") as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for sources."""
    path = tmp_path / "sources"
    path.mkdir()
    return path


def _source(folder: Path, name: str, data: bytes, **options) -> Source:
    path = folder / name
    path.write_bytes(data)
    return Source(path, len(data), **options)


def _ingest(store: ChunkStore, *sources: Source, **options) -> list[Ingested]:
    with store.writer() as writer:
        results = list(writer.ingest(sources, **options))
        writer.commit()
    return results


def _content(store: ChunkStore, result: Ingested) -> bytes:
    if result.file_id is None:
        assert result.text is not None
        return result.text
    return store.open_file(result.file_id).read(0, result.size)


def test_everything_comes_back_in_order(store: ChunkStore, folder: Path) -> None:
    """Small and long files mixed, results in the order of the sources, with their tokens."""
    rng = random.Random(1)
    contents = [rng.randbytes(rng.choice([1, 5000, 20_000, 150_000])) for _ in range(300)]
    contents[100] = contents[101] = rng.randbytes(2_500_000)
    sources = [
        _source(folder, str(at), data, token=at, policy=Policy.CHUNKS)
        for at, data in enumerate(contents)
    ]
    results = _ingest(store, *sources)
    assert sources == [result.source for result in results]
    assert contents == [_content(store, result) for result in results]
    expected = [FileId(hashlib.sha256(data).digest()) for data in contents]
    assert expected == [result.file_id for result in results]


@pytest.mark.parametrize(
    ("data", "policy", "is_text"),
    [
        (b"", Policy.AUTO, True),
        (b"", Policy.CHUNKS, True),
        (b"plain\n", Policy.AUTO, True),
        ("zażółć".encode(), Policy.AUTO, True),
        (b"nul\0", Policy.AUTO, False),
        (b"latin \xe9", Policy.AUTO, False),
        (b"t" * 1000, Policy.AUTO, True),
        (b"t" * 1001, Policy.AUTO, False),
        (b"plain\n", Policy.CHUNKS, False),
        (b"nul\0", Policy.GIT, True),
        (b"\0" * 2_000_000, Policy.GIT, True),
        (b"\0" * (ingest.MAX_GIT_BLOB_SIZE + 1), Policy.GIT, False),
    ],
)
def test_what_goes_to_git(
    store: ChunkStore, folder: Path, data: bytes, policy: Policy, is_text: bool
) -> None:
    """Small valid text and what the policy says; everything else to the chunk store."""
    (result,) = _ingest(store, _source(folder, "a", data, policy=policy), small_text_limit=1000)
    assert is_text == (result.text is not None) == (result.file_id is None)
    assert data == _content(store, result)


def test_the_executable_bit(store: ChunkStore, folder: Path) -> None:
    """That of the owner counts, for short and long files."""
    sources = [_source(folder, "a", b"\0"), _source(folder, "b", b"\0" * 2_000_000)]
    for path in ("a", "b"):
        (folder / path).chmod(0o744)
    results = _ingest(store, *sources, _source(folder, "c", b"\0"))
    assert [result.executable for result in results] == [True, True, False]


def test_paths_may_be_bytes(store: ChunkStore, folder: Path) -> None:
    """Names that are not UTF-8 are read as they are."""
    name = os.fsencode(folder) + b"/\xff\xfe"
    with open(name, "wb") as stream:
        stream.write(b"\0odd")
    (result,) = _ingest(store, Source(name, 4))
    assert _content(store, result) == b"\0odd"


def test_a_known_file_is_not_stored_again(store: ChunkStore, folder: Path) -> None:
    """Not within one writer and not by the next."""
    data = os.urandom(100_000)
    long = os.urandom(2_000_000)
    sources = [_source(folder, str(at), data) for at in range(3)]
    sources += [_source(folder, f"long{at}", long) for at in range(2)]
    _ingest(store, *sources)
    with store.writer() as writer:
        list(writer.ingest(sources))
        statistics = writer.statistics()
        writer.commit()
    assert (statistics.files, statistics.bytes) == (5, 4_300_000)
    assert (statistics.new_chunks, statistics.new_bytes, statistics.stored_bytes) == (0, 0, 0)
    assert store.statistics().packs == 1


def test_common_chunks_are_stored_once(store: ChunkStore, folder: Path) -> None:
    """A file that begins like another one costs what differs."""
    common = os.urandom(900_000)
    _ingest(store, _source(folder, "a", common))
    with store.writer() as writer:
        list(writer.ingest([_source(folder, "b", common + os.urandom(1000))]))
        assert writer.statistics().new_bytes < 300_000
        writer.commit()


def test_a_file_longer_than_it_was_is_read_whole(store: ChunkStore, folder: Path) -> None:
    """The size of the scan is a hint; a file that has become long is streamed."""
    short, long = os.urandom(500), os.urandom(1_500_000)
    sources = [_source(folder, "a", short), _source(folder, "b", long)]
    hinted = [replace(sources[0], size=100), replace(sources[1], size=100)]
    results = _ingest(store, *hinted, _source(folder, "c", b"\0"))
    assert [short, long, b"\0"] == [_content(store, result) for result in results]


def test_a_file_shorter_than_it_was_is_read_whole(store: ChunkStore, folder: Path) -> None:
    """Also when it would have been streamed."""
    data = os.urandom(2000)
    source = _source(folder, "a", data)
    results = _ingest(store, replace(source, size=5000), replace(source, size=5_000_000))
    assert [data, data] == [_content(store, result) for result in results]


@pytest.mark.parametrize("size", [10, 5_000_000])
def test_a_vanished_file_is_named(store: ChunkStore, folder: Path, size: int) -> None:
    """And nothing is stored."""
    source = Source(folder / "gone", size)
    with store.writer() as writer, pytest.raises(SourceError, match="gone") as caught:
        list(writer.ingest([_source(folder, "a", b"\0"), source]))
    assert caught.value.kind is ErrorKind.SOURCE_CHANGED
    assert store.statistics().files == 0
    assert list((store.root / "packs").iterdir()) == []


@pytest.mark.parametrize("size", [10, 5_000_000])
def test_something_that_became_a_folder(store: ChunkStore, folder: Path, size: int) -> None:
    """Is no file any more."""
    (folder / "d").mkdir()
    with store.writer() as writer, pytest.raises(SourceError) as caught:
        list(writer.ingest([Source(folder / "d", size)]))
    assert caught.value.kind is ErrorKind.SOURCE_CHANGED


def test_a_symlink_is_not_followed(store: ChunkStore, folder: Path) -> None:
    """It was none when the folder was scanned."""
    (folder / "l").symlink_to("/etc/passwd")
    with store.writer() as writer, pytest.raises(SourceError):
        list(writer.ingest([Source(folder / "l", 10)]))


def test_a_long_file_that_never_holds_still(
    store: ChunkStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is given up after some attempts, and named."""
    source = _source(folder, "restless", os.urandom(2_000_000))
    fill = ingest.SegmentReader._fill

    def disturbed(self: ingest.SegmentReader, buffer: memoryview) -> int:
        length = fill(self, buffer)
        with open(folder / "restless", "ab") as stream:
            stream.write(b"more")
        return length

    monkeypatch.setattr(ingest.SegmentReader, "_fill", disturbed)
    with store.writer() as writer, pytest.raises(SourceError, match="restless") as caught:
        list(writer.ingest([source]))
    assert caught.value.kind is ErrorKind.SOURCE_CHANGED
    assert (folder / "restless").stat().st_size >= 2_000_000 + 4 * batch.ATTEMPTS


def test_leaving_early_ends_everything(store: ChunkStore, folder: Path) -> None:
    """A consumer may stop in the middle."""
    sources = [_source(folder, str(at), os.urandom(50_000)) for at in range(50)]
    with store.writer() as writer:
        results = writer.ingest(sources)
        next(results)
        results.close()
    assert list((store.root / "packs").iterdir()) == []


def test_an_error_of_the_caller_passes(store: ChunkStore, folder: Path) -> None:
    """What the iterable of sources raises comes out as it is."""

    def sources():
        yield _source(folder, "a", b"\0")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), store.writer() as writer:
        list(writer.ingest(sources()))
    assert list((store.root / "packs").iterdir()) == []


@pytest.mark.parametrize("rows", [10, 100_000])
def test_many_packs(
    store: ChunkStore, folder: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """Chunks of sealed packs are known, long recipes found, rows come in any number of steps."""
    monkeypatch.setattr("mlbfs.store.sink.PACK_TARGET_SIZE", 200_000)
    monkeypatch.setattr("mlbfs.store.publish.ROWS_PER_TRANSACTION", rows)
    rng = random.Random(9)
    contents = [rng.randbytes(3_000_000), *[rng.randbytes(60_000) for _ in range(40)]]
    sources = [_source(folder, str(at), data) for at, data in enumerate(contents)]
    results = _ingest(store, *sources, *sources)
    assert contents * 2 == [_content(store, result) for result in results]
    statistics = store.statistics()
    assert statistics.packs > 2
    assert (41, sum(map(len, contents))) == (statistics.files, sum(map(len, contents)))
    assert statistics.pack_bytes < sum(map(len, contents)) * 1.02


def _age(store: ChunkStore) -> None:
    """Makes every pack one that was not verified for long."""
    old = int(time.time()) - TRUSTED_SECONDS - 10
    with store.index.begin() as txn:
        for row in store.index.packs():
            txn.set_verified(row, old)


@pytest.mark.parametrize("size", [1000, 100_000, 3_000_000])
def test_a_hit_on_old_sound_bytes_counts(store: ChunkStore, folder: Path, size: int) -> None:
    """They are read, found sound, and the new ones are thrown away."""
    source = _source(folder, "a", os.urandom(size))
    _ingest(store, source)
    _age(store)
    with store.writer() as writer:
        list(writer.ingest([source]))
        assert writer.statistics().new_chunks == 0
        writer.commit()


@pytest.mark.parametrize("size", [1000, 100_000, 3_000_000])
def test_a_hit_on_old_damaged_bytes_is_none(store: ChunkStore, folder: Path, size: int) -> None:
    """The new bytes are stored and read from then on."""
    data = os.urandom(size)
    source = _source(folder, "a", data)
    (result,) = _ingest(store, source)
    (pack,) = (store.root / "packs").glob("*.pack")
    with pack.open("r+b") as stream:
        stream.seek(200)
        stream.write(b"damage")
    _age(store)
    _ingest(store, source)
    store.chunks.cache.clear()
    assert data == _content(store, result)


def test_an_old_long_file_does_not_grow_the_store(store: ChunkStore, folder: Path) -> None:
    """Its recipe is verified like its chunks, and not written again."""
    source = _source(folder, "a", os.urandom(4_000_000))
    _ingest(store, source)
    _age(store)
    with store.writer() as writer:
        list(writer.ingest([source]))
        assert writer.statistics().stored_bytes == 0
        writer.commit()


def test_what_a_closed_pool_has_cancelled_is_not_waited_for():
    """An error in the middle of a long file would keep whoever caught it waiting for ever."""
    pool, begun, release = ThreadPoolExecutor(1), Event(), Event()
    running = pool.submit(lambda: (begun.set(), release.wait()))
    pending = pool.submit(int)
    begun.wait()
    pool.shutdown(wait=False, cancel_futures=True)
    release.set()
    settle([pending, running])
    assert pending.cancelled()
    assert running.done()
