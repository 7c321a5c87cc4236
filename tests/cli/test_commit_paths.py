"""`commit` and `status` of some paths, tags, and an interrupt, at the command line."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

import mlbfs

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cli

pytestmark = [pytest.mark.slow, pytest.mark.fuse]


def shown(cli: Cli, place: Path, *paths: str) -> list[str]:
    return cli.ok("status", *paths, cwd=place).out.splitlines()[1:]


def test_paths_are_seen_from_the_working_folder(cli: Cli, mounted: Path) -> None:
    """Relative ones, absolute ones, deleted ones, links, and the mount point for everything."""
    images = mounted / "images"
    (images / "b.bin").write_bytes(b"\0b")
    (images / "a.bin").unlink()
    (mounted / "labels.csv").write_text("changed\n")
    (mounted / "link").unlink()
    (mounted / "link").symlink_to("labels.csv")
    assert shown(cli, images, ".") == ["D  images/a.bin", "A  images/b.bin"]
    cli.ok("commit", "a.bin", "-m", "Gone", cwd=images)
    cli.ok("commit", mounted / "link", "-m", "Link", cwd=cli.work)
    assert shown(cli, images) == ["A  images/b.bin", "M  labels.csv"]
    done = cli.ok("commit", "../labels.csv", "b.bin", "-m", "Two", "--json", cwd=images).json
    assert (done["added"], done["modified"]) == (1, 1)
    (mounted / "late").write_text("late\n")
    cli.ok("commit", mounted, "-m", "All", cwd=cli.work)
    assert shown(cli, mounted) == ["nothing to commit"]


def test_changes_that_were_not_named_outlive_mounts(
    cli: Cli, mounted: Path, repository: Path
) -> None:
    """After umount, and by branch, where paths begin at the root."""
    (mounted / "one").write_text("1\n")
    (mounted / "two").write_text("2\n")
    cli.ok("commit", "one", "-m", "One", cwd=mounted)
    assert "1 change of data/raw not committed" in cli.ok("umount", mounted).err
    by_branch = ("--branch", "data/raw")
    assert shown(cli, repository, *by_branch) == ["A  two"]
    cli.ok("commit", *by_branch, "two", "-m", "Two", "--tag", "both", cwd=repository)
    assert cli.ok("cat", "both:two", cwd=repository).out == "2\n"
    assert cli.ok("cat", "both:one", cwd=repository).out == "1\n"


def test_paths_that_cannot_be_meant_are_refused(cli: Cli, mounted: Path) -> None:
    """Elsewhere, nowhere, as they were, or empty: one line says which."""
    (mounted / "new").write_text("new\n")
    for code, paths, words in (
        (2, ("new", "/etc"), "outside of the mount"),
        (1, ("new", "nowhere"), "'nowhere'"),
        (2, ("run.sh",), "nothing changed at 'run.sh'"),
    ):
        assert words in cli.fails(code, "commit", *paths, "-m", "x", cwd=mounted).err
    assert "empty path" in cli.run("commit", "", "-m", "x", cwd=mounted).err
    assert "message is empty" in cli.fails(2, "commit", "-m", " ", cwd=mounted).err
    assert shown(cli, mounted) == ["A  new"]


def test_umount_tells_only_of_work_that_there_is(cli: Cli, mounted: Path) -> None:
    """Not of times, empty folders, pipes, and files that were put back as they were."""
    os.utime(mounted / "labels.csv")
    (mounted / "empty").mkdir()
    os.mkfifo(mounted / "pipe")
    before = (mounted / "images" / "a.bin").read_bytes()
    (mounted / "images" / "a.bin").write_bytes(before[::-1])
    (mounted / "images" / "a.bin").write_bytes(before)
    (mounted / "clone" / ".git").mkdir(parents=True)
    (mounted / "clone" / ".git" / "HEAD").write_text("ref\n")
    gone = cli.ok("umount", mounted)
    assert gone.err == ""


def test_the_python_interface_commits_paths(cli: Cli, mounted: Path) -> None:
    """Seen from the folder that was named."""
    (mounted / "images" / "c").write_text("c\n")
    (mounted / "other").write_text("other\n")
    who = mlbfs.open(mounted).author(cli.environment)
    commit = mlbfs.commit(mounted / "images", "One", paths=["c"], author=who)
    assert cli.ok("cat", f"{commit}:images/c", cwd=mounted).out == "c\n"
    assert shown(cli, mounted) == ["A  other"]


def test_ctrl_c_during_a_commit_leaves_commit_and_tag_or_neither(
    cli: Cli, mounted: Path, repository: Path
) -> None:
    """Interrupted means that nothing was made; otherwise both are there, and it says so."""
    (mounted / "noise").write_bytes(os.urandom(120 << 20))
    packs = repository / ".git" / "mlbfs" / "packs"
    process = cli.start("commit", "-m", "Noise", "--tag", "noise", cwd=mounted)
    while not list(packs.glob("tmp-*")):
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    tags = subprocess.run(["git", "-C", repository, "tag"], capture_output=True, check=True).stdout
    log = cli.ok("log", "data/raw", "--json", cwd=repository).json
    if process.returncode == 130:
        assert (out, err.strip()) == (b"", b"mlbfs: interrupted")
        assert (b"noise" in tags, len(log)) == (False, 1)
        assert shown(cli, mounted) == ["A  noise"]
        cli.ok("commit", "-m", "Noise", "--tag", "noise", cwd=mounted)
    else:
        assert process.returncode == 0
        assert b"tagged noise" in out
        assert (b"noise" in tags, len(log)) == (True, 2)
    (last,) = cli.ok("log", "noise", "-n", "1", "--json", cwd=repository).json
    assert last["message"] == "Noise\n"
