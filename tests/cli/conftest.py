"""Runs the installed command line in a temporary folder, with an identity and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlbfs.mount.detach import detach
from mlbfs.mount.mountinfo import read_mountinfo

MLBFS = Path(sys.executable).with_name("mlbfs")

# A shell that runs the tests in the background ignores SIGINT, and so would every command.
signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True, slots=True)
class Result:
    """What a command wrote, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


class Cli:
    """The command line, run in one folder."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.started: list[subprocess.Popen[bytes]] = []
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(work / "home"),
            "LC_ALL": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@example.com",
            "GIT_COMMITTER_NAME": "Bob",
            "GIT_COMMITTER_EMAIL": "bob@example.com",
        }

    def start(self, *arguments: str | Path, cwd: Path | None = None, **options: Any):
        """Starts a command."""
        process = subprocess.Popen(
            [MLBFS, *arguments],
            cwd=cwd or self.work,
            env=self.environment | options.pop("env", {}),
            stdin=subprocess.DEVNULL,
            **({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options),
        )
        self.started.append(process)
        return process

    def run(self, *arguments: str | Path, cwd: Path | None = None, **options: Any) -> Result:
        """Runs a command to its end."""
        process = self.start(*arguments, cwd=cwd, **options)
        out, err = process.communicate()
        return Result(process.returncode, os.fsdecode(out), os.fsdecode(err))

    def ok(self, *arguments: str | Path, cwd: Path | None = None, **options: Any) -> Result:
        """Runs a command that must succeed."""
        result = self.run(*arguments, cwd=cwd, **options)
        assert result.code == 0, result
        return result

    def fails(self, code: int, *arguments: str | Path, cwd: Path | None = None) -> Result:
        """Runs a command that must end with `code`, with one line of error and at most one hint."""
        result = self.run(*arguments, cwd=cwd)
        assert result.code == code, result
        assert "Traceback" not in result.err
        lines = result.err.splitlines()
        assert lines[0].startswith("mlbfs: "), result
        assert lines[1:] == [] or (len(lines) == 2 and lines[1].startswith("hint: ")), result
        return result


@pytest.fixture
def cli(tmp_path: Path):
    """The command line in an empty folder; a test that fails leaves no process and no mount."""
    made = Cli(tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
            process.communicate()
    for entry in read_mountinfo():
        if entry.point.is_relative_to(tmp_path):
            detach(entry.point, lazy=True)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with text, binary content, a link, an executable and a name that is not UTF-8."""
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    (folder / "labels.csv").write_text("file,label\na,1\n")
    (folder / "images" / "a.bin").write_bytes(bytes(range(256)) * 300)
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("images/a.bin")
    Path(os.fsdecode(os.fsencode(folder) + b"/nm\xff")).write_bytes(b"x")
    return folder


@pytest.fixture
def repository(cli: Cli, data: Path) -> Path:
    """A repository with just the data on branch `data/raw` and a tag `v1`."""
    cli.ok("init", "repo", "--no-attributes")
    repo = cli.work / "repo"
    cli.ok("import", f"{data}/", "--branch", "data/raw", cwd=repo)
    cli.ok("tag", "v1", "data/raw", "-m", "First", cwd=repo)
    return repo


@pytest.fixture
def mounted(cli: Cli, repository: Path):
    """The branch `data/raw`, mounted read-write; unmounted at the end if it still is."""
    point = cli.work / "mnt"
    point.mkdir()
    cli.ok("mount", "data/raw", point, cwd=repository)
    yield point
    cli.run("umount", "--lazy", point)
