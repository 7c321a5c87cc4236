"""A device that refuses the n-th call, for all n, through a life of a workspace.

Every call counts that Python code makes below the Git directory, and those of SQLite: writes,
syncs, new files, renames, cuts and removals, of data files, journal, database, packs, Git objects
and refs. The device refuses once, or from there on. After it the workspace is closed as far as that
goes, the device is mended, and the workspace is opened again: the step that was refused has
happened or it has not, what was answered before it is there, and the rest of the life goes as it
always does.

`MLBFS_FAULT_STEP=1` takes every position, which is some minutes; without it some are taken.
"""

from __future__ import annotations

import errno
import os
import shutil
import traceback
from contextlib import suppress
from typing import NamedTuple

import pytest
from device import Refusal, watched

from mlbfs.errors import MlbfsError, StorageError
from mlbfs.workspace.commit import NothingToCommitError
from mlbfs.workspace.kept import list_workspaces
from mlbfs.workspace.testing import SIGNATURE, Bench, Paths
from mlbfs.workspace.vfs_errors import Io, NoSpace, VfsError
from mlbfs.workspace.workspace import Workspace

STEP = int(os.environ.get("MLBFS_FAULT_STEP", "23"))
"""Every so many positions; a prime, so that no kind of call is passed over by all of them."""

BIG = bytes(range(1, 256)) * 9000
"""2.2 MiB without a zero, so that a hole shows."""


class State(NamedTuple):
    """What is there: in the workspace by path, in the commit of the branch, and in each tag's."""

    seen: dict
    head: dict
    tags: dict


class Life:
    """One workspace, from its first opening on."""

    def __init__(self, root):
        self.bench = Bench(root)
        self.workspace = None

    def open(self):
        kept = list_workspaces(self.bench.store.root)
        branch = kept[0].branch if kept else "main"
        source = self.bench.source
        self.workspace = Workspace.open_for(source, branch, self.bench.head(branch))
        self.paths = Paths(self.workspace)

    def close(self):
        if self.workspace is not None:
            workspace, self.workspace = self.workspace, None
            workspace.close()

    def abandon(self):
        """Lets go of a workspace that a failed test has left open."""
        with suppress(Exception):
            self.close()

    def state(self):
        commit = self.bench.head(self.workspace.branch)
        tagged = {
            tag.short: (
                0,
                repr(sorted(self.bench.committed(self.bench.git.read_commit(tag.commit)))),
            )
            for tag in self.bench.git.tags()
        }
        return State(self.paths.dump(), self.bench.committed(commit), tagged)

    # The steps

    def create(self):
        self.paths.create(b"new")

    def fill(self):
        self.paths.write(b"new", 0, b"a new file\n")

    def write_small(self):
        self.paths.write(b"small", 2, b"CHANGED")

    def write_big(self):
        self.paths.write(b"big", 1_000_000, b"x" * 5000)

    def cut_big(self):
        self.paths.truncate(b"big", 1_500_000)

    def grow_big(self):
        self.paths.truncate(b"big", 1_600_000)

    def make_folder(self):
        self.paths.mkdir(b"made")

    def move(self):
        self.paths.rename(b"d/one", b"made/one")

    def move_folder(self):
        self.paths.rename(b"d", b"e")

    def remove(self):
        self.paths.unlink(b"e/two")

    def link(self):
        self.paths.link(b"new", b"made/linked")

    def attribute(self):
        self.workspace.setxattr(self.paths.inode(b"small"), b"user.note", b"noted")

    def sync(self):
        self.workspace.fsync(self.paths.inode(b"big"))

    def savepoint(self):
        self.workspace.savepoint()

    def commit_one(self):
        self._commit(b"small")

    def commit(self):
        self._commit()

    def commit_and_tag(self):
        self._commit(tag="v1")

    def _commit(self, path=b"", tag=None):
        with suppress(NothingToCommitError):
            self.workspace.commit("a commit", author=SIGNATURE, paths=[path], tag=tag)

    def write_again(self):
        self.paths.write(b"small", 0, b"A")

    def cut_again(self):
        self.paths.truncate(b"big", 700_000)

    def restore(self):
        self.workspace.restore([b"small"])

    def switch(self):
        self.workspace.switch("other")

    def reopen(self):
        self.close()
        self.open()


