"""Databases with the tables of MLflow merge by what its numbers stand for."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbfs.merge.kinds import kind_of
from mlbfs.workspace.source import BytesReader
from tests.contract.merging import Merged, merge

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA = """
CREATE TABLE alembic_version (version_num PRIMARY KEY);
CREATE TABLE experiments (
    experiment_id INTEGER PRIMARY KEY, name TEXT UNIQUE, artifact_location TEXT,
    creation_time INT, last_update_time INT);
CREATE TABLE runs (run_uuid TEXT PRIMARY KEY, experiment_id INT REFERENCES experiments);
CREATE TABLE metrics (key TEXT, value REAL, timestamp INT, step INT, run_uuid TEXT,
    PRIMARY KEY (key, timestamp, step, run_uuid, value));
CREATE TABLE latest_metrics (key TEXT, value REAL, timestamp INT, step INT, is_nan INT,
    run_uuid TEXT, PRIMARY KEY (key, run_uuid));
CREATE TABLE rollups (id INTEGER PRIMARY KEY, experiment_id INT, what TEXT);
CREATE TABLE entity_associations (source_type TEXT, source_id TEXT, destination_type TEXT,
    destination_id TEXT, PRIMARY KEY (source_type, source_id, destination_type, destination_id));
CREATE TABLE model_versions (name TEXT, version INT, creation_time INT, run_id TEXT,
    PRIMARY KEY (name, version));
CREATE TABLE registered_model_aliases (name TEXT, alias TEXT, version INT,
    PRIMARY KEY (name, alias));
"""


def store(before: bytes | None, *statements: str) -> bytes:
    """Returns a store, or what became of one."""
    with closing(sqlite3.connect(":memory:")) as database:
        if before is None:
            database.executescript(SCHEMA)
        else:
            database.deserialize(before)
        for statement in statements:
            database.execute(statement)
        database.commit()
        return database.serialize()


def rows(data: bytes | None, query: str) -> list[tuple[object, ...]]:
    assert data is not None
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(data)
        return sorted(database.execute(query).fetchall())


def experiment(number: int, name: str, *, made: int = 10, updated: int = 10) -> str:
    place = f"'mlruns/{number}', {made}, {updated}"
    return f"INSERT INTO experiments VALUES ({number}, '{name}', {place})"


def run(name: str, number: int) -> str:
    return f"INSERT INTO runs VALUES ('{name}', {number})"


BY_NAME = "SELECT name, run_uuid FROM runs JOIN experiments USING (experiment_id)"


def sides(ours: Sequence[str], theirs: Sequence[str]) -> tuple[bytes, bytes, bytes]:
    base = store(None, experiment(0, "Default"))
    return base, store(base, *ours), store(base, *theirs)


def test_all_that_names_an_experiment_follows() -> None:
    """Tables without a foreign key and ids that are written as text follow the new number."""
    versions = sides(
        [experiment(1, "ours"), run("a", 1)],
        [
            experiment(1, "theirs"),
            run("b", 1),
            "INSERT INTO rollups VALUES (1, 1, 'theirs')",
            "INSERT INTO entity_associations VALUES ('dataset', 'd', 'experiment', '1')",
            "INSERT INTO entity_associations VALUES ('dataset', '1', 'run', '1')",
        ],
    )
    found = merge("mlflow", *versions)
    assert found.conflicts == ()
    assert found.note == "1 experiment of theirs got a new number"
    assert rows(found.data, BY_NAME) == [("ours", "a"), ("theirs", "b")]
    assert rows(found.data, "SELECT experiment_id FROM rollups") == [(2,)]
    named = "SELECT source_id, destination_id FROM entity_associations"
    assert rows(found.data, named) == [("1", "1"), ("d", "2")]
    auto = merge("auto", *versions, path=b"runs.db")
    assert (auto.data, auto.note) == (found.data, f"mlflow: {found.note}")


def test_an_experiment_of_both_is_one() -> None:
    """Made by both with two numbers: its times are the earlier and the later, its place ours."""
    versions = sides(
        [experiment(1, "shared", made=30, updated=31), run("a", 1)],
        [
            experiment(1, "theirs"),
            experiment(2, "shared", made=20, updated=35),
            run("b", 2),
            run("c", 1),
        ],
    )
    found = merge("mlflow", *versions)
    assert found.conflicts == ()
    assert rows(found.data, BY_NAME) == [("shared", "a"), ("shared", "b"), ("theirs", "c")]
    wanted = [(0, 10, 10), (1, 20, 35), (3, 10, 10)]
    assert (
        rows(found.data, "SELECT experiment_id, creation_time, last_update_time FROM experiments")
        == wanted
    )
    place = "SELECT artifact_location FROM experiments WHERE name = 'shared'"
    assert rows(found.data, place) == [("mlruns/1",)]


def test_times_that_both_changed_settle() -> None:
    """Both used one experiment: it was last updated by the later of them."""
    base = store(None, experiment(0, "Default"))
    ours, theirs = (store(base, f"UPDATE experiments SET last_update_time = {n}") for n in (30, 20))
    for one, other in ((ours, theirs), (theirs, ours)):
        found = merge("mlflow", base, one, other)
        assert found.conflicts == ()
        assert rows(found.data, "SELECT last_update_time FROM experiments") == [(30,)]


def test_the_latest_value_of_a_metric_is_that_of_the_later_step() -> None:
    """Both went on with one run; the table of latest values is what MLflow would have in it."""
    latest = "INSERT INTO latest_metrics VALUES ('loss', {}, {}, {}, 0, 'r')"
    base = store(None, experiment(0, "Default"), run("r", 0), latest.format(0.9, 1, 1))
    change = "UPDATE latest_metrics SET value = {}, timestamp = {}, step = {}"
    ours = store(base, change.format(0.5, 9, 2))
    theirs = store(base, change.format(0.7, 5, 3))
    for one, other in ((ours, theirs), (theirs, ours)):
        found = merge("mlflow", base, one, other)
        assert found.conflicts == ()
        assert rows(found.data, "SELECT value, timestamp, step FROM latest_metrics") == [
            (0.7, 5, 3)
        ]


def test_versions_of_a_model_that_both_made_are_two() -> None:
    """The version of theirs gets the next number, and the aliases that theirs gave follow."""
    version = "INSERT INTO model_versions VALUES ('m', {}, {}, '{}')"
    alias = "INSERT INTO registered_model_aliases VALUES ('m', '{}', {})"
    base = store(None, experiment(0, "Default"), version.format(1, 10, "r"), alias.format("old", 1))
    ours = store(base, version.format(2, 20, "a"), alias.format("mine", 2))
    theirs = store(base, version.format(2, 21, "b"), alias.format("other", 2))
    found = merge("mlflow", base, ours, theirs)
    assert found.conflicts == ()
    assert found.note == "1 model version of theirs got a new number"
    joined = "SELECT alias, run_id FROM registered_model_aliases "
    joined += "JOIN model_versions USING (name, version)"
    assert rows(found.data, joined) == [("mine", "a"), ("old", "r"), ("other", "b")]
    again = merge("mlflow", theirs, found.data or b"", theirs)
    assert again.data == found.data


def test_a_value_set_in_two_ways_is_a_conflict() -> None:
    """What is no time is the sides' own: it is told, and settled by conflict= alone."""
    base = store(None, experiment(0, "Default"))
    ours, theirs = (store(base, f"UPDATE experiments SET name = '{n}'") for n in "ab")
    (told,) = merge("mlflow", base, ours, theirs).conflicts
    assert told.where == "experiments[0].name"
    assert merge("mlflow:conflict=theirs", base, ours, theirs).open_conflicts == []


