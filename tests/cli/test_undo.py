"""`restore` and `undo` at the command line."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cli

pytestmark = [pytest.mark.slow, pytest.mark.fuse]


def test_restore_and_undo_are_undone_by_undo(cli: Cli, mounted: Path) -> None:
    """Each says which savepoint has what it dropped."""
    assert cli.ok("undo", cwd=mounted).err == "no savepoints yet\n"
    (mounted / "labels.csv").write_text("mine\n")
    (mounted / "new.bin").write_bytes(b"\0new")
    done = cli.ok("restore", "labels.csv", cwd=mounted)
    assert (done.out, done.err) == ("labels.csv\n", "the changes are kept: mlbfs undo 1\n")
    assert (mounted / "labels.csv").read_text() == "file,label\na,1\n"
    assert (mounted / "new.bin").read_bytes() == b"\0new"
    (row,) = cli.ok("undo", cwd=mounted).out.splitlines()
    assert row.split()[0] == "1"
    assert "2 changes" in row
    assert cli.ok("undo", "1", cwd=mounted).out == "labels.csv\n"
    assert (mounted / "labels.csv").read_text() == "mine\n"
    listed = cli.ok("undo", "--json", cwd=mounted).json
    assert [(point["number"], point["changes"]) for point in listed] == [(3, 2), (2, 1), (1, 2)]
    back = cli.ok("undo", listed[1]["commit"][:10], "--json", cwd=mounted).json
    assert back["restored"] == ["labels.csv"]
    assert cli.ok("restore", ".", "--no-savepoint", "--json", cwd=mounted).json == {
        "restored": ["new.bin"],
        "kept": [],
        "savepoint": None,
    }
    assert cli.ok("restore", ".", cwd=mounted).err == "nothing to restore\n"


def test_restore_from_a_ref(cli: Cli, mounted: Path) -> None:
    """What another commit has becomes a change."""
    (mounted / "labels.csv").write_text("newer\n")
    cli.ok("commit", "-m", "Newer", cwd=mounted)
    cli.ok("restore", "--source", "v1", "labels.csv", cwd=mounted)
    assert (mounted / "labels.csv").read_text() == "file,label\na,1\n"
    assert cli.ok("status", cwd=mounted).out.splitlines()[1:] == ["M  labels.csv"]


def test_without_a_mount(cli: Cli, mounted: Path, repository: Path) -> None:
    """By branch, where paths begin at the root; umount has made a savepoint."""
    (mounted / "images" / "a.bin").unlink()
    cli.ok("umount", mounted)
    by_branch = ("--branch", "data/raw")
    (point,) = cli.ok("undo", *by_branch, "--json", cwd=repository).json
    assert point["changes"] == 1
    cli.ok("restore", *by_branch, "images", cwd=repository)
    assert cli.ok("status", *by_branch, "--json", cwd=repository).json["clean"]
    cli.ok("undo", *by_branch, "1", cwd=repository)
    assert not cli.ok("status", *by_branch, "--json", cwd=repository).json["clean"]
    cli.ok("branch", "-d", "--force", "data/raw", cwd=repository)
    refs = subprocess.run(["git", "-C", repository, "for-each-ref"], capture_output=True, text=True)
    assert "refs/mlbfs" not in refs.stdout


def test_savepoints_are_hidden(cli: Cli, mounted: Path, repository: Path) -> None:
    """Neither a branch, nor in a log, nor in a clone, nor pushed; checks and gc know them."""
    (mounted / "secret").write_text("secret\n")
    cli.ok("restore", "secret", cwd=mounted)
    assert [row["name"] for row in cli.ok("branch", "--json", cwd=repository).json] == ["data/raw"]
    assert "savepoint of" not in cli.ok("log", "data/raw", cwd=repository).out
    clone, other = cli.work / "clone", cli.work / "other"
    run = lambda *words: subprocess.run(["git", *words], check=True, capture_output=True)  # noqa: E731
    run("clone", "-q", "--bare", repository, clone)
    run("init", "-q", "--bare", other)
    run("-C", repository, "push", "-q", "--all", other)
    for place in (clone, other):
        refs = subprocess.run(["git", "-C", place, "for-each-ref"], capture_output=True, text=True)
        assert "data/raw" in refs.stdout
        assert "wip" not in refs.stdout
    cli.ok("fsck", cwd=repository)
    cli.ok("gc", cwd=repository)
    cli.ok("undo", "1", cwd=mounted)
    assert (mounted / "secret").read_text() == "secret\n"


def test_what_cannot_be_meant_is_refused(cli: Cli, mounted: Path) -> None:
    """One line and a hint."""
    assert "'nowhere'" in cli.fails(1, "restore", "nowhere", cwd=mounted).err
    assert "outside of the mount" in cli.fails(2, "restore", ".", "/etc", cwd=mounted).err
    assert "no savepoint '7'" in cli.fails(1, "undo", "7", cwd=mounted).err
    cli.fails(1, "restore", "run.sh", "--source", "nothing", cwd=mounted)
    assert cli.run("restore", cwd=mounted).code == 2
    assert cli.run("restore", "", cwd=mounted).code == 2
