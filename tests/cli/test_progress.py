"""Bars: bytes as they go, on a terminal only, and never on standard output."""

from __future__ import annotations

import os
import pty
import random
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cli

pytestmark = pytest.mark.slow

SIZE = 60_000_000


def _on_terminal(cli: Cli, *words: str | Path, cwd: Path) -> bytes:
    """Runs a command whose standard error is a terminal; returns what went there."""
    ours, theirs = pty.openpty()
    process = cli.start(*words, cwd=cwd, stderr=theirs, env={"TERM": "xterm", "COLUMNS": "120"})
    os.close(theirs)
    shown = b""
    while piece := _read(ours):
        shown += piece
    os.close(ours)
    out, _ = process.communicate()
    assert process.returncode == 0, shown
    assert b"\x1b" not in out
    return shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other side has closed it
        return b""


@pytest.fixture
def big(cli: Cli, repository: Path) -> Path:
    """A file that takes a moment."""
    made = cli.work / "big.bin"
    made.write_bytes(random.Random(1).randbytes(SIZE))
    return made


@pytest.mark.fuse
def test_one_large_file_shows_bytes(cli: Cli, repository: Path, big: Path) -> None:
    """Import, commit and export tell how many bytes are done, and of how many."""
    shown = _on_terminal(cli, "import", big, "-b", "big", cwd=repository)
    assert b"60.0 MB" in shown
    shown = _on_terminal(cli, "export", "big:big.bin", cli.work / "out.bin", cwd=repository)
    assert b"60.0 MB" in shown
    point = cli.work / "mnt"
    point.mkdir()
    cli.ok("mount", "big", point, cwd=repository)
    (point / "more.bin").write_bytes(random.Random(2).randbytes(SIZE))
    shown = _on_terminal(cli, "commit", point, "-m", "More", cwd=repository)
    assert b"60.0 MB" in shown
    cli.ok("umount", point)


def test_no_bar_without_a_terminal(cli: Cli, repository: Path, big: Path) -> None:
    """A log file gets words only."""
    done = cli.ok("import", big, "-b", "big", cwd=repository)
    assert done.err == ""
    assert "\x1b" not in done.out
