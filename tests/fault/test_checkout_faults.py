"""A move of an open workspace that is killed, or refused by the device, at each of its calls."""

from __future__ import annotations

import errno
import shutil

import pytest
from device import Refusal, watched

from mlbfs.errors import StorageError
from mlbfs.workspace.kept import inspect_workspace
from mlbfs.workspace.testing import SIGNATURE, Bench, Paths

pytestmark = pytest.mark.slow

BASE = {
    **{b"many/%03d" % number: b"%d\n" % number for number in range(40)},
    b"a": b"text of a\n",
    b"d/one": b"1\n",
    b"d/two": b"2\n",
    b"gone/file": b"goes\n",
}
OTHER = {
    **{b"many/%03d" % number: b"%d\n" % (number // 2) for number in range(0, 40, 3)},
    b"a": b"theirs\n",
    b"d": b"a file now\n",
    b"big": bytes(range(256)) * 30,
}


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path / "repository")
    yield bench
    bench.close()


def prepare(bench, name):
    """Opens a workspace with rows that a commit has, rows that it has not, and things looked at."""
    base = bench.commit(BASE)
    workspace = bench.open(folder=name)
    paths = Paths(workspace)
    paths.dump()
    paths.write(b"many/000", 0, b"committed here")
    paths.create(b"gone/made", b"made\n")
    workspace.commit("made here", author=SIGNATURE)
    paths.create(b"mine", b"mine\n")
    paths.create(b"many/mine", b"mine too\n")
    workspace.lookup(workspace.lookup(1, b"d").ino, b"one")
    return base, workspace, paths


class Copier:
    """A listener that copies the folder of a workspace before the call at one position."""

    def __init__(self, folder, position):
        self.folder = folder
        self.copy = folder.with_name(folder.name + "-copy")
        self.left = position
        self.count = None

    def __call__(self, call):
        if self.count is not None:
            if self.count == self.left:
                shutil.copytree(self.folder, self.copy)
            self.count += 1


def killed(bench, name, position):
    """Moves a workspace; returns its copy from the middle, the commits, and what both show."""
    copier = Copier(bench.folder(name), position)
    with watched(copier, bench.folder(name)):
        _, workspace, paths = prepare(bench, name)
        base, before = workspace.base, paths.dump()
        other = bench.commit(OTHER)
        copier.count = 0
        workspace.move(other)
        count, copier.count = copier.count, None
        after = paths.dump()
        workspace.close()
    return copier.copy.name, (base, other), (before, after), count


def point(bench, old, new):
    """Points the branch to another commit."""
    bench.git.refs.compare_and_swap(
        "refs/heads/main", old.id, new.id, identity=SIGNATURE, message="test"
    )


def test_a_kill_at_each_call(bench):
    """Killed at any moment of a move, a workspace is as it was before or as it is after."""
    position = 0
    while True:
        copy, (base, other), (before, after), count = killed(bench, f"k{position}", position)
        if position == count:
            break
        # The commit that it stands on then is where opening leaves it, with its changes.
        stored = inspect_workspace(bench.folder(copy)).base
        assert stored in (base.id, other.id)
        if stored == base.id:
            point(bench, other, base)
        with bench.open(folder=copy) as again:
            assert not again.behind
            assert Paths(again).dump() == (before if stored == base.id else after)
        position += 1
    assert position > 5


def count_calls(bench):
    """Returns how many calls a move makes."""
    return killed(bench, "count", -1)[3]


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_refusal_at_each_call(bench, code):
    """A move that the device refuses happens or does not, says so, and can be done again."""
    for position in range(count_calls(bench)):
        name = f"refused{position}"
        refusal = Refusal(code)
        # SQLite is opened through the listener too, which lets everything pass at first.
        with watched(refusal, bench.folder(name)):
            _, workspace, paths = prepare(bench, name)
            before, other = paths.dump(), bench.commit(OTHER)
            refusal.arm(position)
            try:
                workspace.move(other)
            except StorageError:
                assert refusal.struck
            refusal.disarm()
            moved = workspace.base == other
            seen = paths.dump()
            assert moved or seen == before
            workspace.move(other)
            after = paths.dump()
            assert after[b"a"][1] == b"theirs\n"
            assert after[b"mine"] == before[b"mine"]
            assert not moved or seen == after
            workspace.close()
        with bench.open(folder=name) as again:
            assert Paths(again).dump() == after
