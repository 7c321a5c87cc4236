"""Rounds of random operations, each ended by SIGKILL, and what must be there afterwards.

    python tests/fault/rounds.py --rounds 1000 --seed 1

Every round begins with what the round before left. A process of its own does operations until it
is killed: at a chosen call of the workspace on its files, between two system calls of a daemon, or
after a random time. Another process opens what is left and compares it with the model: what had
returned is there, what was under way has happened or not, and nothing else has.
"""

from __future__ import annotations

import argparse
import os
import pickle
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from contextlib import closing
from pathlib import Path

import device
import operations
import performing

from mlbfs.workspace import content
from mlbfs.workspace.testing import Bench

MLBFS = Path(sys.executable).with_name("mlbfs")

CHECK_EVERY = 50
"""Rounds from one check of the whole repository to the next: it reads every commit."""

BIG = bytes(range(256)) * 60
FIRST = {b"a0": b"text\n", b"big": BIG, b"d0/d1/a1": b"deep\n", b"d0/b.txt1": BIG[:5000]}

COPY_LIMIT = 64
"""Small in most rounds, so that files of the snapshot are changed in place."""


class LostError(Exception):
    """Something is not there as it must be."""


def first_model():
    """Returns the model of `FIRST`."""
    model = operations.Model()
    for path in (b"d0", b"d0/d1"):
        model.add(path, operations.Thing(operations.FOLDER, 0o755, changed=False))
    for path, data in FIRST.items():
        model.add(path, operations.Thing(operations.FILE, 0o644, data, changed=False))
    return model


def in_child(function):
    """Runs a function in a forked process; returns what it returned.

    This process never opens anything, so that each child starts as a program does.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _answer(writer, function)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        data = file.read()
    _, status = os.waitpid(pid, 0)
    if status or not data:
        raise LostError(f"the checking process ended with {status}")
    failed, value = pickle.loads(data)
    if failed:
        raise LostError(value)
    return value


def _answer(writer, function):
    try:
        answer = (False, function())
    except BaseException:
        answer = (True, traceback.format_exc())
    with os.fdopen(writer, "wb") as file:
        pickle.dump(answer, file)
    os._exit(0)


class Round:
    """One round without a kernel."""

    def __init__(self, root, model, seed):
        self.root = root
        self.model = model
        self.seed = seed
        self.chance = random.Random(seed)
        self.in_place = self.chance.random() < 0.8
        self.kill_at = self.chance.choice([0, self.chance.randrange(1, 400)])
        self.count = self.chance.randrange(1, 80)

    def run(self):
        """Does it; returns the model to go on with."""
        acknowledged = self._operate()
        return in_child(lambda: self._check(acknowledged))

    def describe(self):
        how = f"call {self.kill_at}" if self.kill_at else f"operation {self.count}"
        return f"seed {self.seed}, killed at {how}"

    # The process that is killed

    def _operate(self):
        """Returns the reports of the operations that returned: one of 20 bytes each."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            self._be_killed(writer)
        os.close(writer)
        told = b""
        while True:
            if not self.kill_at and len(told) >= 20 * self.count:
                select.select([], [], [], self.chance.choice([0, 0.0005, 0.002]))
                os.kill(pid, signal.SIGKILL)
                self.kill_at = -1
            piece = os.read(reader, 4096)
            if not piece:
                break
            told += piece
        os.close(reader)
        _, status = os.waitpid(pid, 0)
        if status != signal.SIGKILL:
            raise LostError(f"the process was to be killed, and ended with {status}")
        return [told[at : at + 20] for at in range(0, len(told), 20)]

    def _be_killed(self, writer):
        try:
            self._go_on(writer)
        except BaseException:
            traceback.print_exc()
        os._exit(1)

    def _go_on(self, writer):
        if self.in_place:
            content.COPY_LIMIT = COPY_LIMIT
        left = self.kill_at

        def listen(call):
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        with device.watched(listen, self.root), closing(Bench(self.root)) as bench:
            doing = performing.ByWorkspace(performing.open_again(bench), bench)
            drawn = operations.Operations(self.seed, self.model, moves=True)
            while True:
                answer = doing.perform(drawn.next())
                os.write(writer, answer or performing.NOTHING)

    # The process that looks

    def _check(self, acknowledged):
        if self.in_place:
            content.COPY_LIMIT = COPY_LIMIT
        drawn = operations.Operations(self.seed, self.model.copy(), moves=True)
        commits = []
        for answer in acknowledged:
            drawn.next()
            if answer != performing.NOTHING:
                commits.append((answer, drawn.model.files()))
        before = drawn.model.copy()
        operation = drawn.next()
        with closing(Bench(self.root)) as bench, performing.open_again(bench) as workspace:
            seen = performing.ByWorkspace(workspace).look()
            found = operations.matches(before, drawn.model, operation, seen)
            if found is None:
                words = operations.differences(before, seen)
                raise LostError(f"after {len(acknowledged)}, during {operation[:3]}: {words}")
            check_commits(bench, workspace.branch, commits)
            _check_status(bench, workspace, seen)
        return operations.learned(found, seen)


