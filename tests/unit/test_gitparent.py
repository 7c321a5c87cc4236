"""Which commands of Git only show things: in doubt, one writes files."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mlbfs.workspace.gitparent import git_above, only_shows

ALIASES = {"lg": "log -p", "co": "checkout", "sh": "!git log", "bad": "'", "deep": "lg"}


@pytest.mark.parametrize(
    ("words", "shows"),
    [
        ("log -p", True),
        ("-C diff log", True),
        ("-C log checkout x", False),
        ("-c a.b=log --git-dir x --no-pager show", True),
        ("--git-dir=x checkout log", False),
        ("lg", True),
        ("co log", False),
        ("sh", False),
        ("bad", False),
        ("deep", False),
        ("unknown log", False),
        ("-c", False),
        ("", False),
        ("difftool", False),
        ("stash show", False),
    ],
)
def test_commands(words: str, shows: bool) -> None:
    """Options of Git before the command are stepped over, and an alias is looked up once."""
    assert only_shows(words.split(), ALIASES.get) is shows


def test_the_process_above() -> None:
    """Found through a shell; where there is no Git, there is none."""
    assert git_above(2**30) is None
    script = (
        "import os; from mlbfs.workspace.gitparent import git_above;"
        "found = git_above(os.getppid()); print(found and found.words)"
    )
    command = f"!'{sys.executable}' -c '{script}' ; true"
    done = subprocess.run(
        ["git", "-c", f"alias.x={command}", "x"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.strip() == str(["-c", f"alias.x={command}", "x"])