NAMES = st.sampled_from(["a", "b", "c", "d"])


@st.composite
def histories(draw: st.DrawFn) -> tuple[bytes, bytes, bytes, bytes]:
    """A base, ours, theirs, and what theirs became after that."""
    names = iter(range(1000))

    def more(data: bytes) -> bytes:
        there = {
            str(name): number
            for name, number in rows(data, "SELECT name, experiment_id FROM experiments")
        }
        statements = []
        for name in draw(st.lists(NAMES, unique=True, max_size=3)):
            if name not in there:
                there[name] = max(map(int, there.values())) + 1
                made = next(names)
                statements.append(experiment(there[name], name, made=made, updated=made))
            statements.append(run(f"{next(names)} in {name}", there[name]))
        return store(data, *statements)

    base = more(store(None, experiment(0, "Default")))
    theirs = more(base)
    return base, more(base), theirs, more(theirs)


def check_runs(found: Merged, *wanted: bytes) -> None:
    """Every run of the sides is in the experiment of the name that it was made in."""
    assert found.conflicts == ()
    runs = rows(found.data, BY_NAME)
    assert {run for data in wanted for run in rows(data, BY_NAME)} == set(runs)
    assert all(str(name) == str(one).partition(" in ")[2] for name, one in runs)


@settings(max_examples=25)
@given(histories())
def test_no_run_vanishes_or_changes_its_experiment(history) -> None:
    """Also when a branch that was merged goes on by the numbers that it knows."""
    base, ours, theirs, later = history
    merged = merge("mlflow", base, ours, theirs)
    check_runs(merged, ours, theirs)
    assert merged.data is not None
    assert merge("mlflow", theirs, merged.data, theirs).data == merged.data
    check_runs(merge("mlflow", theirs, merged.data, later), merged.data, later)


@settings(max_examples=15)
@given(histories())
def test_a_side_that_did_nothing_gives_way(history) -> None:
    """Merging with the base gives the other side, row by row."""
    base, _, theirs, _ = history
    found = merge("mlflow", base, base, theirs)
    for query in (BY_NAME, "SELECT * FROM experiments"):
        assert rows(found.data, query) == rows(theirs, query)
    assert merge("mlflow", base, theirs, base).data == theirs


def test_a_store_is_known_by_its_tables() -> None:
    """A database with the tables of MLflow is merged by `mlflow` by itself, others are not."""
    assert kind_of(b"x", BytesReader(store(None))) == "mlflow"
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE experiments (experiment_id)")
        database.execute("INSERT INTO experiments VALUES ('tablerunsruns')")
        database.commit()
        assert kind_of(b"x", BytesReader(database.serialize())) == "sqlite"


@pytest.mark.parametrize("many", [5, 400])
def test_a_long_schema_is_looked_through(many: int) -> None:
    """Names are found in any page of the schema; one that leads in circles ends."""
    tables = (f"CREATE TABLE t{n} (a CHECK (a <> '{'x' * 300}'))" for n in range(many))
    data = store(store(None), *tables)
    assert kind_of(b"x", BytesReader(data)) == "mlflow"
    broken = bytearray(store(None))
    broken[100] = 5
    broken[103:112] = b"\0\0\0\0\0\0\0\0\1"
    assert kind_of(b"x", BytesReader(bytes(broken))) == "sqlite"


def test_what_is_no_database_is_a_conflict() -> None:
    """Bytes that only begin like one are told of with their side."""
    base, ours, _ = sides([run("a", 0)], [])
    (told,) = merge("mlflow", base, ours, b"SQLite format 3\0" + b"x" * 600).conflicts
    assert told.where == "theirs"
    assert told.kind == "malformed"
