"""Two branches of a million files, a thousand changes each, merged: against Git without a checkout.

    python benchmarks/merging.py [--work DIR] [--scale 1.0] [--rounds 5] [CASE ...]

`git merge-tree` merges the same commits of the same repository; it writes trees and no commit, and
moves no branch. At full size the files need 5 GB of disk for some minutes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

from changes import FOLDER, make_files
from harness import Plan, Row, alternate, mlbfs, remove, run, run_cases

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = 1_000_000
CHANGES = 1000


def _branches(plan: Plan) -> Path:
    """Makes a repository with the branches `ours` and `theirs`, which begin at `base`."""
    files, repository = plan.work / "files", plan.work / "repository"
    for path in (files, repository):
        remove(path)
    files.mkdir()
    count = plan.count(FILES)
    make_files(files, count, flat=False)
    mlbfs("init", repository)
    mlbfs("-C", repository, "import", f"{files}/", "--branch", "base", "-m", "base")
    remove(files)
    step = max(2, count // min(CHANGES, count // 2))
    for branch, first in (("ours", 0), ("theirs", step // 2)):
        changed = plan.work / branch
        remove(changed)
        for number in range(first, count, step):
            path = changed / f"{number // FOLDER:04}" / f"{number:07}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{branch} {number}\n")
        words = ["import", f"{changed}/", "--branch", branch, "--from", "base", "-m", branch]
        mlbfs("-C", repository, *words)
        remove(changed)
    return repository


def tree(plan: Plan) -> list[Row]:
    """A thousand changes on each side, in all folders."""
    repository = _branches(plan)
    ours = run(["git", "-C", repository, "rev-parse", "ours"]).strip()

    def back() -> None:
        run(["git", "-C", repository, "update-ref", "refs/heads/ours", ours])

    samples = alternate(
        plan.rounds,
        {
            "ours": lambda: mlbfs("-C", repository, "merge", "theirs", "--into", "ours"),
            "other": lambda: run(
                ["git", "-C", repository, "merge-tree", "--write-tree", "ours", "theirs"]
            ),
        },
        before=back,
    )
    name = f"merge of two branches of {plan.count(FILES):,} files, {CHANGES:,} changes each"
    row = Row(name, "`git merge-tree`", "under 3 s", ours=samples["ours"], other=samples["other"])
    row.notes = {"load_average": os.getloadavg()}
    row.settle(at_most=float("inf"))
    row.reached = sorted(row.ours)[len(row.ours) // 2] <= 3
    remove(repository)
    return [row]


CASES: dict[str, Callable[[Plan], list[Row]]] = {"tree": tree}


if __name__ == "__main__":
    run_cases(CASES, __doc__)
