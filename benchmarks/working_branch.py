"""What programs do in a working tree, on a mounted branch and on ext4.

    python benchmarks/working_branch.py [--work DIR] [--scale 1.0] [--rounds 5] [CASE ...]

`sequential` needs 8 GB of disk at full size. Both sides work on the same disk: the mount keeps what
is not committed in the repository, which lies beside the plain folder.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

import datasets
from harness import Plan, Row, alternate, mlbfs, remove, run, run_cases, settle_disk, wait_idle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MB = 1_000_000
BLOCK = 1 << 20
PER_FOLDER = 1000


@contextmanager
def _places(plan: Plan) -> Iterator[tuple[dict[str, Path], int]]:
    """Gives a mounted branch and a folder of ext4, and the process that serves the mount."""
    repository, point, plain = (plan.work / name for name in ("repository", "mountpoint", "plain"))
    for path in (repository, plain):
        remove(path)
    plain.mkdir()
    point.mkdir(exist_ok=True)
    mlbfs("init", repository)
    first = plan.work / "first"
    first.mkdir(exist_ok=True)
    (first / "README").write_text("a branch to work in\n")
    mlbfs("-C", repository, "import", first / "README", "--branch", "work", "-m", "bench")
    mlbfs("-C", repository, "mount", "work", point)
    (mounted,) = json.loads(mlbfs("-C", repository, "mounts", "--json"))
    try:
        yield {"ours": point, "other": plain}, int(mounted["pid"])
    finally:
        mlbfs("umount", point)
        remove(repository)
        remove(plain)


def _against_ext4(
    plan: Plan, name: str, action: Callable[[Path], None], *, times: float, keep: bool
) -> Row:
    """Does the same in both places, in turn, under a new name each time.

    What was made before stays where `keep` says so: ext4 does not give out again for some seconds
    what was just deleted, and looks for other places in a way that takes longer than to make a
    file, for both sides. Nothing is timed before the daemon has come to rest.
    """
    made: list[Path] = []
    with _places(plan) as (places, pid):

        def run_in(place: Path) -> None:
            made.append(place / f"run{len(made)}")
            action(made[-1])

        def settle() -> None:
            if not keep:
                for path in made:
                    remove(path)
            settle_disk()
            wait_idle(pid)

        contenders = {side: lambda at=place: run_in(at) for side, place in places.items()}
        samples = alternate(plan.rounds, contenders, before=settle)
    row = Row(name, "ext4", f"at most {times:.3g} times", ours=samples["ours"])
    row.other = samples["other"]
    row.notes = {"load_average": os.getloadavg()}
    return row.settle(at_most=times)


def sequential(plan: Plan) -> list[Row]:
    """One file of 4 GB, written in pieces of 1 MiB and synced."""
    size = plan.count(4000 * MB)
    block = os.urandom(BLOCK)

    def write(path: Path) -> None:
        with path.open("wb", buffering=0) as file:
            left = size
            while left:
                left -= file.write(block[: min(left, BLOCK)])
            os.fsync(file.fileno())

    name = "write one file of 4 GB, and fsync"
    return [_against_ext4(plan, name, write, times=1 / 0.5, keep=False)]


def create(plan: Plan) -> list[Row]:
    """10,000 files of 4 KiB, made, written and closed."""
    count = plan.count(10_000)
    data = os.urandom(4096)

    def make(root: Path) -> None:
        for start in range(0, count, PER_FOLDER):
            folder = root / f"{start // PER_FOLDER:03d}"
            folder.mkdir(parents=True)
            for number in range(start, min(count, start + PER_FOLDER)):
                descriptor = os.open(folder / f"{number:06d}", os.O_CREAT | os.O_WRONLY, 0o644)
                os.write(descriptor, data)
                os.close(descriptor)

    name = "make, write and close 10,000 files of 4 KiB"
    return [_against_ext4(plan, name, make, times=1 / 0.15, keep=True)]


def clone(plan: Plan) -> list[Row]:
    """`git clone` of a repository of some thousand files."""
    source = datasets.package_repository(plan.work / "package.git", files=plan.count(5000))
    files = int(run(["git", "-C", source, "ls-tree", "-r", "--name-only", "HEAD"]).count("\n"))

    def copy(path: Path) -> None:
        run(["git", "clone", "-q", f"file://{source}", path])

    name = f"git clone of {files:,} files"
    return [_against_ext4(plan, name, copy, times=4, keep=True)]


CASES: dict[str, Callable[[Plan], list[Row]]] = {
    "create": create,
    "clone": clone,
    "sequential": sequential,
}


if __name__ == "__main__":
    run_cases(CASES, __doc__)
