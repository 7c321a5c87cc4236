"""The end of the chunk index: what a transaction that found no room has left there."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mlbfs.store.chunkstore import ChunkStore
from mlbfs.store.gc import collect

if TYPE_CHECKING:
    from pathlib import Path

WRITER = """
import os, resource, sys
from pathlib import Path
from mlbfs.errors import StorageError
from mlbfs.store.chunkstore import ChunkStore
with ChunkStore.open(Path(sys.argv[1])) as store:
    room = os.path.getsize(sys.argv[1] + "/index.lmdb") + 2_000_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    try:
        store.put_directories((os.urandom(20), os.urandom(4000)) for _ in range(3000))
    except StorageError:
        sys.exit(9)
"""


def _rows(store: ChunkStore) -> dict[bytes, bytes | None]:
    return {tree: store.index.directory(tree) for tree in store.index.iter_directory_ids()}


@pytest.fixture
def store(tmp_path: Path):
    """A store with something in its index."""
    with ChunkStore.create(tmp_path / "store") as made:
        made.put_directories((os.urandom(20), os.urandom(500)) for _ in range(200))
        yield made


def test_a_transaction_without_room_gives_back_what_it_took(store: ChunkStore) -> None:
    """The file is as long as before, and every row is there, seen from another process, too."""
    path, rows = store.root / "index.lmdb", _rows(store)
    size = path.stat().st_size
    done = subprocess.run([sys.executable, "-c", WRITER, store.root], check=False)
    assert done.returncode == 9
    assert path.stat().st_size <= size
    assert _rows(store) == rows
    store.put_directories([(bytes(20), b"more")])
    assert _rows(store) == rows | {bytes(20): b"more"}


def test_gc_trims_what_a_killed_writer_left(store: ChunkStore) -> None:
    """Bytes behind the last page belong to nobody."""
    path, rows = store.root / "index.lmdb", _rows(store)
    end = path.stat().st_size
    with path.open("ab") as file:
        file.write(os.urandom(3_000_000))
    assert collect(store, list).freed_bytes >= 3_000_000
    assert path.stat().st_size <= end
    assert _rows(store) == rows


def test_a_file_that_took_the_place_of_the_index_is_left_alone(store: ChunkStore) -> None:
    """What we know of pages is of the file that is open, not of one that has its name now."""
    path = store.root / "index.lmdb"
    path.rename(path.with_name("aside"))
    other = os.urandom(3_000_000)
    path.write_bytes(other)
    assert store.index.trim() == 0
    assert path.read_bytes() == other


def test_nothing_is_trimmed_from_a_whole_index(store: ChunkStore) -> None:
    """What the last transaction wrote stays."""
    rows = _rows(store)
    assert store.index.trim() == 0
    assert _rows(store) == rows
