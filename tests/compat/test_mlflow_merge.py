"""Two branches with runs of their own in an MLflow database become one that MLflow works with."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from mlflow.tracking import MlflowClient

from tests.contract.merging import merge

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")  # those of SQLAlchemy about MLflow


def client(path: Path) -> MlflowClient:
    return MlflowClient(tracking_uri=f"sqlite:///{path}")


def log_runs(path: Path, experiment: str, names: list[str]) -> None:
    """Logs runs as a training does; makes the experiment where there is none."""
    store = client(path)
    found = store.get_experiment_by_name(experiment)
    number = (
        found.experiment_id
        if found is not None
        else store.create_experiment(experiment, artifact_location=str(path.parent / "artifacts"))
    )
    for at, name in enumerate(names):
        run = store.create_run(number, run_name=name).info.run_id
        store.log_metric(run, "loss", at)
        store.log_param(run, "rate", f"{name}-rate")
        store.set_tag(run, "who", name)
        store.set_terminated(run)


def runs(path: Path) -> dict[str, list[tuple[str, dict[str, float], str, str]]]:
    store = client(path)
    return {
        experiment.name: sorted(
            (run.info.run_name, run.data.metrics, run.data.params["rate"], run.data.tags["who"])
            for run in store.search_runs([experiment.experiment_id])
        )
        for experiment in store.search_experiments()
    }


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A store, and two copies that went on by themselves."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    paths = {side: tmp_path / f"{side}.db" for side in ("base", "ours", "theirs")}
    log_runs(paths["base"], "shared", ["old"])
    for side in ("ours", "theirs"):
        shutil.copy(paths["base"], paths[side])
        log_runs(paths[side], "shared", [f"{side}-1", f"{side}-2"])
        log_runs(paths[side], f"only {side}", [f"{side}-3"])
        log_runs(paths[side], "of both", [f"{side}-4"])
    return paths


def test_runs_of_both_sides_are_there(stores: dict[str, Path], tmp_path: Path) -> None:
    """Experiments that got one number are two, each with its runs; MLflow logs on."""
    found = merge("mlflow", *(path.read_bytes() for path in stores.values()))
    assert found.conflicts == ()
    assert found.note == "1 experiment of theirs got a new number"
    merged = tmp_path / "merged.db"
    assert found.data is not None
    merged.write_bytes(found.data)
    ours, theirs = runs(stores["ours"]), runs(stores["theirs"])
    wanted = ours | theirs
    wanted["shared"] = sorted([*ours["shared"], *theirs["shared"][1:]])
    wanted["of both"] = sorted([*ours["of both"], *theirs["of both"]])
    assert theirs["shared"][0][0] == "old"
    assert runs(merged) == wanted
    log_runs(merged, "only theirs", ["later"])
    log_runs(merged, "new", ["first"])
    assert [run[0] for run in runs(merged)["only theirs"]] == ["later", "theirs-3"]
    before = stores["theirs"].read_bytes()
    log_runs(stores["theirs"], "only theirs", ["next"])  # by the number that theirs knows
    again = merge("mlflow", before, merged.read_bytes(), stores["theirs"].read_bytes())
    assert again.conflicts == ()
    assert again.data is not None
    merged.write_bytes(again.data)
    assert [run[0] for run in runs(merged)["only theirs"]] == ["later", "next", "theirs-3"]
    assert [run[0] for run in runs(merged)["only ours"]] == ["ours-3"]
