"""Ten changed files among a million: `status`, `commit` and a savepoint, against plain Git.

    python benchmarks/changes.py [--work DIR] [--scale 1.0] [--rounds 3] [CASE ...]

The options are those of every script here (`harness.run_cases`). Git has the same files in a work
tree of its own. At full size a case needs 10 GB of disk, most of it for the inodes of Git's work
tree, and some minutes to set up.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

from harness import Plan, Row, mlbfs, remove, run, run_cases, settle_disk, timed

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = 1_000_000
FOLDER = 1000
"""Files in a folder of the tree."""

CHANGED = 10


@dataclass(frozen=True)
class Pair:
    """The same files twice: mounted, and in a work tree of Git; and those that change."""

    mount: Path
    work_tree: Path
    changed: list[str]

    def change(self, text: str) -> None:
        """Changes the ten files on both sides."""
        for place in (self.mount, self.work_tree):
            for name in self.changed:
                (place / name).write_text(text)


def make_files(root: Path, count: int, *, flat: bool) -> list[str]:
    """Makes small text files, and returns ten of them that lie far apart."""
    names = [f"{n:07}.txt" if flat else f"{n // FOLDER:04}/{n:07}.txt" for n in range(count)]
    for name in names:
        path = root / name
        if not flat and name.endswith("000.txt"):
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return names[:: max(1, count // CHANGED)][:CHANGED]


@contextmanager
def _pair(plan: Plan, *, flat: bool) -> Iterator[Pair]:
    tree, repository, point = (plan.work / name for name in ("tree", "repository", "point"))
    for place in (tree, repository):
        remove(place)
    tree.mkdir()
    point.mkdir(exist_ok=True)
    changed = make_files(tree, plan.count(FILES), flat=flat)
    mlbfs("init", repository)
    mlbfs("-C", repository, "import", f"{tree}/", "--branch", "data", "-m", "bench")
    run(["git", "init", "-q", tree])
    run(["git", "-C", tree, "config", "gc.auto", "0"])
    run(["git", "-C", tree, "add", "."])
    run(["git", "-C", tree, "commit", "-qm", "bench"])
    mlbfs("-C", repository, "mount", "data", point)
    try:
        yield Pair(point, tree, changed)
    finally:
        mlbfs("umount", point)
        for place in (tree, repository):
            remove(place)


def _measure(plan: Plan, name: str, *, flat: bool) -> list[Row]:
    """Status and commit of both, one after the other in each round, in turns."""
    count = f"{plan.count(FILES):,} files, {name}"
    status = Row(f"status, {count}", "`git status`", "under 0.5 s")
    commit = Row(f"commit, {count}", "`git commit -a`", "under 1.5 s")
    with _pair(plan, flat=flat) as pair:
        git = ["git", "-C", pair.work_tree]
        for number in range(plan.rounds):
            pair.change(f"round {number}\n")
            settle_disk()
            sides = [
                (status.ours, lambda: mlbfs("status", cwd=pair.mount)),
                (status.other, lambda: run([*git, "status", "--short"])),
                (commit.ours, lambda n=number: mlbfs("commit", "-m", f"{n}", cwd=pair.mount)),
                (commit.other, lambda n=number: run([*git, "commit", "-qam", f"{n}"])),
            ]
            if number % 2:
                sides = [sides[1], sides[0], sides[3], sides[2]]
            for samples, action in sides:
                samples.append(timed(action))
    for row, bound in ((status, 0.5), (commit, 1.5)):
        row.settle(at_most=float("inf"))
        row.reached = sorted(row.ours)[len(row.ours) // 2] <= bound
    return [status, commit]


def tree(plan: Plan) -> list[Row]:
    """A million files in a thousand folders."""
    return _measure(plan, "1,000 to a folder", flat=False)


def flat(plan: Plan) -> list[Row]:
    """A million files in one folder."""
    return _measure(plan, "in one folder", flat=True)


CASES = {"tree": tree, "flat": flat}

if __name__ == "__main__":
    run_cases(CASES, __doc__)
