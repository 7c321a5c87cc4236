"""Eight processes write, rename, read and remove in one mount while others commit.

`MLBFS_LOAD_SECONDS=300` works for five minutes; without it for some seconds.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlbfs.mount import session
from tests.mount.programs import mlbfs

if TYPE_CHECKING:
    from tests.mount.conftest import Builder, Mounts

pytestmark = [pytest.mark.fuse, pytest.mark.slow]

SECONDS = float(os.environ.get("MLBFS_LOAD_SECONDS", "5"))
PROCESSES = 8
PATIENCE = 120
"""Seconds after the end that a process gets for its last step and its report."""

MLBFS = Path(sys.executable).with_name("mlbfs")
CHILD = Path(__file__).with_name("load_child.py")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_own(root: Path, number: int, files: dict[str, str]) -> None:
    """Checks that the folder of a process holds what it says, and nothing else."""
    folder = root / f"own{number}"
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == files.keys(), number
    for name, wanted in files.items():
        assert digest(folder / name) == wanted, (number, name)


def check_shared(root: Path) -> None:
    """Checks that every file that all share is one version, and whole."""
    names = sorted(path.name for path in (root / "shared").iterdir())
    assert [name for name in names if not name.startswith("s")] == []
    for name in names:
        data = (root / "shared" / name).read_bytes()
        assert hashlib.sha256(data[32:]).digest() == data[:32], name


def commit_until(children: list[subprocess.Popen[bytes]], place: Path, end: float) -> int:
    """Commits one time after the other while the processes work; returns how often."""
    count = 0
    while any(child.poll() is None for child in children):
        assert time.monotonic() < end, "a process hangs"
        done = subprocess.run(
            [MLBFS, "commit", "-m", f"{count}"], cwd=place, capture_output=True, check=False
        )
        assert done.returncode == 0 or b"nothing to commit" in done.stderr, done.stderr
        count += done.returncode == 0
    return count


@pytest.mark.timeout(SECONDS + 4 * PATIENCE)
def test_eight_processes_at_once(builder: Builder, mounts: Mounts, tmp_path: Path) -> None:
    """Each finds what it wrote, all the time and in the end; so does fsck, a remount, a commit."""
    place = mounts.mount("main")
    reports = [tmp_path / f"report{number}" for number in range(PROCESSES)]
    children = [
        subprocess.Popen(
            [sys.executable, CHILD, place, str(number), str(SECONDS), report],
            stderr=subprocess.PIPE,
        )
        for number, report in enumerate(reports)
    ]
    try:
        commits = commit_until(children, place, time.monotonic() + SECONDS + PATIENCE)
    finally:
        for child in children:
            child.kill()
    errors = [child.communicate()[1].decode() for child in children]
    assert [child.returncode for child in children] == [0] * PROCESSES, "\n".join(errors)
    found = [json.loads(report.read_text()) for report in reports]
    assert commits > 0, "there were commits beside the work"
    assert all(one["steps"] > 0 for one in found)

    def check(root: Path) -> None:
        for number, one in enumerate(found):
            check_own(root, number, one["files"])
        check_shared(root)

    check(place)
    session.unmount(place)
    check(mounts.mount("main"))
    (place / "last").write_text("so that there is something to commit\n")
    mlbfs(place, "commit", "-m", "the last")
    session.unmount(place)
    mlbfs(builder.root, "fsck", "--content")
    exported = tmp_path / "exported"
    mlbfs(builder.root, "export", "main", str(exported))
    check(exported)
