"""The device below a workspace refuses, one call after the other; nothing is lost or made up."""

from __future__ import annotations

import errno
import os

import pytest

from mlbfs.workspace import content
from mlbfs.workspace.commit import Committer
from mlbfs.workspace.reserve import RESERVE_SIZE
from mlbfs.workspace.testing import SIGNATURE, Bench, Paths
from mlbfs.workspace.vfs_errors import Io, NoSpace, VfsError

BIG = bytes(range(1, 256)) * 9000
"""2.2 MiB without a zero, so that a hole shows."""


class FaultyCalls:
    """Counts the calls of the system that change files, and fails one of them.

    A write that fails writes the first half before it does.
    """

    NAMES = ("pwrite", "ftruncate", "open", "utime", "copy_file_range", "fsync", "fdatasync")

    def __init__(self, monkeypatch, code):
        self.code = code
        self.left = None
        for name in self.NAMES:
            monkeypatch.setattr(os, name, self.wrap(name, getattr(os, name)))

    def wrap(self, name, real):
        def call(*args, **kwargs):
            if self.left is None or self.count():
                return real(*args, **kwargs)
            if name == "pwrite":
                real(args[0], bytes(args[1])[: len(args[1]) // 2], args[2])
                # The half is not told of, as with a page that could not be written back.
            raise OSError(self.code, os.strerror(self.code))

        return call

    def count(self):
        """Returns whether this call goes through."""
        self.left -= 1
        return self.left != -1


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path / "repository")
    bench.commit({b"small": b"a small file\n", b"big": BIG, b"d/one": b"1\n", b"d/two": b"2\n"})
    yield bench
    bench.close()


STEPS = {
    "create": lambda paths: paths.create(b"new"),
    "first write to a small file": lambda paths: paths.write(b"small", 2, b"CHANGED"),
    "first write to a large file": lambda paths: paths.write(b"big", 5, b"x" * 5000),
    "truncate": lambda paths: paths.truncate(b"big", 5000),
    "empty": lambda paths: paths.truncate(b"small", 0),
    "write and sync": lambda paths: write_and_sync(paths),
}


def write_and_sync(paths):
    paths.write(b"big", 9, b"synced")
    paths.workspace.fsync(paths.inode(b"big"))


def allowed(before, after, seen):
    """Every file is as before or as after; bytes of one write may be of either."""
    for path in before.keys() | after.keys() | seen.keys():
        old, new, now = before.get(path), after.get(path), seen.get(path)
        if now in (old, new):
            continue
        assert None not in (old, new, now), path
        assert len(now[1]) in (len(old[1]), len(new[1])), path
        pairs = zip(now[1], old[1], new[1], strict=False)
        assert all(byte in (one, other) for byte, one, other in pairs), path


def attempt(step, paths):
    """Returns the answer of an operation that failed, or None."""
    try:
        step(paths)
    except VfsError as err:
        return err
    return None


@pytest.mark.slow
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("step", STEPS)
def test_every_call_may_fail(bench, monkeypatch, step, code):
    """The operation answers with the error, the files are whole, and trying again works.

    What gives space back tries again by itself.
    """
    faults = FaultyCalls(monkeypatch, code)
    for position in range(50):
        with bench.open(folder=f"{position}") as workspace:
            paths = Paths(workspace)
            before = paths.dump()
            faults.left = position
            answer = attempt(STEPS[step], paths)
            failed = faults.left < 0
            faults.left = None
            seen = paths.dump()
            if answer is not None:
                assert isinstance(answer, NoSpace if code == errno.ENOSPC else Io)
                STEPS[step](paths)
            after = paths.dump()
            allowed(before, after, seen)
        with bench.open(folder=f"{position}") as workspace:
            assert Paths(workspace).dump() == after
        if not failed:
            break
    assert answer is None, "the calls come to an end"
    assert position > 0, "there were calls to fail"


def test_a_write_that_stops_in_the_middle_shows_the_base_behind_it(bench, monkeypatch):
    """Not zeros: only what was written counts as written."""
    pwrite = os.pwrite

    def half(fd, data, offset):
        if offset > 100:
            raise OSError(errno.ENOSPC, "full")
        return pwrite(fd, bytes(data)[:1000], offset)

    with bench.open() as workspace:
        paths = Paths(workspace)
        paths.write(b"big", 0, b"first")
        monkeypatch.setattr(content.os, "pwrite", half)
        with pytest.raises(NoSpace):
            paths.write(b"big", 50, b"y" * 3000)
        monkeypatch.undo()
        assert paths.read(b"big") == b"first" + BIG[5:50] + b"y" * 1000 + BIG[1050:]


def test_a_commit_is_noted_with_the_last_room(bench, monkeypatch):
    """The branch has moved by then, so the workspace has to know."""
    note, reserves = Committer._note, []

    def refuse_once(committer, *args):
        reserves.append(reserve.stat().st_size)
        if len(reserves) == 1:
            raise NoSpace
        return note(committer, *args)

    monkeypatch.setattr(Committer, "_note", refuse_once)
    with bench.open() as workspace:
        reserve = workspace.root / "reserve"
        Paths(workspace).create(b"new", b"new\n")
        assert workspace.commit("noted", author=SIGNATURE).added == 1
        assert workspace.base == bench.head()
        assert workspace.status().is_clean
        assert reserves == [RESERVE_SIZE, 0]
        assert reserve.stat().st_size == RESERVE_SIZE
