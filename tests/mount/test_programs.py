"""Programs that people run in a working copy, on a real mount."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.fuse

APPENDER = """
import os, sys
file = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
for number in range(100):
    os.write(file, b"%s %03d\\n" % (sys.argv[2].encode(), number))
"""


def run(*command: object, **options: object) -> bytes:
    """Runs a program that must succeed."""
    done = subprocess.run([os.fspath(c) for c in command], capture_output=True, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_sqlite(work: Path, journal: str) -> None:
    """A database works in both journal modes, with two connections."""
    path = work / "a.db"
    one = sqlite3.connect(path)
    assert one.execute(f"pragma journal_mode={journal}").fetchone() == (journal,)
    one.execute("create table t(a)")
    one.executemany("insert into t values(?)", [(n,) for n in range(1000)])
    one.commit()
    two = sqlite3.connect(path)
    assert two.execute("select sum(a) from t").fetchone() == (499500,)
    two.execute("delete from t where a >= 10")
    two.commit()
    two.close()
    assert one.execute("select count(*) from t").fetchone() == (10,)
    assert one.execute("pragma integrity_check").fetchone() == ("ok",)
    one.close()


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
    """Appends of two processes do not overwrite one another."""
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
