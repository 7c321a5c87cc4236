"""Files of the host that were read before are not read again, and only those."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from mlbfs.limits import MIB
from mlbfs.store import stamps
from mlbfs.store.chunkstore import ChunkStore
from mlbfs.store.filestamp import stamp_of
from mlbfs.store.gc import collect
from mlbfs.store.source import Policy, Source, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlbfs.store.source import Ingested

BINARY = random.Random(5).randbytes(3000)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ChunkStore]:
    with ChunkStore.create(tmp_path / "store") as found:
        yield found


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as left alone as soon as they are written: change times cannot be set back."""
    monkeypatch.setattr(stamps, "SETTLED_NS", -(10**12))


def _source(path: Path, policy: Policy = Policy.AUTO) -> Source:
    status = path.lstat()
    return Source(path, status.st_size, policy, stamp=stamp_of(status))


def _ingest(store: ChunkStore, *sources: Source, limit: int = 1000) -> list[Ingested]:
    with store.writer() as writer:
        results = list(writer.ingest(sources, small_text_limit=limit))
        writer.commit()
    return results


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("size", [3000, 3 * MIB])
def test_what_was_read_is_not_read_again(store: ChunkStore, tmp_path: Path, size: int) -> None:
    """The file is gone by then, so reading it would fail."""
    path = _write(tmp_path / "f", random.Random(size).randbytes(size))
    path.chmod(0o755)
    source = _source(path)
    first = _ingest(store, source)
    path.unlink()
    assert first == _ingest(store, source)
    assert first[0].executable


@pytest.mark.usefixtures("settled")
def test_a_change_that_keeps_length_and_time_is_seen(store: ChunkStore, tmp_path: Path) -> None:
    """The modification time can be set back, the change time cannot."""
    path = _write(tmp_path / "f", BINARY)
    before = path.stat()
    (first,) = _ingest(store, _source(path))
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        path.write_bytes(BINARY[::-1])
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    (second,) = _ingest(store, _source(path))
    assert first.file_id != second.file_id


def test_a_file_that_changed_just_now_is_not_noted(store: ChunkStore, tmp_path: Path) -> None:
    """Another change within the same tick of the clock would not show."""
    path = _write(tmp_path / "f", BINARY)
    source = _source(path)
    _ingest(store, source)
    path.unlink()
    with pytest.raises(SourceError):
        _ingest(store, source)


@pytest.mark.usefixtures("settled")
def test_a_source_without_a_stamp_is_read(store: ChunkStore, tmp_path: Path) -> None:
    """That is how a caller asks for it."""
    path = _write(tmp_path / "f", BINARY)
    _ingest(store, _source(path))
    path.unlink()
    with pytest.raises(SourceError):
        _ingest(store, Source(path, len(BINARY)))


@pytest.mark.usefixtures("settled")
def test_text_is_judged_by_the_limit_of_the_day(store: ChunkStore, tmp_path: Path) -> None:
    """Long text goes to Git once the limit allows it; what is no text need not be read for that."""
    text = _write(tmp_path / "text", b"word " * 600)
    binary = _write(tmp_path / "binary", BINARY[:900] + b"\0")
    first = _ingest(store, _source(text), _source(binary), limit=1000)
    assert [result.file_id is None for result in first] == [False, False]
    binary_source, text_source = _source(binary), _source(text)
    binary.unlink()
    again = _ingest(store, binary_source, text_source, limit=10_000)
    assert again[0].file_id == first[1].file_id
    assert again[1].text == b"word " * 600


@pytest.mark.usefixtures("settled")
def test_a_policy_of_git_is_obeyed(store: ChunkStore, tmp_path: Path) -> None:
    """A file that went to the store goes to Git when the policy says so."""
    path = _write(tmp_path / "f", BINARY)
    _ingest(store, _source(path, Policy.CHUNKS))
    (result,) = _ingest(store, _source(path, Policy.GIT))
    assert result.text == BINARY


@pytest.mark.usefixtures("settled")
def test_known_and_new_files_keep_their_order(store: ChunkStore, tmp_path: Path) -> None:
    """Results come in the order of the sources, whichever were read."""
    rng = random.Random(1)
    old = [_write(tmp_path / f"{n}", rng.randbytes(500)) for n in range(0, 20, 2)]
    _ingest(store, *map(_source, old))
    new = [_write(tmp_path / f"{n}", rng.randbytes(500)) for n in range(1, 20, 2)]
    sources = [_source(path) for pair in zip(old, new, strict=True) for path in pair]
    results = _ingest(store, *sources)
    assert [result.source for result in results] == sources
    for result in results:
        assert result.file_id is not None
        assert store.open_file(result.file_id).read(0, 500) == result.source.path.read_bytes()


@pytest.mark.usefixtures("settled")
def test_what_gc_removed_is_read_again(store: ChunkStore, tmp_path: Path) -> None:
    """A stamp is worth nothing without the content, and goes with it."""
    path = _write(tmp_path / "f", BINARY)
    _ingest(store, _source(path))
    collect(store, list)
    assert list(store.index.iter_sources()) == []
    (result,) = _ingest(store, _source(path))
    assert result.file_id is not None
    assert store.open_file(result.file_id).read(0, 3000) == BINARY
