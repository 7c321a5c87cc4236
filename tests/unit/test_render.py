"""How values are shown to people."""

from __future__ import annotations

import io
import json
import os
import sys

import pytest

from mlbfs.cli import render


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (4_200_000_000, "4.2 GB"),
        (10**21, "1000.0 EB"),
        (-1500, "-1.5 kB"),
    ],
)
def test_sizes_are_decimal_with_one_digit(size: int, text: str) -> None:
    """A size never shows four digits before its unit, save at the end of the units."""
    assert render.size_text(size) == text


def test_counts_have_separators_and_agree_with_their_noun() -> None:
    """One file, two files, 1,797 files, two branches."""
    assert render.count_text(1, "file") == "1 file"
    assert render.count_text(1797, "file") == "1,797 files"
    assert render.count_text(2, "branch", "branches") == "2 branches"


def test_times_keep_the_zone_of_whoever_made_them() -> None:
    """For people in that zone, for programs in UTC."""
    assert render.time_text(0, 90) == "1970-01-01 01:30:00 +0130"
    assert render.json_time(0) == "1970-01-01T00:00:00Z"


class _Stdout:
    """A standard output that keeps its bytes."""

    def __init__(self) -> None:
        self.buffer = io.BytesIO()

    def flush(self) -> None:
        """Does nothing."""


def test_names_go_out_as_the_bytes_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is not UTF-8 survives a pipe, and JSON."""
    stdout = _Stdout()
    monkeypatch.setattr(sys, "stdout", stdout)
    render.out(render.path_text(b"nm\xff"))
    render.out_json(render.path_text(b"nm\xff"))
    first, _, rest = stdout.buffer.getvalue().partition(b"\n")
    assert first == b"nm\xff"
    assert os.fsencode(json.loads(rest)) == b"nm\xff"


def test_table_aligns_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells of a column begin, or end, at one place; nothing trails."""
    stdout = _Stdout()
    monkeypatch.setattr(sys, "stdout", stdout)
    render.table([("a", "1", "x"), ("bcd", "20", "")], right=frozenset({1}))
    render.table([])
    assert stdout.buffer.getvalue() == b"a     1  x\nbcd  20\n"
