"""Which command of Git a command line is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mlbfs.mount.callers import git_command_of, parse_git_command


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("git status", b"status"),
        ("/usr/bin/git check-ignore -- a", b"check-ignore"),
        ("git -C status add check-ignore", b"add"),
        ("git -c alias.add=status --no-pager --git-dir .git log", b"log"),
        ("git --git-dir=x -p fetch", b"fetch"),
        ("git --exec-path", None),
        ("/usr/lib/git-core/git-upload-pack .", b"upload-pack"),
        ("git", None),
        ("git -C", None),
        ("python git status", None),
        ("legit status", None),
        ("", None),
    ],
)
def test_command_line(line: str, expected: bytes | None) -> None:
    """The command is the first argument that is no option, nor the value of one."""
    assert parse_git_command(line.encode().split()) == expected


def test_process() -> None:
    """The command of a running process is read; one that is not there has none."""
    program = "import sys; sys.stdin.read()"
    with subprocess.Popen(
        ["git", "status", "-c", program], executable=sys.executable, stdin=subprocess.PIPE
    ) as process:
        # Popen returns after the program was started, so its line is there.
        assert git_command_of(process.pid) == b"status"
        process.kill()
    assert git_command_of(process.pid) is None
    assert git_command_of(0) is None
