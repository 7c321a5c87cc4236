"""A daemon that was stopped, or killed: no command about its mount waits for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Cli

pytestmark = [pytest.mark.slow, pytest.mark.fuse]

PROGRAM = """
import sys
from mlbfs.cli.main import main
from mlbfs.mount import asking, control
asking.PATIENCE = control.SILENCE_LIMIT = 0.5  # the daemon will not answer, however long one waits
sys.exit(main(sys.argv[1:]))
"""
FOR_EVER = 60.0


class Stopped:
    """A mount whose daemon is stopped."""

    def __init__(self, cli: Cli, point: Path, pid: int) -> None:
        self.point, self.pid = point, pid
        self._cli = cli

    def run(self, *words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Runs a command, which must come to an end."""
        return subprocess.run(
            [sys.executable, "-P", "-c", PROGRAM, *words],
            cwd=cwd or self._cli.work / "repo",
            env=self._cli.environment,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=FOR_EVER,
            check=False,
        )

    def silent(self, *words: str | Path, cwd: Path | None = None) -> None:
        """Runs a command that must say that the daemon is silent, and how to go on."""
        done = self.run(*words, cwd=cwd)
        assert done.returncode == 1, (words, done)
        assert f"the mount daemon of {str(self.point)!r} has been silent" in done.stderr, words
        assert f"mlbfs umount --lazy {self.point}" in done.stderr, words


@pytest.fixture
def stopped(cli: Cli, mounted: Path) -> Iterator[Stopped]:
    """The mounted branch with unsaved work; its daemon sleeps."""
    (mounted / "new").write_text("new\n")
    mounted.stat()  # the kernel asks nobody then, when a command is started in there
    (cli.work / "to").symlink_to(mounted / "images")
    pid = cli.ok("mounts", "--json", cwd=cli.work / "repo").json[0]["pid"]
    process = os.pidfd_open(pid)
    signal.pidfd_send_signal(process, signal.SIGSTOP)
    yield Stopped(cli, mounted, pid)
    signal.pidfd_send_signal(process, signal.SIGKILL)
    os.close(process)


def test_a_command_that_needs_the_daemon_gives_up(cli: Cli, stopped: Stopped) -> None:
    """The mount may be named by its folder, a folder in it, a link, `-C`, or the working folder."""
    for place in (stopped.point, stopped.point / "images", cli.work / "to"):
        stopped.silent("status", place)
    stopped.silent("umount", stopped.point / "images")
    stopped.silent("-C", cli.work / "to", "status")
    stopped.silent("diff", stopped.point)
    stopped.silent("commit", stopped.point, "-m", "x")
    stopped.silent("commit", "--branch", "data/raw", "-m", "x")
    stopped.silent("status", cwd=stopped.point)
    stopped.silent("restore", "labels.csv", cwd=stopped.point)
    stopped.silent("switch", "data/raw", cwd=stopped.point)
    stopped.silent("switch", cli.work / "to", "data/raw")
    stopped.silent("export", "v1", stopped.point / "out")
    stopped.silent("export", "v1", cli.work / "to" / "out")
    stopped.silent("mount", "v1", cli.work / "to")
    stopped.silent("init", stopped.point / "inner")
    stopped.silent("gc")


def test_a_command_that_does_not_need_it_answers(cli: Cli, stopped: Stopped) -> None:
    """What the repository knows is told, from inside of the mount, too."""
    for command in ("ls", "log", "branch", "mounts", "stats", "doctor", "workspaces", "tag v2"):
        words = command.split()
        done = stopped.run(*words, cwd=stopped.point)
        assert done.returncode == 0, (words, done)
    refused = stopped.run("import", cli.work / "to" / "a.bin", "--branch", "other")
    assert "overlaps the mount" in refused.stderr
    (cli.work / "elsewhere").mkdir()
    assert stopped.run("mount", "v1", cli.work / "elsewhere").returncode == 0
    assert stopped.run("umount", cli.work / "elsewhere").returncode == 0


def test_lazy_unmount_ends_a_stopped_daemon_and_keeps_its_work(cli: Cli, stopped: Stopped) -> None:
    """Out of sight at once, the daemon is ended, and the next mount has what was written."""
    done = stopped.run("umount", "--lazy", stopped.point / "images")
    assert done.returncode == 0, done
    assert list(stopped.point.iterdir()) == []
    cli.ok("mount", "data/raw", stopped.point, cwd=cli.work / "repo")
    assert (stopped.point / "new").read_text() == "new\n"
    cli.ok("umount", stopped.point)


def test_a_killed_daemon_is_told_of_at_once(cli: Cli, stopped: Stopped) -> None:
    """The kernel answers for it; `umount` cleans up."""
    os.kill(stopped.pid, signal.SIGKILL)
    for words in (["status", stopped.point], ["-C", stopped.point / "images", "status"]):
        assert stopped.run(*words).returncode in (1, 2), words
    assert "daemon had died" in stopped.run("umount", stopped.point).stdout
