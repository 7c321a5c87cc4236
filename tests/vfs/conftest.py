"""Workspaces driven directly, without a kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlbfs.store.dirindex import EntryKind
from mlbfs.workspace.testing import Bench, Paths, Shape, file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BIG = bytes(range(256)) * 8192
"""2 MiB: more than what a first write copies."""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A repository with one commit on `main`."""
    bench = Bench(tmp_path / "repository")
    bench.commit(
        {
            b"a": b"text of a\n",
            b"big": BIG,
            b"run": file(b"#!/bin/sh\n", executable=True),
            b"link": Shape(EntryKind.SYMLINK, b"a"),
            b"d/one": b"1\n",
            b"d/two": b"2\n",
            b"d/e/deep": b"deep\n",
            b"copy/one": b"1\n",
            b"copy/two": b"2\n",
            b"copy/e/deep": b"deep\n",
        }
    )
    yield bench
    bench.close()


@pytest.fixture
def paths(bench: Bench) -> Iterator[Paths]:
    """The workspace of `main`, by path."""
    with bench.open() as workspace:
        yield Paths(workspace)
