"""Going from one branch to another in place, and following one, against what a user would do.

    python benchmarks/switching.py [--work DIR] [--scale 1.0] [--rounds 5] [CASE ...]

Two branches of 100,000 small text files in 1,000 folders, which differ in 100 of them. Each sample
goes to the other branch and then reads the 100 files. The mount was walked before, so every folder
is known to the kernel.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

from harness import Plan, Row, alternate, mlbfs, remove, run, run_cases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FILES = 100_000
CHANGED = 100
PER_FOLDER = 100


class Pair:
    """Two branches, a mount of one of them, and a plain Git work tree of the same.

    Attributes:
        mount: The mounted folder.
        tree: The work tree.
    """

    def __init__(self, plan: Plan, *, flat: bool) -> None:
        self.mount, self.tree = plan.work / "mountpoint", plan.work / "tree"
        self.repository = plan.work / "repository"
        count = plan.count(FILES)
        self._width = count if flat else PER_FOLDER
        self.changed = range(0, count, max(1, count // CHANGED))
        remove(self.tree)
        self._write(range(count), "one")
        run(["git", "init", "-q", "--initial-branch", "one"], cwd=self.tree)
        run(["git", "config", "gc.auto", "0"], cwd=self.tree)  # nothing behind anybody's back
        self._commit("one")
        run(["git", "switch", "-q", "-c", "two"], cwd=self.tree)
        self._write(self.changed, "two")
        self._commit("two")
        remove(self.repository)
        mlbfs("init", self.repository)
        run(["git", "push", "-q", self.repository, "one", "two"], cwd=self.tree)
        self.mount.mkdir(exist_ok=True)
        mlbfs("-C", self.repository, "mount", "two", self.mount)
        self.walk()

    def walk(self) -> None:
        """Has the kernel know everything in the mount."""
        for _ in os.walk(self.mount):
            pass
        self.read(self.mount)

    def read(self, folder: Path) -> str:
        """Reads the files that differ; returns what the last one holds."""
        text = ""
        for number in self.changed:
            text = self._path(folder, number).read_text()
        return text

    def check(self, folder: Path, branch: str) -> None:
        """Reads the files that differ, and sees to it that they are those of a branch."""
        found = self.read(folder)
        if not found.startswith(branch):
            raise RuntimeError(f"{folder} shows {found!r}, not branch {branch}")

    def _path(self, folder: Path, number: int) -> Path:
        return folder / f"folder-{number // self._width:04d}" / f"file-{number:06d}.txt"

    def _write(self, numbers: range, word: str) -> None:
        for number in numbers:
            path = self._path(self.tree, number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{word} {number}\n")

    def _commit(self, message: str) -> None:
        run(["git", "add", "."], cwd=self.tree)
        run(["git", "commit", "-q", "-m", message], cwd=self.tree)


@contextmanager
def _pair(plan: Plan, *, flat: bool = False) -> Iterator[Pair]:
    pair = Pair(plan, flat=flat)
    try:
        yield pair
    finally:
        mlbfs("umount", pair.mount)
        remove(pair.repository)
        remove(pair.tree)


class _Turns:
    """Goes to and fro between the branches, with one way of going there."""

    def __init__(self, go: Callable[[str], object], check: Callable[[str], None]) -> None:
        self._go = go
        self._check = check
        self._at = "two"

    def __call__(self) -> None:
        self._at = "one" if self._at == "two" else "two"
        self._go(self._at)
        self._check(self._at)


def _against(plan: Plan, name: str, *, flat: bool) -> list[Row]:
    """`mlbfs switch` against `git switch` in a work tree, and against mounting again."""
    with _pair(plan, flat=flat) as pair:

        def remount(branch: str) -> None:
            mlbfs("umount", pair.mount)
            mlbfs("-C", pair.repository, "mount", branch, pair.mount)

        def by_mlbfs(branch: str) -> None:
            mlbfs("switch", branch, cwd=pair.mount)

        def by_git(branch: str) -> None:
            run(["git", "switch", "-q", branch], cwd=pair.tree)

        def in_mount(branch: str) -> None:
            pair.check(pair.mount, branch)

        ours = _Turns(by_mlbfs, in_mount)
        git = _Turns(by_git, lambda branch: pair.check(pair.tree, branch))
        against_git = Row(f"{name}, and read what differs", "`git switch`", "")
        samples = alternate(plan.rounds, {"mlbfs": ours, "git": git})
        against_git.ours, against_git.other = samples["mlbfs"], samples["git"]
        if plan.rounds % 2:
            ours()  # both ways begin at the same branch
        again = _Turns(remount, in_mount)
        against_mount = Row(f"{name}, and read what differs", "unmount and mount", "")
        # Not alternating: each would find the mount as the other left it.
        for _ in range(plan.rounds):
            began = time.perf_counter()
            again()
            against_mount.other.append(time.perf_counter() - began)
        against_mount.ours = samples["mlbfs"]
        return [row.settle(at_most=1.0) for row in (against_git, against_mount)]


def switch(plan: Plan) -> list[Row]:
    """100,000 files in 1,000 folders."""
    return _against(plan, "switch among 100,000 files, 100 differ", flat=False)


def switch_flat(plan: Plan) -> list[Row]:
    """100,000 files in one folder."""
    return _against(plan, "switch among 100,000 files of one folder, 100 differ", flat=True)


def follow(plan: Plan) -> list[Row]:
    """The time until a clean mount shows a branch that `git update-ref` moves."""
    row = Row("follow a branch that moved, until what differs can be read", "", "under 1 s")
    with _pair(plan) as pair:
        names = ("one", "two")
        ids = {name: run(["git", "rev-parse", name], cwd=pair.tree).strip() for name in names}

        def go(branch: str) -> None:
            command = ["git", "update-ref", "refs/heads/two", ids[branch]]
            run(command, cwd=pair.repository)
            while not pair.read(pair.mount).startswith(branch):
                time.sleep(0.01)

        turns = _Turns(go, lambda branch: pair.check(pair.mount, branch))
        row.ours = alternate(plan.rounds, {"mlbfs": turns})["mlbfs"]
    row.reached = max(row.ours) < 1.0
    return [row]


if __name__ == "__main__":
    run_cases({"switch": switch, "switch-flat": switch_flat, "follow": follow}, __doc__)
