"""What fsync and commit make durable, by the calls that they make."""

from __future__ import annotations

import pytest
from device import watched

from mlbfs.workspace.testing import SIGNATURE, Bench, Paths


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path / "repository")
    bench.commit({b"a": b"text\n"})
    yield bench
    bench.close()


def calls_of(bench, operation):
    """Returns name and file of each call that an operation makes on the workspace."""
    seen = []
    note = watched(lambda call: seen.append((call.name, call.path)), bench.folder())
    with note, bench.open() as workspace:
        paths = Paths(workspace)
        paths.create(b"new", b"new\n")
        workspace.fsync(paths.inode(b"a"))
        paths.mkdir(b"later")
        seen.clear()
        operation(workspace, paths)
        return list(seen)


def test_fsync_syncs_the_database_each_time(bench):
    """Also of a folder, and when nothing but names has changed (S21)."""
    seen = calls_of(bench, lambda workspace, paths: workspace.fsync(paths.inode(b"")))
    assert seen[-1] == ("xSync", f"{bench.folder()}/overlay.sqlite-wal")


def test_nothing_is_synced_twice(bench):
    """A second fsync of a file that nobody has changed since leaves the database alone."""

    def twice(workspace, paths):
        workspace.fsync(paths.inode(b"new"))
        workspace.fsync(paths.inode(b"new"))

    assert [name for name, _ in calls_of(bench, twice)].count("xSync") == 1


def test_each_step_of_a_commit_is_durable_before_the_next(bench):
    """Packs, Git objects and the note in the overlay (C1); then the branch moves."""
    root = bench.git.common_dir
    seen = []

    def listen(call):
        seen.append((call.name, call.path.removeprefix(f"{root}/"), call.args))

    with bench.open() as workspace:
        Paths(workspace).create(b"new", bytes(range(256)) * 1000)
        Paths(workspace).create(b"text", b"some text\n")
    with watched(listen, root), bench.open() as workspace:
        seen.clear()
        workspace.commit("a commit", author=SIGNATURE)
        order = [_step(*call) for call in seen]
    steps = [step for step in order if step]
    assert list(dict.fromkeys(steps)) == STEPS
    for step in STEPS[1:]:
        before = STEPS[STEPS.index(step) - 1]
        assert max(_all(steps, before)) < min(_all(steps, step)), (before, step)


STEPS = [
    "pack synced",
    "pack named",
    "packs synced",
    "object named",
    "objects synced",
    "note synced",
    "moved",
]
"""Bytes of Git objects are synced under other names before; who looks for objects sees names."""


def _all(steps, wanted):
    return [at for at, step in enumerate(steps) if step == wanted]


def _step(name, path, args):
    """Returns which step of a commit a call is, or None."""
    if "packs" in path:
        if name in ("fsync", "fdatasync"):
            return "packs synced" if path == "mlbfs/packs" else "pack synced"
        return "pack named" if name in ("rename", "replace", "link") else None
    if path.startswith("objects/") and "tmp_obj" not in path and name == "fsync":
        return "objects synced"
    if path.startswith("objects/") and name in ("rename", "link"):
        return "object named"
    if path.endswith("overlay.sqlite-wal") and name == "xSync":
        return "note synced"
    if path.startswith("refs/heads/main") and name in ("rename", "replace"):
        return "moved"
    return None
