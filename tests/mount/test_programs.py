"""Programs that people run in a working copy, on a real mount."""

from __future__ import annotations

import mmap
import os
import random
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mlbfs.mount import session
from tests.mount.programs import mlbfs, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.mount.conftest import Mounts

pytestmark = pytest.mark.fuse

MIB = 1 << 20

APPENDER = """
import os, sys
file = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
for number in range(100):
    os.write(file, b"%s %03d\\n" % (sys.argv[2].encode(), number))
"""


def test_copy_and_remove(snapshot_mount: Path, work: Path) -> None:
    """Cp -a into the mount and rm -rf of it."""
    run("cp", "-a", snapshot_mount, work / "copy")
    run("diff", "-r", "--no-dereference", snapshot_mount, work / "copy")
    run("rm", "-rf", work / "copy")
    assert os.listdir(work) == []


def test_tar_in_and_out(snapshot_mount: Path, work: Path, tmp_path: Path) -> None:
    """Tar of the mount, unpacked into the mount, is the same tree."""
    run("tar", "cf", tmp_path / "a.tar", "-C", snapshot_mount, ".")
    run("tar", "xf", tmp_path / "a.tar", "-C", work)
    run("diff", "-r", "--no-dereference", snapshot_mount, work)


def test_two_processes_append(work: Path) -> None:
    """Appends of two processes do not overwrite one another (S8)."""
    path = work / "log"
    path.touch()
    running = [
        subprocess.Popen([sys.executable, "-c", APPENDER, path, name]) for name in ("one", "two")
    ]
    assert [process.wait(60) for process in running] == [0, 0]
    lines = path.read_bytes().splitlines()
    expected = [b"%s %03d" % (name, n) for name in (b"one", b"two") for n in range(100)]
    assert sorted(lines) == sorted(expected)


@pytest.mark.slow
@pytest.mark.git
def test_git_repository_inside(work: Path) -> None:
    """Another repository lives in the mount: init, add, commit, gc, fsck."""
    git = ("git", "-C", work, "-c", "user.name=A", "-c", "user.email=a@example.org")
    run("git", "init", "-q", work)
    (work / "file").write_bytes(b"content\n")
    run(*git, "add", "file")
    run(*git, "commit", "-qm", "first")
    run(*git, "gc", "-q")
    run(*git, "fsck", "--strict")
    assert run(*git, "status", "--porcelain") == b""


@pytest.mark.slow
@pytest.mark.git
def test_git_clone_into_and_inside(work: Path, tmp_path: Path) -> None:
    """A repository is cloned into the mount, and from there to another place of it."""
    source = tmp_path / "source"
    git = ("git", "-C", source, "-c", "user.name=A", "-c", "user.email=a@example.org")
    run("git", "init", "-q", source)
    for number in range(50):
        (source / f"file{number}").write_bytes(b"%d\n" % number * 100)
    run(*git, "add", ".")
    run(*git, "commit", "-qm", "first")
    run("git", "clone", "-q", source, work / "one")
    run("git", "clone", "-q", work / "one", work / "two")
    run("git", "-C", work / "two", "fsck", "--strict")
    assert run("git", "-C", work / "two", "status", "--porcelain") == b""
    run("diff", "-r", "-x", ".git", source, work / "two")


@pytest.mark.slow
def test_build(work: Path) -> None:
    """Make builds once, sees that nothing is to be done, and builds again what changed."""
    (work / "main.c").write_text('#include "a.h"\nint main(void) { return VALUE; }\n')
    (work / "a.h").write_text("#define VALUE 3\n")
    (work / "Makefile").write_text(
        "program: main.o\n\tcc -o $@ $<\nmain.o: main.c a.h\n\tcc -c -o $@ $<\n"
    )
    assert b"main.o" in run("make", "-C", work)
    assert subprocess.run([work / "program"], check=False).returncode == 3
    assert b"is up to date" in run("make", "-C", work, env=os.environ | {"LC_ALL": "C"})
    (work / "a.h").write_text("#define VALUE 4\n")
    assert b"main.o" in run("make", "-C", work)
    assert subprocess.run([work / "program"], check=False).returncode == 4