STEPS = [
    *("create", "fill", "write_small", "write_big", "cut_big", "grow_big", "make_folder", "move"),
    *("move_folder", "remove", "link", "attribute", "sync", "savepoint", "commit_one", "commit"),
    *("write_again", "cut_again", "restore", "reopen", "commit", "switch", "write_again"),
    *("commit_and_tag", "reopen"),
]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A repository with two branches, of which each life gets a copy."""
    root = tmp_path_factory.mktemp("every") / "repository"
    bench = Bench(root)
    files = {b"small": b"a small file\n", b"big": BIG, b"d/one": b"1\n", b"d/two": b"2\n"}
    bench.commit(files)
    other = {**files, b"new": b"of the other branch\n", b"big": BIG[:700_000]}
    bench.commit(other, branch="other")
    bench.close()
    return root


@pytest.fixture(scope="module")
def course(template, tmp_path_factory):
    """What is there after each step when nothing is refused, and how many calls that takes."""
    root = tmp_path_factory.mktemp("course") / "repository"
    shutil.copytree(template, root)
    life, counted = Life(root), []
    with watched(counted.append, root):
        life.open()
        states, calls = [life.state()], []
        for name in STEPS:
            counted.clear()
            getattr(life, name)()
            calls += counted
            states.append(life.state())
        life.close()
    life.bench.close()
    return states, calls


KINDS = {
    "broken once": (errno.EIO, False),
    "broken from then on": (errno.EIO, True),
    "full once": (errno.ENOSPC, False),
    "full from then on": (errno.ENOSPC, True),
}


# What a device refuses while a database is closed by force has no caller left to raise to.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_every_refusal_leaves_the_old_or_the_new(template, course, tmp_path, kind):
    """Whatever call is refused, nothing is lost, nothing is made up, and work goes on."""
    code, lasting = KINDS[kind]
    states, _ = course
    failed, struck = [], []
    position = list(KINDS).index(kind) % STEP
    while True:
        root = tmp_path / "repository"
        shutil.copytree(template, root)
        refusal = Refusal(code, lasting=lasting)
        life = Life(root)
        try:
            with watched(refusal, root):
                refused = _live(life, refusal, position, states)
        except AssertionError as err:
            failed.append(f"position {position}, {refusal.struck[:1]}: {err}")
            refused = True
            life.abandon()
        life.bench.close()
        shutil.rmtree(root)
        if not refused:
            break
        struck.append(refused)
        position += STEP
    assert not failed, "\n".join(failed)
    assert len(struck) > 200 // STEP, "there are calls to refuse"


def _live(life, refusal, position, states):
    """Lives through all steps; returns what was refused, or nothing when no call was."""
    at = 0
    life.open()
    refusal.arm(position)
    for at, name in enumerate(STEPS):
        where = f"step {at} {name}"
        try:
            getattr(life, name)()
        except (VfsError, MlbfsError) as err:
            _check_answer(err, refusal, where)
            break
        except Exception as err:
            raise AssertionError(f"{where}: {err!r} is no answer ({_origin(err)})") from err
        if refusal.struck:
            at += 1
            break
    else:
        at = len(STEPS)
    struck = list(refusal.struck)
    # It goes down on the device as it is, and comes up on one that was mended.
    try:
        life.close()
    except (VfsError, MlbfsError):
        life.workspace = None
    except Exception as err:
        raise AssertionError(f"{where}: closing ended in {err!r} ({_origin(err)})") from err
    refusal.disarm()
    if not struck and not refusal.struck:
        return []
    life.open()
    at = _place(life.state(), states, at, where)
    for number in range(at, len(STEPS)):
        getattr(life, STEPS[number])()
        differs = _differences(life.state(), states[number + 1])
        assert not differs, f"{where}, then {STEPS[number]}: {differs}"
    life.close()
    return struck or list(refusal.struck)


def _check_answer(err, refusal, where):
    assert refusal.struck, f"{where}: {err!r} though nothing was refused"
    assert isinstance(err, (Io, NoSpace, StorageError)), f"{where}: {err!r}"


def _origin(err):
    """Returns the places in mlbfs that an error came through."""
    frames = traceback.extract_tb(err.__traceback__)
    ours = [frame for frame in frames if "/mlbfs/" in frame.filename]
    return " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in ours[::-1])


def _place(state, states, at, where):
    """Returns how many steps have happened: those before the refused one, and perhaps that."""
    differs = [_differences(state, known) for known in states[at : at + 2]]
    for done, found in enumerate(differs):
        if not found:
            return at + done
    raise AssertionError(f"{where}: not as before: {differs[0]}; nor as after: {differs[-1]}")


def _differences(state, known):
    """Returns in words what is not as it is known to be."""
    found = []
    for what, now, then in zip(State._fields, state, known, strict=True):
        for path in sorted(now.keys() | then.keys()):
            one, other = now.get(path), then.get(path)
            if one != other:
                found.append(f"{what} {path!r}: {_short(one)} instead of {_short(other)}")
    return found


def _short(found):
    """Returns kind or mode of what was found, and the length of its bytes."""
    return None if found is None else (found[0], len(found[1]), hash(found[1]) % 1000)
