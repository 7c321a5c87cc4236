"""The drawing of histories."""

from __future__ import annotations

import pytest

from mlbfs.cli.graph import GraphDrawer

CASES = {
    "line": ([("c", "b"), ("b", "a"), ("a", "")], ["* c", "* b", "* a"]),
    "merge": (
        [("m", "ab"), ("b", "r"), ("a", "r"), ("r", "")],
        ["* m", "|\\", "| * b", "* | a", "|/", "* r"],
    ),
    "two tips": (
        [("x", "r"), ("y", "r"), ("r", "")],
        ["* x", "| * y", "|/", "* r"],
    ),
    "octopus": (
        [("m", "abc"), ("a", "r"), ("b", "r"), ("c", "r"), ("r", "")],
        ["* m", "|\\", "|\\ \\", "* | | a", "| * | b", "| | * c", "|_|/", "|/", "* r"],
    ),
    "two roots": ([("m", "ab"), ("a", ""), ("b", "")], ["* m", "|\\", "* | a", " /", "* b"]),
}


@pytest.mark.parametrize("name", CASES)
def test_drawing(name: str) -> None:
    """Lanes part below a merge and join above a common parent."""
    commits, expected = CASES[name]
    drawer = GraphDrawer()
    lines: list[str] = []
    for commit, parents in commits:
        lines += drawer.lines(commit.encode(), [p.encode() for p in parents], commit)
    assert lines == expected
