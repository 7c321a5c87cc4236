"""Folders of MLflow, file by file and as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlbfs.errors import InvalidInputError
from mlbfs.merge.answers import NonsenseError
from mlbfs.merge.conflicts import ConflictKind
from mlbfs.merge.folders import decode_alignment
from mlbfs.merge.versions import Side
from mlbfs.workspace.merging import Outcome
from tests.contract.merging import merge
from tests.unit.test_merges import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlbfs.merge.conflicts import Conflict

Files = dict[bytes, bytes]
META = b"mlruns/1/meta.yaml"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path / "repository")
    lab.bench.commit(experiment("0", "Default"), branch="main")
    lab.bench.git.refs.compare_and_swap(
        "refs/heads/dev",
        lab.bench.head("dev").id,
        lab.bench.head().id,
        identity=lab.request().author,
        message="test",
    )
    yield lab
    lab.bench.close()


def experiment(number: str, name: str, *runs: str, made: int = 10, at: str = "mlruns") -> Files:
    folder = f"{at}/{number}"
    text = f"artifact_location: file:///x/{folder}\ncreation_time: {made}\n"
    text += f"experiment_id: '{number}'\nlast_update_time: {made}\nname: {name}\n"
    found = {f"{folder}/meta.yaml".encode(): text.encode()}
    for run in runs:
        where = f"artifact_uri: file:///x/{folder}/{run}/artifacts\n"
        text = f"{where}experiment_id: '{number}'\nrun_id: {run}\n"
        found[f"{folder}/{run}/meta.yaml".encode()] = text.encode()
        found[f"{folder}/{run}/metrics/loss".encode()] = b"1 0.5 1\n"
    return found


def conflicts(lab: Lab, **words: object) -> list[Conflict]:
    merged = lab.merge(**words)
    assert merged.tree is not None
    assert merged.outcome is Outcome.CONFLICTS or not merged.tree.open_conflicts
    return merged.tree.conflicts


def names(held: Files) -> dict[str, str]:
    """Returns the experiment of each run, by the document of its folder."""
    found = {}
    for path in held:
        parts = path.decode().split("/")
        if len(parts) == 4 and parts[3] == "meta.yaml" and parts[1] != "models":
            above = held["/".join([*parts[:2], "meta.yaml"]).encode()].decode()
            found[parts[2]] = above.partition("name: ")[2].split("\n")[0]
            assert f"experiment_id: '{parts[1]}'" in held[path].decode()
            assert f"/mlruns/{parts[1]}/{parts[2]}/artifacts" in held[path].decode()
    return found


def test_two_experiments_with_one_number_are_two(lab: Lab) -> None:
    """Theirs gets another number, and so does all that names it, a model of it, too."""
    source = b"run_id: b\nsource: file:///x/mlruns/1/b/artifacts/m\ncreation_timestamp: 1\n"
    bucket = b"run_id: b\nsource: s3://x/mlruns/1/b/artifacts/m\ncreation_timestamp: 2\n"
    models = {b"mlruns/models/m/version-1/meta.yaml": source + b"version: 1\n"}
    models[b"mlruns/models/m/version-2/meta.yaml"] = bucket + b"version: 2\n"
    lab.change("main", experiment("1", "ours", "a"))
    lab.change("dev", experiment("1", "theirs", "b", "c") | models)
    assert conflicts(lab) == []
    held = lab.held()
    assert names(held) == {"a": "ours", "b": "theirs", "c": "theirs"}
    (number,) = {path.split(b"/")[1] for path in held if b"/b/" in path}
    moved = held[b"mlruns/models/m/version-1/meta.yaml"]
    assert b"source: file:///x/mlruns/" + number + b"/b/artifacts/m" in moved
    assert held[b"mlruns/models/m/version-2/meta.yaml"] == bucket + b"version: 2\n"
    assert lab.merge().outcome is Outcome.UP_TO_DATE


def test_an_experiment_of_both_is_one(lab: Lab) -> None:
    """Whatever its numbers; it was made at the earlier time and changed at the later."""
    lab.change("main", experiment("1", "both", "a", made=20))
    lab.change("dev", experiment("2", "both", "b", made=10))
    assert conflicts(lab) == []
    held = lab.held()
    assert names(held) == {"a": "both", "b": "both"}
    assert b"creation_time: 10\n" in held[META]
    assert b"last_update_time: 20\n" in held[META]
    assert b"mlruns/2/meta.yaml" not in held


def test_a_folder_of_another_name_is_a_store_if_it_is_named(lab: Lab) -> None:
    """With `merge=mlflow`; without it the documents of one place are two texts."""
    lab.change("main", experiment("1", "ours", "a", at="lab/store"))
    lab.change("dev", experiment("1", "theirs", "b", at="lab/store"))
    assert {one.path for one in conflicts(lab)} == {b"lab/store/1/meta.yaml"}
    lab.merges.abort("main", lab.request().committer)
    lab.change("main", {b".gitattributes": b"lab/** merge=mlflow\n"})
    assert conflicts(lab) == []
    assert sum(path.endswith(b"/1/meta.yaml") for path in lab.held()) == 1


def test_a_store_that_is_named_union_keeps_its_numbers_apart(lab: Lab) -> None:
    """`union` leaves each file to its own driver, and so the store to MLflow's."""
    lab.change("main", experiment("1", "ours", "a") | {b".gitattributes": b"* merge=union\n"})
    lab.change("dev", experiment("1", "theirs", "b"))
    assert conflicts(lab) == []
    assert names(lab.held()) == {"a": "ours", "b": "theirs"}


