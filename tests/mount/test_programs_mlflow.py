"""MLflow on a real mount: runs in a file store and a SQLite store know the commit they ran on."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.mount.programs import ENVIRONMENT, mlbfs, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.mount.conftest import Mounts

pytestmark = [pytest.mark.fuse, pytest.mark.slow, pytest.mark.git]

TRAIN = """
import sys
import mlflow

mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("digits")
with mlflow.start_run() as run:
    mlflow.log_param("depth", 3)
    for step in range(5):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    with open("notes.txt", "w") as file:
        file.write("logged")
    mlflow.log_artifact("notes.txt")
done = mlflow.MlflowClient().get_run(run.info.run_id)
assert done.data.metrics["loss"] == 0.2
print(done.data.tags["mlflow.source.git.commit"])
"""

QUIET = ENVIRONMENT | {
    "DO_NOT_TRACK": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",  # newer versions want to be asked for it
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def train(place: Path, store: str) -> str:
    """Runs the training script from the mount; returns the commit that MLflow noted."""
    told = run(sys.executable, place / "code/train.py", store, cwd=place, env=QUIET)
    return told.decode().split()[-1]


@pytest.fixture
def place(mounts: Mounts) -> Path:
    """A mounted branch whose last commit has the training script."""
    place = mounts.mount("main")
    (place / "code").mkdir()
    (place / "code/train.py").write_text(TRAIN)
    mlbfs(place, "commit", "-m", "the training")
    return place


def test_run_in_a_file_store(place: Path) -> None:
    """A run is logged to files of the mount with the commit that the workspace stands on."""
    base = run("git", "-C", place, "rev-parse", "main").decode().strip()
    (place / "hello.txt").write_text("an uncommitted change\n")
    assert train(place, f"file://{place}/mlruns") == base
    (noted,) = place.glob("mlruns/*/*/tags/mlflow.source.git.commit")
    assert noted.read_text() == base
    (artifact,) = place.glob("mlruns/*/*/artifacts/notes.txt")
    assert artifact.read_text() == "logged"
    mlbfs(place, "commit", "-m", "the run")
    assert noted.read_text() == base
    assert train(place, f"file://{place}/mlruns") != base


def test_run_in_a_sqlite_store(place: Path) -> None:
    """A run is logged to a database of the mount; the next one, after a commit, knows that one."""
    store = f"sqlite:///{place}/runs.db"
    bases = []
    for _ in range(2):
        bases.append(run("git", "-C", place, "rev-parse", "HEAD").decode().strip())
        assert train(place, store) == bases[-1]
        mlbfs(place, "commit", "-m", "a run")
    with closing(sqlite3.connect(place / "runs.db")) as base:
        assert base.execute("pragma integrity_check").fetchone() == ("ok",)
        noted = base.execute("select value from tags where key = 'mlflow.source.git.commit'")
        assert sorted(value for (value,) in noted) == sorted(bases)
        assert base.execute("select count(*) from metrics").fetchone() == (10,)
    assert os.listdir(place / "mlruns") != []
