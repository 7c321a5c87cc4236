"""The attributes that new branches begin with, read by stock Git where mlbfs is not installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlbfs.git.attributes import Attributes
from mlbfs.merge.defaultattributes import DEFAULT_ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Git

pytestmark = [pytest.mark.git, pytest.mark.slow]

PATHS = (
    "a.csv",
    "data/train.csv",
    "model.safetensors",
    "runs/best.pt",
    "metrics.json",
    "log.jsonl",
    "mlflow.db",
    "mlruns/0/ab/metrics/loss",
    "lab/mlruns/0/ab/metrics/val/loss",
    "mlruns/0/ab/meta.yaml",
    "train.py",
    "plot.png",
)


@pytest.fixture
def git(git_in: Callable[[Path], Git], tmp_path: Path) -> Git:
    """A runner in a work tree of stock Git."""
    runner = git_in(tmp_path)
    runner("init", "-q", "-b", "main")
    return runner


def _write(git: Git, name: str, data: bytes) -> None:
    path = git.where / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _commit(git: Git, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        _write(git, name, data)
    git("add", ".")
    git("commit", "-qm", "more")


def _fork(git: Git, name: str, base: bytes, ours: bytes, theirs: bytes) -> None:
    """Makes a file that `main` and `other` have changed."""
    _commit(git, {".gitattributes": DEFAULT_ATTRIBUTES, name: base})
    git("branch", "-f", "other")
    _commit(git, {name: ours})
    git("checkout", "-q", "other")
    _commit(git, {name: theirs})
    git("checkout", "-q", "main")


def test_git_reads_them_as_we_do(git: Git) -> None:
    """Macros and patterns mean the same to both."""
    _write(git, ".gitattributes", DEFAULT_ATTRIBUTES)
    said = git("check-attr", "merge", "--", *PATHS).splitlines()
    ours = Attributes({b".gitattributes": DEFAULT_ATTRIBUTES}.get)
    values = [ours.lookup(path.encode(), ["merge"]).get("merge") for path in PATHS]
    expected = [
        f"{path}: merge: {value or 'unspecified'}"
        for path, value in zip(PATHS, values, strict=True)
    ]
    assert said == expected


def test_macros_count_at_the_root_only(git: Git) -> None:
    """That is why they are in the file at the root; below, Git warns, and heeds them not."""
    _write(git, "sub/.gitattributes", b"[attr]table merge=csv\n*.csv table\n")
    said = git("check-attr", "merge", "--", "sub/a.csv")
    assert said.splitlines()[-1] == "sub/a.csv: merge: unspecified"


def test_a_driver_that_git_does_not_have_is_no_error(git: Git) -> None:
    """Lines that do not meet merge as Git merges any text."""
    _fork(git, "a.csv", b"1\n2\n3\n4\n5\n", b"0\n2\n3\n4\n5\n", b"1\n2\n3\n4\n6\n")
    git("merge", "-q", "other", "-m", "both")
    assert (git.where / "a.csv").read_bytes() == b"0\n2\n3\n4\n6\n"


def test_a_database_without_the_driver_is_a_conflict(git: Git) -> None:
    """Ours stays in the work tree, and Git has all three versions."""
    _fork(git, "x.db", b"\0base", b"\0ours", b"\0theirs")
    done = git.run("merge", "other")
    assert done.returncode == 1, done
    assert b"CONFLICT (content)" in done.stdout
    assert b"error" not in done.stderr
    assert b"fatal" not in done.stderr
    assert (git.where / "x.db").read_bytes() == b"\0ours"
    assert len(git("ls-files", "-u").splitlines()) == 3