def test_a_part_of_a_store_is_not_merged_by_itself(lab: Lab) -> None:
    """If the sides number it in different ways; the whole store is."""
    lab.change("main", experiment("1", "ours", "a"))
    lab.change("dev", experiment("1", "theirs", "b") | {b"new": b"new\n"})
    with pytest.raises(InvalidInputError):
        lab.merge(only=[b"mlruns/1"])
    assert conflicts(lab, only=[b"mlruns"]) == []
    assert names(lab.held()) == {"a": "ours", "b": "theirs"}
    assert b"new" not in lab.held()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"name: [1\n", "expected ',' or ']'"),
        (b"a: &x [1]\nname: *x\n", "a reference to another part"),
        (b"name: a\nname: b\n", "the key 'name' is there twice"),
        (b"- name\n", "not a mapping"),
        (b"name: " + b"[" * 3000 + b"]" * 3000, "nested deeper than 100 levels"),
        (b"name: \xff\n", "not YAML: 'utf-8'"),
    ],
)
def test_a_document_that_cannot_be_read_is_a_conflict(lab: Lab, text: bytes, said: str) -> None:
    """Of its path, with the parser's words; the rest merges, and it can be settled."""
    lab.change("main", experiment("2", "ours", "a"))
    lab.change("dev", experiment("1", "theirs", "b") | {META: text})
    (told,) = conflicts(lab)
    assert (told.path, told.kind) == (META, ConflictKind.MALFORMED)
    assert said in told.message


def test_an_experiment_in_the_trash_of_one_side(lab: Lab) -> None:
    """Goes if the other left it alone; if that went on with it, a person decides."""
    before = experiment("1", "x", "a")
    for branch in ("main", "dev"):
        lab.change(branch, before)
    lab.merge()
    trashed = {path.replace(b"mlruns/", b"mlruns/.trash/"): data for path, data in before.items()}
    held = {path: data for path, data in lab.held("dev").items() if path not in before}
    lab.bench.commit(held | trashed, branch="dev")
    lab.change("main", experiment("3", "y", "c"))
    assert conflicts(lab) == []
    assert set(trashed) < set(lab.held())
    assert META not in lab.held()


@pytest.mark.parametrize("side", [Side.OURS, Side.THEIRS])
def test_an_experiment_that_one_side_deleted_and_the_other_went_on_with(
    lab: Lab, side: Side
) -> None:
    """Is told once, with its folder, and each side can be taken whole."""
    before = experiment("1", "x", "a")
    lab.change("main", before)
    lab.merge("main", "dev")
    trashed = {path.replace(b"mlruns/", b"mlruns/.trash/"): data for path, data in before.items()}
    held = {path: data for path, data in lab.held("dev").items() if path not in before}
    lab.bench.commit(held | trashed, branch="dev")
    lab.change("main", experiment("1", "x", "a", "b"))
    (told,) = conflicts(lab)
    assert (told.path, told.kind) == (b"mlruns/1", ConflictKind.TRASHED)
    lab.merges.resolve("main", b"mlruns/1", who=lab.request().author, side=side)
    assert lab.resume().outcome is Outcome.MERGED
    found = {path.split(b"/")[-2] for path in lab.held() if path.endswith(b"/meta.yaml")}
    assert found == ({b"0", b"1", b"a", b"b"} if side is Side.OURS else {b"0", b"1", b"a"})
    assert (META in lab.held()) is (side is Side.OURS)
    assert any(b".trash" in path for path in lab.held()) is (side is Side.THEIRS)


def test_two_experiments_of_one_name_are_told(lab: Lab) -> None:
    """One side renamed its experiment to what the other called a new one."""
    before = experiment("1", "x", "a")
    lab.change("main", before)
    lab.merge("main", "dev")
    lab.change("main", experiment("1", "y", "a"))
    lab.change("dev", experiment("2", "y", "b", made=11))
    (told,) = conflicts(lab)
    assert told.kind is ConflictKind.CONSTRAINT
    assert "both be named 'y'" in told.message


# One file


RUN = b"mlruns/1/r/"


