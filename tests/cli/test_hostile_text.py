"""Names and messages of strangers: nothing of them moves a terminal, and nothing is lost."""

from __future__ import annotations

import os
import pty
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cli

pytestmark = pytest.mark.slow

NAME = "esc\x1b[31mred\u009b1m\x7f"
QUOTED = r'"esc\033[31mred\302\2331m\177"'
TITLE = "\x1b]0;title\x07"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@pytest.fixture
def hostile(cli: Cli) -> Path:
    """A repository whose names, messages and text try to talk to the terminal."""
    cli.ok("init", "repo")
    (cli.work / "src").mkdir()
    (cli.work / "src" / NAME).write_text(f"one{TITLE}\n")
    (cli.work / "src" / 'a"b\\c').write_text("x")
    repo = cli.work / "repo"
    cli.ok("import", "src/", "-b", "main", "-m", f"First{TITLE}", cwd=cli.work, env=_at(repo))
    (cli.work / "src" / NAME).write_text(f"two{TITLE}\n")
    cli.ok("import", "src/", "-b", "next", "-m", "Second", cwd=cli.work, env=_at(repo))
    cli.ok("tag", "v1", "main", "-m", f"Tag{TITLE}", cwd=repo)
    return repo


def _at(repo: Path) -> dict[str, str]:
    return {"GIT_DIR": str(repo / ".git")}


def test_no_control_character_reaches_the_output(cli: Cli, hostile: Path) -> None:
    """Names are quoted as Git does, and messages written harmlessly, to a pipe as to a terminal."""
    for command in (["ls", "main"], ["ls", "-lr", "main"], ["diff", "--stat", "main", "next"]):
        out = cli.ok(*command, cwd=hostile).out
        assert QUOTED in out
        assert CONTROL.search(out) is None
    assert r'"a\"b\\c"' in cli.ok("ls", "main", cwd=hostile).out
    for command in (["log", "main"], ["log", "--graph", "main"], ["branch"], ["tag"]):
        out = cli.ok(*command, cwd=hostile).out
        assert r"\x1b]0;title\x07" in out
        assert CONTROL.search(out) is None


def test_json_has_names_and_messages_exactly(cli: Cli, hostile: Path) -> None:
    """Programs get what is there."""
    assert NAME in [entry["path"] for entry in cli.ok("ls", "main", "--json", cwd=hostile).json]
    assert (
        cli.ok("log", "main", "--json", cwd=hostile).json[0]["message"].startswith(f"First{TITLE}")
    )


def test_lines_of_files_are_exact_but_for_a_terminal(cli: Cli, hostile: Path) -> None:
    """A diff in a pipe can be applied; on a terminal it cannot do harm."""
    assert f"+two{TITLE}" in cli.ok("diff", "main", "next", cwd=hostile).out
    ours, theirs = pty.openpty()
    process = cli.start("diff", "main", "next", cwd=hostile, stdout=theirs)
    os.close(theirs)
    shown = b""
    while piece := _read(ours):
        shown += piece
    os.close(ours)
    process.communicate()
    assert rb"+two\x1b]0;title\x07" in shown
    assert b"\x1b" not in shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other side has closed it
        return b""
