"""A small change of a large committed file, made on a mount and committed, against rivals.

    python benchmarks/large_files.py [--work DIR] [--scale 1.0] [--rounds 3] [CASE ...]

The options are those of every script here (`harness.run_cases`). At full size `append` and `middle`
need 15 GB of disk, and `append-lfs` 6 GB and another 1.5 GB for each round.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

import datasets
from harness import (
    Plan,
    Row,
    disk_usage,
    mlbfs,
    remove,
    run,
    run_cases,
    settle_disk,
    timed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MB = 1_000_000


class Mounted:
    """A branch with one large file, mounted.

    Attributes:
        file: The file in the mount.
        packs: Where its chunks lie.
    """

    def __init__(self, point: Path, repository: Path) -> None:
        self.file = point / "large.bin"
        self.packs = repository / ".git" / "mlbfs" / "packs"
        self._point = point
        self._stored = disk_usage(self.packs)

    def commit(self) -> None:
        """Commits what was changed."""
        mlbfs("commit", "-m", "bench", cwd=self._point)

    def stored(self) -> int:
        """Returns the bytes that the packs have grown by since the last question."""
        before, self._stored = self._stored, disk_usage(self.packs)
        return self._stored - before

    def blocks(self) -> int:
        """Returns the bytes that the workspace holds on the disk for changed files."""
        folder = self.packs.parent / "workspaces"
        return sum(path.stat().st_blocks * 512 for path in folder.glob("*/data/*"))


@contextmanager
def _mounted(plan: Plan, source: Path) -> Iterator[Mounted]:
    repository, point = plan.work / "repository", plan.work / "mountpoint"
    remove(repository)
    point.mkdir(exist_ok=True)
    mlbfs("init", repository)
    mlbfs("-C", repository, "import", source, "--branch", "data", "-m", "bench")
    mlbfs("-C", repository, "mount", "data", point)
    try:
        yield Mounted(point, repository)
    finally:
        mlbfs("umount", point)
        remove(repository)


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def _write_at(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def _against_copy(
    plan: Plan, name: str, change: Callable[[Path, bytes], None], length: int
) -> list[Row]:
    """A change and a commit on a mount, against `cp` of the file and the same change and `sync`.

    The second row is what the packs have grown by.
    """
    source = datasets.big_file(plan.work / "large.bin", size=plan.count(5000 * MB))
    copy = plan.work / "copy.bin"
    large = f"a file of {source.stat().st_size / 1e9:.3g} GB"
    row = Row(f"{name} {large}, and commit", "`cp`", "")
    stored = Row(f"{name} {large}: new stored bytes", "", "under 2 MB", unit="MB")
    blocks: list[int] = []
    rng = random.Random(4)
    with _mounted(plan, source) as mounted:

        def ours(data: bytes) -> None:
            change(mounted.file, data)
            blocks.append(mounted.blocks())
            mounted.commit()

        def other(data: bytes) -> None:
            run(["cp", source, copy])
            change(copy, data)
            os.sync()

        for number in range(plan.rounds):
            for contender in (ours, other) if number % 2 else (other, ours):
                data = rng.randbytes(length)
                settle_disk()
                took = timed(lambda act=contender, new=data: act(new))
                (row.ours if contender is ours else row.other).append(took)
                remove(copy)
            stored.ours.append(mounted.stored())
    stored.reached = max(stored.ours) < 2 * MB
    row.notes = {"overlay_blocks": max(blocks), "load_average": os.getloadavg()}
    row.settle(at_most=1.0).reached = None
    return [row, stored]


def append(plan: Plan) -> list[Row]:
    """1 MB appended."""
    rows = _against_copy(plan, "1 MB appended to", _append, plan.count(MB))
    wall = Row("the same: wall time", "", "under 1.5 s", ours=list(rows[0].ours))
    wall.reached = statistics.median(wall.ours) < 1.5
    return [*rows, wall]


def middle(plan: Plan) -> list[Row]:
    """4 KiB written in the middle."""

    def change(path: Path, data: bytes) -> None:
        _write_at(path, plan.count(5000 * MB) // 2 + 12345, data)

    return _against_copy(plan, "4 KiB written in the middle of", change, 4096)


def append_against_lfs(plan: Plan) -> list[Row]:
    """1 MB appended and committed, against the same in a Git LFS work tree."""
    source = datasets.big_file(plan.work / "large.bin", size=plan.count(1500 * MB))
    size = source.stat().st_size
    clone = _lfs_repository(plan, source)
    row = Row(f"1 MB appended to a file of {size / 1e9:.3g} GB, and commit", "`git lfs`", "")
    stored = Row("the same: new stored bytes", "`git lfs`", "", unit="MB")
    rng = random.Random(6)
    objects = clone / ".git" / "lfs" / "objects"
    with _mounted(plan, source) as mounted:

        def ours(data: bytes) -> None:
            _append(mounted.file, data)
            mounted.commit()

        def other(data: bytes) -> None:
            _append(clone / source.name, data)
            run(["git", "-C", clone, "add", source.name])
            run(["git", "-C", clone, "commit", "-q", "-m", "bench"])

        for number in range(plan.rounds):
            before = disk_usage(objects)
            for contender in (ours, other) if number % 2 else (other, ours):
                data = rng.randbytes(plan.count(MB))
                settle_disk()
                took = timed(lambda act=contender, new=data: act(new))
                (row.ours if contender is ours else row.other).append(took)
            stored.ours.append(mounted.stored())
            stored.other.append(disk_usage(objects) - before)
    remove(clone)
    for one in (row, stored):
        one.settle(at_most=1.0).reached = None
    return [row, stored]


def _lfs_repository(plan: Plan, source: Path) -> Path:
    clone = plan.work / "lfs"
    remove(clone)
    run(["git", "init", "-q", clone])
    run(["git", "-C", clone, "lfs", "install", "--local"])
    (clone / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    run(["cp", source, clone])
    run(["git", "-C", clone, "add", "."])
    run(["git", "-C", clone, "commit", "-q", "-m", "bench"])
    return clone


CASES: dict[str, Callable[[Plan], list[Row]]] = {
    "append": append,
    "middle": middle,
    "append-lfs": append_against_lfs,
}


if __name__ == "__main__":
    run_cases(CASES, __doc__)