def test_metrics_of_one_run_are_appended() -> None:
    """The lines of ours, then those that theirs added; what both logged is there once."""
    base = b"1 0.5 1\n"
    ours, theirs = base + b"2 0.4 2\n3 0.1 3\n", base + b"2 0.4 2\n2 0.3 9\n"
    found = merge("mlflow", base, ours, theirs, path=RUN + b"metrics/a/loss")
    assert found.data == ours + b"2 0.3 9\n"
    assert (
        merge("mlflow", theirs, found.data, theirs, path=RUN + b"metrics/a/loss").data == found.data
    )


@pytest.mark.parametrize("line", [b"x", b"1", b"1 x 1", b"1 0.5 x", b"1 0.5 1 2 3 4 5"])
def test_a_line_that_is_no_metric_is_a_conflict(line: bytes) -> None:
    (told,) = merge(
        "mlflow", b"1 1 1\n", line + b"\n", b"2 2 2\n", path=RUN + b"metrics/m"
    ).conflicts
    assert (told.kind, told.where) == (ConflictKind.MALFORMED, "ours, byte 0")


@pytest.mark.parametrize("key", ["params/rate", "tags/who/am/i", "tags/mlflow.note"])
def test_a_value_set_in_two_ways_is_named_by_run_and_key(key: str) -> None:
    """And is settled by a policy alone."""
    path = RUN + key.encode()
    (told,) = merge("mlflow", b"a", b"b", b"c", path=path).conflicts
    assert told.message.startswith(f"both sides set {key} of 1/r,")
    assert (told.where, told.base, told.ours, told.theirs) == (key, "a", "b", "c")
    found = merge("mlflow:conflict=theirs", b"a", b"b", b"c", path=path)
    assert found.data == b"c"
    assert found.open_conflicts == []


def test_a_document_merges_by_key() -> None:
    """Keys of both sides; the aliases of a model, too; a status set in two ways is told."""
    base = b"aliases:\n  a: '1'\nstatus: 1\nx: 1\n"
    ours = b"aliases:\n  a: '2'\nstatus: 3\nx: 1\n"
    theirs = b"aliases:\n  a: '1'\n  b: '1'\nstatus: 4\nx: 2\n"
    found = merge("mlflow", base, ours, theirs, path=b"mlruns/models/m/meta.yaml")
    assert found.data == b"aliases:\n  a: '2'\n  b: '1'\nstatus: 3\nx: 2\n"
    assert [one.where for one in found.conflicts] == ["status"]


def test_artifacts_merge_as_they_do_by_themselves() -> None:
    """A folder of artifacts may hold anything, documents that are none of MLflow's too."""
    path = RUN + b"artifacts/meta.yaml"
    found = merge("mlflow", b"a\nb\nc\n", b"A\nb\nc\n", b"a\nb\nC\n", path=path)
    assert (found.data, found.note) == (b"A\nb\nC\n", "text")


@pytest.mark.parametrize("path", ["mlruns/../x", "x/y", "mlruns", "mlruns/.git/x", "mlruns//x"])
def test_an_answer_stays_in_its_folder(path: str) -> None:
    """What a driver's process says is checked before anything is moved."""
    place = path.encode().hex()
    for moves, files in (([[place, place]], {}), ([], {place: ""})):
        edit = {"moves": moves, "files": files}
        value = {"edits": {"base": edit, "theirs": edit}, "held": [], "note": ""}
        with pytest.raises(NonsenseError):
            decode_alignment(value, b"mlruns")


NAMES = st.lists(st.sampled_from(["a", "b", "c"]), unique=True, max_size=3)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ours=NAMES, theirs=NAMES, later=NAMES)
def test_no_run_vanishes_or_changes_its_experiment(
    tmp_path_factory: pytest.TempPathFactory, ours: list[str], theirs: list[str], later: list[str]
) -> None:
    """Also when a branch that was merged goes on by the numbers that it knows."""
    lab = Lab(tmp_path_factory.mktemp("lab") / "repository")
    try:
        lab.change("main", experiment("0", "Default"))
        lab.merge("main", "dev")
        count = iter(range(1000))
        known: dict[str, dict[str, str]] = {"main": {}, "dev": {}}
        wanted: dict[str, str] = {}

        def log(branch: str, chosen: list[str]) -> None:
            files: Files = {}
            for name in chosen:
                number = known[branch].setdefault(name, str(len(known[branch]) + 1))
                run = f"r{next(count)}"
                wanted[run] = name
                files |= experiment(number, name, run, made=10 + ord(name))
            lab.change(branch, files | {f"mark {next(count)}".encode(): b"x"})

        log("main", ours)
        for chosen in (theirs, later):
            log("dev", chosen)
            assert conflicts(lab) == []
            assert names(lab.held()) == wanted
    finally:
        lab.bench.close()