def check_commits(bench, branch, commits):
    """Checks that the branch has the commits that returned, with what was there then."""
    head = bench.head(branch)
    for commit_id, files in commits:
        if not bench.git.is_ancestor(commit_id, head.id):
            raise LostError(f"commit {commit_id.hex()} is not on the branch")
        held = bench.committed(bench.git.read_commit(commit_id))
        if {path: shape.data for path, shape in held.items()} != files:
            raise LostError(f"commit {commit_id.hex()} does not hold what was there")


def _check_status(bench, workspace, seen):
    """Checks that status tells exactly what differs from the head."""
    held = bench.committed(bench.head(workspace.branch))
    files = {path: at for path, at in seen.items() if at.kind != operations.FOLDER}
    differ = {
        path
        for path in files.keys() | held.keys()
        if path not in files or path not in held or _differs(files[path], held[path])
    }
    told = {change.path for change in workspace.status().changes}
    if workspace.behind or told != differ:
        raise LostError(f"status tells {sorted(told)} of {sorted(differ)}")


def _differs(seen, shape):
    kinds = {operations.LINK: "symlink", operations.FILE: "file"}
    kind = "executable" if seen.kind == operations.FILE and seen.mode & 0o100 else kinds[seen.kind]
    return (kind, seen.data) != (shape.kind.name.lower(), shape.data)


def check_repository(root):
    """Runs fsck over all that is stored, ours and Git's."""
    for command in ([MLBFS, "-C", root, "fsck"], ["git", "-C", root, "fsck", "--strict"]):
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            raise LostError(f"{command[0]} fsck: {(done.stdout + done.stderr).decode()}")


def run_rounds(root, rounds, seed):
    """Runs rounds in a new repository below `root`; raises `LostError` with what to run again."""
    os.umask(0)

    def begin():
        with closing(Bench(root / "repository")) as bench:
            bench.commit(FIRST)

    in_child(begin)
    model = first_model()
    for number in range(rounds):
        one = Round(root / "repository", model, seed + number)
        try:
            model = one.run()
            if number % CHECK_EVERY == CHECK_EVERY - 1 or number == rounds - 1:
                check_repository(root / "repository")
        except LostError as err:
            raise LostError(f"round {number}, {one.describe()}: {err}") from err


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--rounds", type=int, default=1000)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    root = Path(tempfile.mkdtemp(prefix="mlbfs-rounds-"))
    run_rounds(root, chosen.rounds, chosen.seed)
    shutil.rmtree(root)
    sys.stdout.write(f"{chosen.rounds} rounds from seed {chosen.seed}: nothing lost\n")


if __name__ == "__main__":
    main()
