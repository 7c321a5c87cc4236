"""`import mlbfs` as the README shows it: open, read, mount, commit."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

import mlbfs
from mlbfs.errors import ErrorKind, NotFoundError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def test_read_a_snapshot(repository: Path) -> None:
    """List, stat, open, and read ranges of any ref."""
    with mlbfs.open(repository) as found:
        snapshot = found.snapshot("v1")
        assert [entry.name for entry in snapshot.list()] == [
            b"images",
            b"labels.csv",
            b"link",
            b"nm\xff",
            b"run.sh",
        ]
        reader = snapshot.open(b"images/a.bin")
        assert (reader.size, reader.read(250, 8)) == (76800, b"\xfa\xfb\xfc\xfd\xfe\xff\0\x01")
        assert snapshot.read(b"labels.csv") == b"file,label\na,1\n"


@pytest.mark.fuse
def test_mount_and_commit(repository: Path) -> None:
    """A mount for the length of a block, a commit from inside of it, and out of it again."""
    with (repository / ".git" / "config").open("a") as file:
        file.write("[user]\n\tname = Ada\n\temail = ada@example.com\n")
    with mlbfs.mounted(repository, "data/raw") as folder:
        (folder / "notes.txt").write_text("notes\n")
        commit = mlbfs.commit(folder / "images", "Take notes", tag="v2")
        with mlbfs.open(folder) as found:
            assert found.resolve("v2").commit.hex() == commit
            assert found.snapshot("v2").read(b"notes.txt") == b"notes\n"
            with pytest.raises(mlbfs.MlbfsError, match="nothing to commit"):
                mlbfs.commit(folder, "Again")
    assert not folder.exists()
    with pytest.raises(NotFoundError) as raised:
        mlbfs.commit(repository, "Nowhere")
    assert raised.value.kind is ErrorKind.MOUNT_NOT_FOUND


def test_snapshot_takes_text_and_bytes(repository: Path) -> None:
    """A path may be either; `stat` says what a mount would."""
    with mlbfs.open(repository) as found:
        snapshot = found.snapshot("v1")
        names = [entry.name for entry in snapshot.list("images")]
        assert names == [entry.name for entry in snapshot.list(b"images")] == [b"a.bin"]
        assert snapshot.read("labels.csv") == snapshot.read(b"labels.csv")
        assert [path for path, _ in snapshot.walk("images")] == [b"images/a.bin"]
        assert snapshot.readlink("link") == b"images/a.bin"
        status = snapshot.stat("run.sh")
        assert (stat.S_IMODE(status.st_mode), status.st_size) == (0o755, 10)
        assert status.st_mtime_ns == snapshot.time_ns
        assert stat.S_ISDIR(snapshot.stat().st_mode)
        assert stat.S_ISLNK(snapshot.stat(b"link").st_mode)


def test_reads_that_make_no_sense(repository: Path) -> None:
    """A span before the start, a negative length and a closed repository are errors of ours."""
    with mlbfs.open(repository) as found:
        snapshot = found.snapshot("v1")
        readers = [snapshot.open(name) for name in ("labels.csv", "images/a.bin")]
        for reader in readers:
            assert reader.read(0, 0) == b""
            for offset, length in ((-1, 3), (0, -1)):
                with pytest.raises(mlbfs.MlbfsError, match="cannot read"):
                    reader.read(offset, length)
    with pytest.raises(mlbfs.MlbfsError, match="was closed"):
        readers[1].read(0, 10)
    with pytest.raises(mlbfs.MlbfsError, match="was closed"):
        snapshot.read("images/a.bin")


@pytest.mark.fuse
def test_mount_of_a_tag_is_read_only(repository: Path, tmp_path: Path) -> None:
    """At a folder of one's own, which stays."""
    point = tmp_path / "here"
    point.mkdir()
    with mlbfs.open(repository) as found, mlbfs.mounted(found, "v1", point) as folder:
        assert folder == point
        assert (folder / "labels.csv").read_text() == "file,label\na,1\n"
        with pytest.raises(OSError, match="Read-only"):
            (folder / "x").write_text("x")
    assert list(point.iterdir()) == []
