"""Merging tables through the command line: what is stored, what is told, and without pyarrow."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cli

BRANCH = "data/raw"
ROWS = 200_000


def numbers(first: int, count: int) -> pa.Table:
    values = np.random.default_rng(first).random(count)
    return pa.table({"id": np.arange(first, first + count), "value": values})


@pytest.fixture
def table(cli: Cli, repository: Path, data: Path) -> Path:
    """Two branches that each appended to one table."""
    path = data / "table.parquet"
    base = numbers(0, ROWS)
    pq.write_table(base, path, row_group_size=50_000)
    cli.ok("import", path, "-b", BRANCH, cwd=repository)
    cli.ok("branch", "dev", BRANCH, cwd=repository)
    for branch, first in ((BRANCH, ROWS), ("dev", 2 * ROWS)):
        pq.write_table(pa.concat_tables([base, numbers(first, 100)]), path, row_group_size=50_000)
        cli.ok("import", path, "-b", branch, cwd=repository)
    return path


def stored(repository: Path) -> int:
    packs = repository / ".git" / "mlbfs" / "packs"
    return sum(path.stat().st_size for path in packs.rglob("*") if path.is_file())


def test_tables_append_and_little_is_stored(
    cli: Cli, repository: Path, table: Path, tmp_path: Path
) -> None:
    """By default, by the first bytes of the file; the message says what came in."""
    before = stored(repository)
    cli.ok("merge", "dev", "--into", BRANCH, cwd=repository)
    assert stored(repository) - before < table.stat().st_size / 20
    cli.ok("export", BRANCH, tmp_path / "out", cwd=repository)
    found = pq.read_table(tmp_path / "out" / "table.parquet")
    wanted = pa.concat_tables([numbers(0, ROWS), numbers(ROWS, 100), numbers(2 * ROWS, 100)])
    assert found.equals(wanted)
    message = subprocess.run(
        ["git", "log", "-1", "--format=%b", BRANCH], cwd=repository, capture_output=True, check=True
    ).stdout.decode()
    assert "table.parquet: parquet (100 records came in)" in message


def test_the_attribute_names_a_key(cli: Cli, repository: Path, table: Path) -> None:
    """What is in conflict is told with its key."""
    base = numbers(0, ROWS).slice(0, 10)
    for branch, value in ((BRANCH, 1.0), ("dev", 2.0)):
        changed = pa.concat_tables([base.slice(0, 9), pa.table({"id": [9], "value": [value]})])
        pq.write_table(changed, table)
        cli.ok("import", table, "-b", branch, cwd=repository)
    told = cli.run(
        *("merge", "dev", "--into", BRANCH, "--strategy-for", "*.parquet=parquet:key=id"),
        cwd=repository,
    )
    assert told.code == 3
    assert "table.parquet at id=9, column value: both sides changed this cell" in told.out


def test_without_pyarrow_the_other_files_merge(
    cli: Cli, repository: Path, table: Path, tmp_path: Path
) -> None:
    """The table is a conflict that says what to install."""
    hidden = tmp_path / "hidden" / "pyarrow"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ModuleNotFoundError('No module named pyarrow')\n")
    environment = {"PYTHONPATH": str(hidden.parent)}
    told = cli.run("merge", "dev", "--into", BRANCH, cwd=repository, env=environment)
    assert told.code == 3
    assert "pip install 'mlbfs[parquet]'" in told.out
    assert "Traceback" not in told.err
