"""Which command of Git a command line is, and what it may ask of an index."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mlbfs.mount.git_calls import GitCall, Question, git_call_of, parse_git_call, question_of


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
    call = parse_git_call(line.encode().split())
    assert (None if call is None else call.command) == expected


def test_process() -> None:
    """The call of a running process is read; one that is not there has none."""
    program = "print(flush=True); input()"
    line = ["git", "-c", program, "status", "--long"]  # Python takes the same as `-c`
    with subprocess.Popen(
        line, executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        assert git_call_of(process.pid) == GitCall(b"status", [b"--long"])
        process.kill()
    assert git_call_of(process.pid) is None
    assert git_call_of(0) is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("check-ignore -v a", Question.TRACKED),
        ("fetch --all", Question.TRACKED),
        ("ls-files", Question.TRACKED),
        ("ls-files -z --cached -- -o", Question.TRACKED),
        ("ls-files -o", None),
        ("ls-files -zo", None),
        ("ls-files --modified", None),
        ("ls-files -t", None),
        ("describe --dirty --tags --long", Question.CHANGED),
        ("status", None),
        ("status --porcelain", None),
        ("status --porcelain=v2 -b -uno", Question.CHANGED),
        ("status -s --untracked-files=no", Question.CHANGED),
        ("status -uno -uall", None),
        ("status -uno -v", None),
        ("status -- -uno", None),
        ("diff", None),
        ("diff HEAD -- --raw", None),
        ("diff --stat", None),
        ("diff --cached", None),
        ("diff --quiet HEAD", Question.CHANGED),
        ("diff --abbrev=40 --full-index --raw", Question.CHANGED),
        ("diff --name-only -z --cached HEAD a", Question.CHANGED),
        ("diff --raw -p", None),
        ("diff --raw --patch-with-stat", None),
        ("diff-index HEAD", Question.CHANGED),
        ("diff-index --quiet --cached HEAD", Question.CHANGED),
        ("diff-index -p HEAD", None),
        ("diff-files --name-status", Question.CHANGED),
        ("grep word", None),
        ("add .", None),
        ("clean -n", None),
        ("stash create", None),
        ("commit -m x", None),
    ],
)
def test_question(line: str, expected: Question | None) -> None:
    """Only a command with options that are known to be answered truly has a question."""
    command, *arguments = line.encode().split()
    assert question_of(GitCall(command, arguments)) is expected
    assert question_of(None) is None