def test_edit_in_place(branch_mount: Path, work: Path) -> None:
    """Sed -i and a save by rename replace a committed file; find sees the tree."""
    run("cp", "-a", branch_mount / "run.sh", work / "run.sh")
    run("sed", "-i", "s/ran/walked/", work / "run.sh")
    assert run(work / "run.sh") == b"walked\n"
    saved = work / ".run.sh.swp"
    saved.write_text("#!/bin/sh\necho saved\n")
    saved.chmod(0o755)
    os.replace(saved, work / "run.sh")
    assert run(work / "run.sh") == b"saved\n"
    (work / "d/e").mkdir(parents=True)
    (work / "d/e/link").symlink_to("nowhere")
    found = run("find", work, "-printf", "%y %P\\n").splitlines()
    assert sorted(found) == [b"d ", b"d d", b"d d/e", b"f run.sh", b"l d/e/link"]
    run("find", work, "-mindepth", "1", "-delete")
    assert os.listdir(work) == []


@pytest.mark.slow
def test_arrays(work: Path) -> None:
    """NumPy memory maps and joblib dumps, as training writes them."""
    import joblib
    import numpy

    shape = (300, 1000)
    array = numpy.memmap(work / "array", dtype="f4", mode="w+", shape=shape)
    array[:] = numpy.arange(300_000, dtype="f4").reshape(shape)
    array.flush()
    again = numpy.memmap(work / "array", dtype="f4", mode="r+", shape=shape)
    again[7, 7] = -1
    again.flush()
    assert array[7, 7] == -1
    assert numpy.fromfile(work / "array", dtype="f4")[7007] == -1
    joblib.dump({"weights": array}, work / "model.new")
    os.replace(work / "model.new", work / "model")
    loaded = joblib.load(work / "model", mmap_mode="r")
    assert (loaded["weights"] == array).all()


def test_shared_map_and_reads_agree(branch_mount: Path, work: Path) -> None:
    """What one process stores through a map, and another writes, both see at once (S9, S15)."""
    path = work / "map"
    path.write_bytes(bytes(100_000))
    chance = random.Random(5)
    model = bytearray(100_000)
    with open(path, "r+b", buffering=0) as file, mmap.mmap(file.fileno(), 0) as shared:
        for _ in range(50):
            at, data = chance.randrange(90_000), chance.randbytes(chance.randrange(1, 9000))
            if chance.random() < 0.5:
                shared[at : at + len(data)] = data
            else:
                os.pwrite(file.fileno(), data, at)
            model[at : at + len(data)] = data
            assert os.pread(file.fileno(), 9000, at) == model[at : at + 9000]
            assert shared[:] == model
    assert path.read_bytes() == model


@pytest.mark.slow
def test_sparse_file_beyond_32_bits(mounts: Mounts) -> None:
    """A file of more than 4 GiB that is a hole but for its ends is kept whole by a commit (S4)."""
    place = mounts.mount("main")
    size = (1 << 32) + MIB
    with open(place / "sparse", "wb", buffering=0) as file:
        file.write(b"\xffbegin")
        file.seek(size - 4)
        file.write(b"end.")
    assert (place / "sparse").stat().st_size == size
    assert (place / "sparse").stat().st_blocks < 1000
    mlbfs(place, "commit", "-m", "sparse")
    session.unmount(place)
    place = mounts.mount("main")
    with open(place / "sparse", "r+b", buffering=0) as file:
        assert file.read(10) == b"\xffbegin\0\0\0\0"
        file.seek(-8, os.SEEK_END)
        assert file.read() == b"\0\0\0\0end."
        file.seek(1 << 32)
        file.write(b"across")
        file.seek((1 << 32) - 2)
        assert file.read(10) == b"\0\0across\0\0"
    assert (place / "sparse").stat().st_size == size
