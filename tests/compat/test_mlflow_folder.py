"""Two branches with runs of their own in `mlruns/` become one that MLflow works with."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from mlflow.tracking import MlflowClient

from mlbfs.workspace.merging import Outcome
from mlbfs.workspace.testing import file
from tests.unit.test_merges import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow tells of its file store


def client(folder: Path) -> MlflowClient:
    return MlflowClient(folder.as_uri(), folder.as_uri())


def log(folder: Path, experiment: str, *names: str) -> None:
    """Logs runs as a training does; makes the experiment where there is none."""
    store = client(folder)
    found = store.get_experiment_by_name(experiment)
    number = found.experiment_id if found else store.create_experiment(experiment)
    for at, name in enumerate(names):
        run = store.create_run(number, run_name=name).info.run_id
        store.log_metric(run, "loss", at)
        store.log_param(run, "rate", "0.1")
        store.set_terminated(run)


def runs(folder: Path) -> dict[str, list[tuple[str, dict[str, float]]]]:
    store = client(folder)
    return {
        found.name: sorted(
            (run.info.run_name, run.data.metrics)
            for run in store.search_runs([found.experiment_id])
        )
        for found in store.search_experiments()
    }


def renumber(folder: Path, name: str, number: str) -> None:
    """Gives an experiment the number that an MLflow which counted would have given it."""
    old = client(folder).get_experiment_by_name(name).experiment_id
    (folder / old).rename(folder / number)
    for document in (folder / number).rglob("*.yaml"):
        document.write_text(document.read_text().replace(old, number))


class Store:
    """A repository whose branches have a folder of MLflow, which is looked at in one place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "mlruns"
        self.lab = Lab(folder / "repository")
        self.put("main")
        self.lab.branch("theirs")

    def put(self, branch: str) -> None:
        """Commits the folder to a branch."""
        if not self.folder.exists():
            client(self.folder).search_experiments()  # makes it
        held = {
            b"mlruns/" + str(path.relative_to(self.folder)).encode(): file(path.read_bytes())
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }
        self.lab.bench.commit(held, branch=branch)

    def take(self, branch: str) -> Path:
        """Makes the folder what a branch has."""
        shutil.rmtree(self.folder)
        for path, data in self.lab.held(branch).items():
            place = self.folder.parent / path.decode()
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        (self.folder / ".trash").mkdir(exist_ok=True)  # as MLflow does when it opens a store
        return self.folder


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.chdir(tmp_path)  # MLflow makes a database where it is, whatever it is told
    store = Store(tmp_path)
    yield store
    store.lab.bench.close()


def test_runs_of_both_sides_are_there(store: Store) -> None:
    """Experiments of one name are one, those of one number two; MLflow logs on, again and again."""
    seen = {}
    for side in ("theirs", "main"):
        folder = store.take(side)
        log(folder, "Default", f"{side} 1")
        log(folder, "of both", f"{side} 2")
        log(folder, f"of {side}", f"{side} 3")
        renumber(folder, f"of {side}", "1")
        store.put(side)
        seen[side] = runs(folder)
    done = store.lab.merge("theirs")
    assert done.outcome is Outcome.MERGED
    assert "1 experiment of theirs got a new number" in store.lab.bench.head().message
    wanted = {**seen["main"], **seen["theirs"]}
    for name in ("Default", "of both"):
        wanted[name] = sorted(seen["main"][name] + seen["theirs"][name])
    folder = store.take("main")
    assert runs(folder) == wanted
    moved = client(folder).get_experiment_by_name("of theirs")
    assert moved.experiment_id != "1"
    (run,) = client(folder).search_runs([moved.experiment_id])
    place = (folder / moved.experiment_id).as_uri()
    assert moved.artifact_location == place
    assert run.info.artifact_uri == f"{place}/{run.info.run_id}/artifacts"
    log(folder, "of theirs", "main 4")
    store.put("main")
    folder = store.take("theirs")
    log(folder, "of theirs", "theirs 5")  # by the number that theirs knows
    store.put("theirs")
    assert store.lab.merge("theirs").outcome is Outcome.MERGED
    folder = store.take("main")
    assert [name for name, _ in runs(folder)["of theirs"]] == ["main 4", "theirs 3", "theirs 5"]
    assert runs(folder)["of main"] == wanted["of main"]


def test_versions_of_a_model_that_both_made_are_two(store: Store) -> None:
    """Each with its run and its alias."""
    for side in ("main", "theirs"):
        folder = store.take(side)
        log(folder, "Default", side)
        registry = client(folder)
        (run,) = registry.search_runs(["0"])
        registry.create_registered_model("m")
        source = f"{run.info.artifact_uri}/model"
        registry.create_model_version("m", source, run.info.run_id)
        registry.set_registered_model_alias("m", f"of {side}"[3:], 1)
        store.put(side)
    done = store.lab.merge("theirs")
    assert done.tree is not None
    assert done.tree.conflicts == []
    registry = client(store.take("main"))
    names = {run.info.run_id: run.info.run_name for run in registry.search_runs(["0"])}
    versions = {side: registry.get_model_version_by_alias("m", side) for side in ("main", "theirs")}
    found = {side: (int(one.version), names[one.run_id]) for side, one in versions.items()}
    assert found == {"main": (1, "main"), "theirs": (2, "theirs")}
    assert int(registry.create_model_version("m", "x", None).version) == 3
