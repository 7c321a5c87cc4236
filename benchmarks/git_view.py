"""Questions to stock Git inside a mount, against the same in a work tree of Git's own.

    python benchmarks/git_view.py [--work DIR] [--scale 1.0] [--rounds 9] [CASE ...]

100,000 small text files in 1,000 folders, ten of them changed in both places. Both trees were
walked before, so the kernel knows every file.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

from harness import Plan, Row, alternate, mlbfs, remove, run, run_cases

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = 100_000
CHANGED = 10
PER_FOLDER = 100


def _path(folder: Path, number: int) -> Path:
    return folder / f"folder-{number // PER_FOLDER:04d}" / f"file-{number:06d}.txt"


@contextmanager
def _twins(plan: Plan) -> Iterator[tuple[Path, Path]]:
    """Yields a mount and a work tree with the same files and the same changes."""
    mount, tree, repository = plan.work / "mount", plan.work / "tree", plan.work / "repository"
    remove(tree)
    remove(repository)
    count = plan.count(FILES)
    for number in range(count):
        path = _path(tree, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}\n")
    run(["git", "init", "-q", "--initial-branch", "main"], cwd=tree)
    run(["git", "add", "."], cwd=tree)
    run(["git", "commit", "-q", "-m", "all"], cwd=tree)
    mlbfs("init", repository)
    run(["git", "push", "-q", repository, "main"], cwd=tree)
    mount.mkdir(exist_ok=True)
    mlbfs("-C", repository, "mount", "main", mount)
    try:
        for folder in (mount, tree):
            for number in range(0, count, max(1, count // CHANGED)):
                _path(folder, number).write_text("changed\n")
            for above, _, names in os.walk(folder):
                for name in names:
                    (Path(above) / name).stat()
        yield mount, tree
    finally:
        mlbfs("umount", mount)
        remove(tree)
        remove(repository)


def _ask(plan: Plan, questions: list[str]) -> list[Row]:
    rows = []
    with _twins(plan) as (mount, tree):
        for question in questions:
            command = ["git", *question.split()]
            if run(command, cwd=mount) != run(command, cwd=tree):
                raise RuntimeError(f"git {question} is answered differently in the mount")
            samples = alternate(
                plan.rounds,
                {
                    "mount": lambda command=command: run(command, cwd=mount),
                    "tree": lambda command=command: run(command, cwd=tree),
                },
            )
            row = Row(f"`git {question}`, 100,000 files, 10 changed", "a work tree", "")
            row.ours, row.other = samples["mount"], samples["tree"]
            row.settle(at_most=1.0)
            row.reached = None  # nothing was promised
            rows.append(row)
    return rows


def questions(plan: Plan) -> list[Row]:
    """What trackers and build tools ask."""
    return _ask(plan, ["rev-parse HEAD", "status --porcelain -uno", "describe --always --dirty"])


if __name__ == "__main__":
    run_cases({"questions": questions}, __doc__)
