"""A workspace whose process is killed at any moment has everything that had returned.

The operation that was under way has happened or it has not; nothing in between. The number of
rounds is `MLBFS_KILL_ROUNDS`; each begins with what the round before left.
"""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlbfs.workspace import content
from mlbfs.workspace.testing import Bench, Paths
from mlbfs.workspace.vfs_errors import NoSpace

ROUNDS = int(os.environ.get("MLBFS_KILL_ROUNDS", "12"))
CHILD = Path(__file__).with_name("kill_child.py")

_SPEC = importlib.util.spec_from_file_location("kill_child", CHILD)
kill_child = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(kill_child)


def run_and_kill(repository, seed, after):
    """Runs a child until it has reported `after` operations; returns how many it did."""
    child = subprocess.Popen(
        [sys.executable, str(CHILD), str(repository), str(seed)], stdout=subprocess.PIPE
    )
    with child:
        done = 0
        while done < after:
            report = os.read(child.stdout.fileno(), 4096)
            assert report, "the child goes on until it is killed"
            done += len(report)
        child.send_signal(signal.SIGKILL)
        while report := os.read(child.stdout.fileno(), 4096):
            done += len(report)
    assert child.returncode == -signal.SIGKILL
    return done


@pytest.mark.slow
def test_everything_that_returned_is_there_after_a_kill(tmp_path, monkeypatch):
    """Over many rounds of random operations, each ended by SIGKILL."""
    monkeypatch.setattr(content, "COPY_LIMIT", kill_child.COPY_LIMIT)
    repository = tmp_path / "repository"
    bench = Bench(repository)
    bench.commit({b"a": b"text\n", b"big": bytes(range(256)) * 50, b"d/e/f": b"deep\n"})
    model = {b"a": b"text\n", b"big": bytes(range(256)) * 50, b"d": None, b"d/e": None}
    model[b"d/e/f"] = b"deep\n"
    chance = random.Random(11)
    for round_number in range(ROUNDS):
        seed, after = chance.randrange(1 << 30), chance.randrange(1, 60)
        done = run_and_kill(repository, seed, after)
        operations = kill_child.Operations(seed, model)
        for _ in range(done):
            operations.apply(operations.next())
        before = dict(operations.model)
        operation = operations.next()
        operations.apply(operation)
        with bench.open() as workspace:
            model = kill_child.contents(Paths(workspace))
            told = f"round {round_number}, seed {seed}, after {done}, during {operation[:2]}"
            assert model in (before, operations.model), told
            assert not workspace.behind, told
            held = bench.committed(bench.head())
            files = {path: data for path, data in model.items() if data is not None}
            differ = {
                path
                for path in files.keys() | held.keys()
                if path not in files or path not in held or held[path].data != files[path]
            }
            assert {change.path for change in workspace.status().changes} == differ, told
    bench.close()


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
