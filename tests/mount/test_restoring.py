"""Savepoints and restored paths on a real mount: what programs see, and what they keep open."""

from __future__ import annotations

import mmap
import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from mlbfs.mount import session
from mlbfs.mount.live import request
from mlbfs.workspace.savepoints import list_savepoints

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.fuse, pytest.mark.slow]


def restore(mounts, *paths: str, **options: object) -> dict:
    answer, _ = request(mounts.records[-1], "restore", {"paths": list(paths), **options})
    return answer


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it has not happened for a minute"
        time.sleep(0.05)


def configure(builder, **values: int) -> None:
    for key, value in values.items():
        command = ["git", "-C", builder.root, "config", f"mlbfs.{key}", str(value)]
        subprocess.run(command, check=True)


def test_the_kernel_forgets_what_went_back(mounts) -> None:
    """Names that it knew, names that it knew not to be, attributes, listings and pages."""
    place = mounts.mount("main")
    (place / "hello.txt").write_text("changed\n")
    (place / "new").write_text("new\n")
    (place / "folder" / "below" / "deep.txt").unlink()
    (place / "folder" / "data").rename(place / "folder" / "moved")
    assert (place / "hello.txt").read_text() == "changed\n"
    assert not (place / "folder" / "data").exists()
    assert sorted(os.listdir(place / "folder")) == ["below", "moved"]
    done = restore(mounts, "")
    assert done["savepoint"] == 1
    assert (place / "hello.txt").read_text() == "hello\n"
    assert (place / "hello.txt").stat().st_size == 6
    assert not (place / "new").exists()
    assert (place / "folder" / "below" / "deep.txt").read_text() == "deep\n"
    assert sorted(os.listdir(place / "folder")) == ["below", "data"]
    assert request(mounts.records[-1], "status", {})[0]["changes"] == 0


def test_open_files_and_maps_keep_what_they_have(mounts) -> None:
    """A program reads and writes on; what it writes is not in the file that went back."""
    place = mounts.mount("main")
    with (place / "binary").open("r+b") as file:
        file.write(b"mine")
        file.flush()
        with mmap.mmap(file.fileno(), 0) as mapped:
            restore(mounts, "binary")
            assert mapped[:4] == b"mine"
            mapped[4:8] = b"more"
            mapped.flush()
            file.seek(0)
            assert file.read(8) == b"minemore"
            assert (place / "binary").read_bytes()[:8] == bytes(range(8))
            assert os.fstat(file.fileno()).st_nlink == 0


def test_a_working_folder_that_goes_is_dead(mounts) -> None:
    """As after rmdir: nothing can be made in it."""
    place = mounts.mount("main")
    (place / "new" / "deep").mkdir(parents=True)
    (place / "new" / "file").write_text("x")
    (place / "new" / "deep" / "file").write_text("x")
    inside = os.open(place / "new" / "deep", os.O_RDONLY | os.O_DIRECTORY)
    try:
        restore(mounts, "new")
        assert not (place / "new").exists()
        with pytest.raises(FileNotFoundError):
            os.open("x", os.O_CREAT | os.O_WRONLY, dir_fd=inside)
    finally:
        os.close(inside)


def test_a_pause_makes_a_savepoint_and_one_is_enough(mounts, builder) -> None:
    """After the quiet period, without anybody asking; and none when nothing changed since."""
    configure(builder, savepointQuiet=1)
    place = mounts.mount("main")
    (place / "hello.txt").write_text("changed\n")
    wait_until(lambda: list_savepoints(builder.git, "main"))
    (place / "hello.txt").write_text("changed again\n")
    wait_until(lambda: len(list_savepoints(builder.git, "main")) == 2)
    wait_until(lambda: "savepoint 2" in mounts.log())  # the ref is there before the line
    assert builder.git.refs.read("refs/heads/main") == builder.git.refs.read("refs/tags/v1")
    session.unmount(place)
    assert len(list_savepoints(builder.git, "main")) == 2


def test_umount_makes_a_savepoint_unless_they_are_off(mounts, builder) -> None:
    """And brings everything back from it."""
    configure(builder, savepointQuiet=0)
    place = mounts.mount("main")
    (place / "hello.txt").write_text("changed\n")
    assert session.unmount(place).unsaved == 1
    assert list_savepoints(builder.git, "main") == []
    configure(builder, savepointQuiet=3600)
    place = mounts.mount("main", "again")
    assert session.unmount(place).unsaved == 1
    (made,) = list_savepoints(builder.git, "main")
    place = mounts.mount("main", "back")
    restore(mounts, "")
    assert (place / "hello.txt").read_text() == "hello\n"
    restore(mounts, "", commit=made.commit.id.hex())
    assert (place / "hello.txt").read_text() == "changed\n"


def test_a_killed_daemon_has_its_savepoints(mounts, builder) -> None:
    """And the work itself, which is committed with the bytes that it has."""
    configure(builder, savepointQuiet=1)
    place = mounts.mount("main")
    (place / "hello.txt").write_text("changed\n")
    wait_until(lambda: list_savepoints(builder.git, "main"))
    mounts.kill(place)
    again = mounts.mount("main", "again")
    assert (again / "hello.txt").read_text() == "changed\n"
    (again / "hello.txt").write_text("and again\n")
    session.unmount(again)
    assert len(list_savepoints(builder.git, "main")) == 2
