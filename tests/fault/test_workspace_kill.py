"""A workspace whose process is killed at any moment has everything that had returned.

The operation that was under way has happened or it has not; nothing in between. The number of
rounds is `MLBFS_KILL_ROUNDS`; `tests/fault/rounds.py` is the long run and can repeat one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from mlbfs.errors import StorageError
from mlbfs.workspace.commit import Committer
from mlbfs.workspace.testing import SIGNATURE, Bench, Paths
from mlbfs.workspace.vfs_errors import NoSpace

ROUNDS = os.environ.get("MLBFS_KILL_ROUNDS", "25")
SCRIPT = Path(__file__).with_name("rounds.py")


@pytest.mark.slow
@pytest.mark.git
@pytest.mark.timeout(0)
def test_everything_that_returned_is_there_after_a_kill():
    """Over many rounds of random operations, each ended by SIGKILL at a call or at a time.

    The promise of a mount (S20, S22).
    """
    done = subprocess.run(
        [sys.executable, SCRIPT, "--rounds", ROUNDS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{ROUNDS} rounds from seed 1: nothing lost\n"


def test_a_write_that_ran_out_of_room_in_the_database_changes_nothing(tmp_path):
    """SQLite says that it is full: the operation fails as a whole and the next ones work."""
    bench = Bench(tmp_path / "repository")
    bench.commit({b"a": b"text\n"})
    with bench.open() as workspace:
        paths = Paths(workspace)
        paths.mkdir(b"before")
        overlay = workspace._core.overlay
        pages = overlay._one("PRAGMA page_count")
        overlay._one(f"PRAGMA max_page_count={pages}")
        made = fill(paths)
        overlay._one("PRAGMA max_page_count=100000")
        assert paths.names() == sorted([b"a", b"before", *made])
        paths.create(b"after", b"works")
        names = paths.names()
    with bench.open() as workspace:
        assert Paths(workspace).names() == names
    bench.close()


def fill(paths):
    """Makes directories until there is no room; returns those that were made."""
    made = []
    for number in range(10_000):
        name = b"n" * 200 + b"%04d" % number
        try:
            paths.mkdir(name)
        except NoSpace:
            return made
        made.append(name)
    raise AssertionError("it never ran out of room")


@pytest.mark.parametrize("step", ["begin", "end"])
def test_a_commit_that_the_database_refuses_loses_nothing(tmp_path, monkeypatch, step):
    """At its begin the branch stays; after the branch moved, the next open finds the commit."""
    bench = Bench(tmp_path / "repository")
    head = bench.commit({b"a": b"text\n"})
    with bench.open() as workspace:
        paths = Paths(workspace)
        paths.create(b"new", b"new\n")
        refuse = partial(workspace._core.overlay._run, "PRAGMA query_only=1")
        mark = Committer._mark_committed
        if step == "begin":
            refuse()
        else:
            monkeypatch.setattr(Committer, "_mark_committed", lambda *args: (refuse(), mark(*args)))
        with pytest.raises(StorageError):
            workspace.commit("refused", author=SIGNATURE)
        assert (bench.head() == head) == (step == "begin")
        workspace._core.overlay._run("PRAGMA query_only=0")
        assert paths.read(b"new") == b"new\n"
        paths.write(b"new", 0, b"NEW")
        if step == "begin":
            assert workspace.commit("taken", author=SIGNATURE).added == 1
    with bench.open() as workspace:
        assert Paths(workspace).read(b"new") == b"NEW\n"
        assert workspace.base == bench.head()
        assert workspace.status().is_clean == (step == "begin")
    bench.close()


def test_a_damaged_database_is_named_and_locks_nothing(tmp_path):
    """Opening fails with the file's name, and works again once it is restored."""
    bench = Bench(tmp_path / "repository")
    bench.commit({b"a": b"text\n"})
    with bench.open() as workspace:
        Paths(workspace).create(b"x", b"x")
    path = bench.folder() / "overlay.sqlite"
    whole = path.read_bytes()
    path.write_bytes(b"no database at all, whatever it says" * 200)
    with pytest.raises(StorageError, match=r"overlay\.sqlite|main"):
        bench.open()
    path.write_bytes(whole)
    with bench.open() as workspace:
        assert Paths(workspace).read(b"x") == b"x"
    bench.close()


def test_what_a_power_cut_can_leave_is_repaired_and_told(tmp_path):
    """Rows without bytes, bytes without rows, bytes cut short."""
    bench = Bench(tmp_path / "repository")
    big = bytes(range(256)) * 8192
    bench.commit({b"a": b"text\n", b"big": big, b"cut": big})
    with bench.open() as workspace:
        paths = Paths(workspace)
        lost = [paths.create(b"new", b"new\n"), paths.inode(b"big")]
        paths.write(b"big", 5, b"five")
        paths.write(b"cut", 5, b"five")
        cut = paths.inode(b"cut")
        shorter = workspace.root / "data" / f"{cut:x}.1"
    for ino in lost:
        (bench.folder() / "data" / f"{ino:x}.1").unlink()
    (bench.folder() / "data" / "abc.1").write_bytes(b"nobody's")
    os.truncate(shorter, 1000)
    with bench.open() as workspace:
        paths = Paths(workspace)
        report = workspace.recovery
        assert sorted(report.lost) == sorted(lost)
        assert (report.dropped_data, report.shortened) == (1, [cut])
        assert paths.read(b"new") == b""
        assert paths.read(b"big") == big
        assert paths.read(b"cut") == big[:5] + b"five" + big[9:1000]
        paths.truncate(b"cut", 2000)
        assert paths.read(b"cut")[1000:] == bytes(1000)
    bench.close()
