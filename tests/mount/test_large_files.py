"""Changing a long committed file through a real mount: neither file nor recipe is copied."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from mlbfs.limits import KIB, MIB
from mlbfs.mount.live import request
from mlbfs.store.chunkstore import ChunkStore

if TYPE_CHECKING:
    from pathlib import Path

    from tests.mount.conftest import Builder, Mounts

pytestmark = [pytest.mark.fuse, pytest.mark.slow]

LONG = b"\xff" + bytes(160 * MIB) + b"the end of it" * 10_000


@pytest.fixture
def point(builder: Builder, mounts: Mounts) -> Path:
    """A branch with a file of 160 MiB, mounted."""
    builder.commit("refs/heads/long", {b"long": LONG, b"other": b"text\n"})
    return mounts.mount("long")


def _blocks(git_dir: Path) -> int:
    data = git_dir / "mlbfs" / "workspaces" / "long" / "data"
    return sum(path.stat().st_blocks for path in data.iterdir()) * 512


def _stored(git_dir: Path) -> int:
    return sum(path.stat().st_size for path in (git_dir / "mlbfs" / "packs").glob("*.pack"))


def _write(path: Path, offset: int, data: bytes) -> None:
    """Writes as a program that knows where would do."""
    fd = os.open(path, os.O_WRONLY)
    try:
        assert os.pwrite(fd, data, offset) == len(data)
    finally:
        os.close(fd)


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_writes_take_the_blocks_of_what_was_written(builder: Builder, point: Path) -> None:
    """In the middle and at the end, whatever the length of the file."""
    path = point / "long"
    _write(path, 80 * MIB + 5, b"in the middle")
    _append(path, b"at the end")
    assert path.stat().st_size == len(LONG) + 10
    assert _blocks(builder.git_dir) <= 64 * KIB
    with path.open("rb") as file:
        file.seek(80 * MIB)
        assert file.read(20) == bytes(5) + b"in the middle" + bytes(2)
        file.seek(-16, os.SEEK_END)
        assert file.read() == b"d of itat the end"[-16:]


def test_a_commit_stores_what_is_new(builder: Builder, mounts: Mounts, point: Path) -> None:
    """The id is the SHA-256 of the whole file, the recipe the one of a file stored at once."""
    (record,) = mounts.records
    path = point / "long"
    before = _stored(builder.git_dir)
    _append(path, b"more" * 1000)
    _write(path, 100 * MIB, b"changed")
    person = {"name": "A", "email": "a@example.org", "time": 1, "offset": 0}
    arguments = {"message": "m\n", "author": person, "committer": person}
    result, _ = request(record, "commit", arguments)
    assert (result["added"], result["modified"]) == (0, 1)
    assert _stored(builder.git_dir) - before < MIB
    wanted = bytearray(LONG + b"more" * 1000)
    wanted[100 * MIB : 100 * MIB + 7] = b"changed"
    with ChunkStore.open(builder.git_dir / "mlbfs") as store, store.writer() as writer:
        file_id = hashlib.sha256(wanted).digest()
        assert store.is_complete(file_id)  # type: ignore[arg-type]
        writer.put_bytes(bytes(wanted))
        assert writer.statistics().stored_bytes == 0
    assert _blocks(builder.git_dir) <= 64 * KIB
    assert path.read_bytes() == wanted
