"""A merge that is killed, or refused by the device, at each of its calls leaves old or new."""

from __future__ import annotations

import errno
import os
import shutil
import signal

import pytest
from device import Refusal, watched

from mlbfs.errors import MlbfsError
from mlbfs.merge.versions import Side
from mlbfs.workspace.merges import Merges
from mlbfs.workspace.merging import MergeRequest, Outcome
from mlbfs.workspace.testing import SIGNATURE, Bench

pytestmark = pytest.mark.slow

STEP = int(os.environ.get("MLBFS_FAULT_STEP", "3"))
MODEL = bytes(range(256)) * 40
BASE = {b"runs.json": b"[1]\n", b"model": MODEL, b"both": b"both\n", b"d/e": b"e\n"}
OURS = BASE | {b"runs.json": b"[1, 2]\n", b"ours": b"ours\n"}
THEIRS = BASE | {b"runs.json": b"[1, 3]\n", b"model": MODEL[1:], b"d/new": b"new\n"}
MERGED = OURS | THEIRS | {b"runs.json": b"[1, 2, 3]\n"}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    root = tmp_path_factory.mktemp("merge") / "repository"
    bench = Bench(root)
    base = bench.commit(BASE)
    refs = bench.git.refs
    refs.compare_and_swap("refs/heads/dev", None, base.id, identity=SIGNATURE, message="test")
    bench.commit(OURS)
    bench.commit(THEIRS, branch="dev")
    bench.close()
    return root


def merge(bench):
    request = MergeRequest("main", bench.head("dev"), "dev", SIGNATURE, SIGNATURE)
    return Merges(bench.source).begin(request)


def held(bench):
    return {path: shape.data for path, shape in bench.committed(bench.head()).items()}


def check(root, where):
    """The branch is as it was or merged, and merging again merges."""
    bench = Bench(root)
    found = held(bench)
    assert found in (OURS, MERGED), where
    assert Merges(bench.source).state("main") is None, where
    merged = merge(bench)
    assert merged.outcome is (Outcome.MERGED if found == OURS else Outcome.UP_TO_DATE), where
    assert held(bench) == MERGED, where
    bench.close()


def test_a_killed_merge_leaves_the_branch_as_it_was(template, tmp_path):
    """Or merged: the move of the branch is the commit point."""
    position = 1
    while True:
        root = tmp_path / "repository"
        shutil.copytree(template, root)
        pid = os.fork()
        if pid == 0:
            _merge_and_die(root, position)
        _, status = os.waitpid(pid, 0)
        check(root, position)
        shutil.rmtree(root)
        if status == 0:
            break
        assert status == signal.SIGKILL, f"call {position}: ended with {status}"
        position += STEP
    assert position > 10, "there are calls to be killed at"


def _merge_and_die(root, position):
    left = position

    def listen(call):
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        with watched(listen, root):
            merge(Bench(root))
    except BaseException:
        os._exit(1)
    os._exit(0)


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("lasting", [False, True])
def test_a_refused_merge_can_be_made_again(template, tmp_path, code, lasting):
    """It fails as a whole, with an error of ours."""
    position = 0
    while True:
        root = tmp_path / "repository"
        shutil.copytree(template, root)
        refusal = Refusal(code, lasting=lasting)
        bench = Bench(root)
        with watched(refusal, root):
            refusal.arm(position)
            refused = None
            try:
                merge(bench)
            except MlbfsError as err:
                refused = err
            refusal.disarm()
        assert refused is None or refusal.struck, refused
        bench.close()
        check(root, (position, refusal.struck[:1]))
        shutil.rmtree(root)
        if not refusal.struck:
            break
        position += STEP
    assert position > 10, "there are calls to refuse"


def test_a_conflict_waits_also_after_a_kill(template, tmp_path):
    """What waits is a ref; whoever comes next finds it and goes on."""
    root = tmp_path / "repository"
    shutil.copytree(template, root)
    bench = Bench(root)
    bench.commit(OURS | {b"both": b"ours\n"})
    bench.commit(THEIRS | {b"both": b"theirs\n"}, branch="dev")
    pid = os.fork()
    if pid == 0:
        merge(Bench(root))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    merges = Merges(bench.source)
    assert merges.state("main").open_paths == [b"both"]
    merges.resolve("main", b"both", who=SIGNATURE, side=Side.THEIRS)
    merges.resume("main", author=SIGNATURE, committer=SIGNATURE)
    assert held(bench) == MERGED | {b"both": b"theirs\n"}
    bench.close()
