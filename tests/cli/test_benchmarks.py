"""The benchmarks run, on a small part of their data, so that they cannot rot."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MAIN_PATH = [
    "import-medium",
    "import-small",
    "import-big",
    "import-again",
    "import-big-again",
    "import-memory",
]
MERGING = ["tree", "records", "copy"]
CASES = [
    *(("main_path", case) for case in MAIN_PATH),
    *(("merging", case) for case in MERGING),
    ("stock_git", "merge"),
]
"""Script and case; those of `MOUNTING_CASES` make a mount."""
MOUNTING_CASES = [
    ("main_path", "mount"),
    ("main_path", "memory"),
    ("changes", "tree"),
    ("changes", "flat"),
    ("large_files", "append"),
    ("large_files", "middle"),
    ("switching", "switch"),
    ("switching", "follow"),
    ("git_view", "questions"),
    ("working_branch", "create"),
    ("working_branch", "clone"),
    ("working_branch", "sequential"),
]


def _run(script: str, case: str, folder: Path) -> list[dict[str, object]]:
    results = folder / "results.json"
    path = str(BENCHMARKS / f"{script}.py")
    options = ["--work", str(folder / "work"), "--scale", "0.001", "--rounds", "1"]
    subprocess.run(
        [sys.executable, path, *options, "--results", str(results), case],
        check=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )
    rows = json.loads(results.read_text())["rows"]
    assert isinstance(rows, list)
    return rows


@pytest.mark.slow
@pytest.mark.parametrize(("script", "case"), CASES)
def test_a_case_measures_both_sides(script: str, case: str, tmp_path: Path) -> None:
    """Each row has samples of ours; what it is worth is not asserted."""
    for row in _run(script, case, tmp_path):
        assert row["ours"]
        assert bool(row["other"]) == bool(row["against"])


@pytest.mark.slow
@pytest.mark.fuse
@pytest.mark.parametrize(("script", "case"), MOUNTING_CASES)
def test_a_case_with_a_mount_leaves_none_behind(script: str, case: str, tmp_path: Path) -> None:
    """What was mounted is unmounted again."""
    assert all(row["ours"] for row in _run(script, case, tmp_path))
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
