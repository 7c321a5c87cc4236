"""The report of a merge: all conflicts with base, ours and theirs, as JSON or as a database."""

from __future__ import annotations

import json
import os
import sqlite3
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cli

BRANCH = "data/raw"
LONG = "x" * 5000


def make_database(path: Path, *statements: str) -> None:
    """Makes a database of runs, and does something to it."""
    path.unlink(missing_ok=True)
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE runs (id INTEGER PRIMARY KEY, loss REAL, note)")
    database.execute("INSERT INTO runs VALUES (1, 0.5, 'first'), (2, 0.25, x'00ff')")
    for sql in statements:
        database.execute(sql)
    database.commit()
    database.close()


@pytest.fixture
def runs(cli: Cli, repository: Path, data: Path) -> Path:
    """Two branches that set the same cells of a database, and other things, in two ways."""
    path = data / "runs.db"
    make_database(path)
    cli.ok("import", path, "-b", BRANCH, cwd=repository)
    cli.ok("branch", "dev", BRANCH, cwd=repository)
    for branch, loss, note in (("dev", 0.1, f"'{LONG}'"), (BRANCH, 0.2, "NULL")):
        make_database(
            path,
            f"UPDATE runs SET loss = {loss} WHERE id = 1",
            f"UPDATE runs SET note = {note} WHERE id = 2",
        )
        (data / "notes").write_text(f"{branch}\n")
        cli.ok("import", path, data / "notes", "-b", branch, cwd=repository)
    return data


def rows(report: Path, query: str) -> list[tuple[object, ...]]:
    """Returns what a query finds in a report."""
    database = sqlite3.connect(report)
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()


def test_a_database_has_a_row_for_each_cell(cli: Cli, repository: Path, runs: Path) -> None:
    """Base, ours and theirs of every cell, and what the merge was."""
    report = runs / "report.sqlite"
    done = cli.run("merge", "dev", "--into", BRANCH, "--report", report, cwd=repository)
    assert done.code == 3
    found = rows(report, "SELECT path, kind, place, base, ours, theirs, settled FROM conflicts")
    cells = [row for row in found if row[1] == "cell"]
    assert cells == [
        ("runs.db", "cell", "runs[1].loss", "0.5", "0.2", "0.1", None),
        ("runs.db", "cell", "runs[2].note", "x'00FF'", "NULL", LONG[:4096] + "...", None),
    ]
    assert [row[:2] for row in found if row not in cells] == [("notes", "added-twice")]
    facts = dict(rows(report, "SELECT name, value FROM merge"))
    assert (facts["outcome"], facts["branch"], facts["commit"]) == ("conflicts", BRANCH, None)
    assert os.listdir(runs).count("report.sqlite") == 1
    assert not [name for name in os.listdir(runs) if name.startswith(".report")]


def test_json_is_what_the_command_shows(cli: Cli, repository: Path, runs: Path) -> None:
    """Every other name is JSON; a dry run writes it, too, and settled conflicts are in it."""
    report = runs / "report.json"
    options = ("--strategy-for", "*.db=sqlite:conflict=ours", "--json", "--report", report)
    done = cli.run("merge", "dev", "--into", BRANCH, "--dry-run", *options, cwd=repository)
    assert done.code == 3
    assert json.loads(report.read_text()) == done.json
    assert {one["settled"] for one in done.json["conflicts"]} == {"ours", None}


def test_no_file_is_replaced(cli: Cli, repository: Path, runs: Path) -> None:
    """What is there stays, and nothing is merged; so with a folder that is not there."""
    before = cli.ok("log", BRANCH, "--json", cwd=repository).out
    report = runs / "mine.json"
    report.write_text("mine")
    done = cli.fails(1, "merge", "dev", "--into", BRANCH, "--report", report, cwd=repository)
    assert "is there already" in done.err
    assert report.read_text() == "mine"
    lost = runs / "no" / "report.json"
    cli.fails(1, "merge", "dev", "--into", BRANCH, "--report", lost, cwd=repository)
    abort = cli.run("merge", "--abort", "--into", BRANCH, "--report", lost, cwd=repository)
    assert (abort.code, "--abort has nothing" in abort.err) == (2, True)
    assert cli.ok("log", BRANCH, "--json", cwd=repository).out == before
    cli.fails(1, "resolve", "--into", BRANCH, cwd=repository)


def test_going_on_and_picking_report_too(cli: Cli, repository: Path, runs: Path) -> None:
    """A merge without conflicts has an empty report."""
    cli.run("merge", "dev", "--into", BRANCH, cwd=repository)
    for path in ("runs.db", "notes"):
        cli.ok("resolve", path, "--ours", "--into", BRANCH, cwd=repository)
    report = runs / "going-on.db"
    cli.ok("merge", "--continue", "--into", BRANCH, "--report", report, cwd=repository)
    assert rows(report, "SELECT count(*) FROM conflicts") == [(0,)]
    assert rows(report, "SELECT value FROM merge WHERE name = 'outcome'") == [("merged",)]
    picked = runs / "picked.json"
    done = cli.run("cherry-pick", "dev", "--into", BRANCH, "--report", picked, cwd=repository)
    assert done.code == 3
    assert json.loads(picked.read_text())["outcome"] == "conflicts"


def test_a_name_that_is_no_text_is_kept_as_bytes(
    cli: Cli, repository: Path, data: Path, tmp_path: Path
) -> None:
    """A path of other bytes is a blob in a database, and turns back into itself from JSON."""
    cli.ok("branch", "dev", BRANCH, cwd=repository)
    name = os.fsdecode(b"caf\xe9")
    for branch, text in (("dev", "theirs\n"), (BRANCH, "ours\n")):
        (data / name).write_text(text)
        cli.ok("import", data / name, "-b", branch, cwd=repository)
    for suffix in ("db", "json"):
        report = tmp_path / f"report.{suffix}"
        options = ("--dry-run", "--report", report)
        done = cli.run("merge", "dev", "--into", BRANCH, *options, cwd=repository)
        assert done.code == 3
    assert rows(tmp_path / "report.db", "SELECT path FROM conflicts") == [(b"caf\xe9",)]
    (found,) = json.loads((tmp_path / "report.json").read_text())["conflicts"]
    assert os.fsencode(found["path"]) == b"caf\xe9"
