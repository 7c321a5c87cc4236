"""Switching a mount, and several workspaces of one branch, from the command line."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cli

pytestmark = pytest.mark.fuse

BRANCH = "data/raw"


@pytest.fixture
def other(cli: Cli, repository: Path, data: Path) -> str:
    """A branch that differs from `data/raw` in a few files."""
    (data / "labels.csv").write_text("other,labels\n")
    (data / "only-there").write_text("only there\n")
    cli.ok("import", f"{data}/", "-b", "other", "--from", BRANCH, cwd=repository)
    return "other"


def _mount(cli: Cli, repository: Path, name: str, *options: str) -> Path:
    point = cli.work / name
    point.mkdir(exist_ok=True)
    cli.ok("mount", BRANCH, point, *options, cwd=repository)
    return point


def test_switching_shows_the_other_branch_at_once(cli: Cli, mounted: Path, other: str) -> None:
    """When the command returns the new content is there; what is open is as it was opened."""
    before = (mounted / "labels.csv").read_text()
    assert not (mounted / "only-there").exists()
    with (mounted / "labels.csv").open("rb") as opened:
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        assert "on branch other" in cli.ok("switch", other, cwd=mounted).out
        assert (mounted / "only-there").read_text() == "only there\n"
        assert (mounted / "labels.csv").read_text() == "other,labels\n"
        assert mapped[:].decode() == opened.read().decode() == before
        mapped.close()
    (found,) = cli.ok("mounts", "--json", cwd=mounted).json
    assert (found["ref"], found["behind"]) == (other, False)
    (mounted / "labels.csv").write_text("committed there\n")
    cli.ok("commit", "-m", "There", cwd=mounted)
    assert "committed there" in cli.ok("cat", "other:labels.csv", cwd=mounted).out
    assert before == cli.ok("cat", f"{BRANCH}:labels.csv", cwd=mounted).out
    back = cli.ok("switch", mounted, BRANCH, "--json").json
    assert back["branch"] == BRANCH
    assert (mounted / "labels.csv").read_text() == before


def test_changes_come_along_or_are_in_the_way(cli: Cli, mounted: Path, other: str) -> None:
    """A change that the other branch has nothing against comes along; else nothing is done."""
    (mounted / "mine").write_text("mine\n")
    done = cli.ok("switch", other, "--json", cwd=mounted).json
    assert done["carried"] == ["mine"]
    (mounted / "only-there").write_text("changed\n")
    refused = cli.fails(1, "switch", BRANCH, cwd=mounted)
    assert "'only-there'" in refused.err
    assert "'mine'" not in refused.err
    assert (mounted / "only-there").read_text() == "changed\n"
    assert cli.ok("status", "--json", cwd=mounted).json["branch"] == other


def test_a_new_branch_takes_the_changes(cli: Cli, mounted: Path, repository: Path) -> None:
    """The way out of a commit that is refused: both sides are kept, each on a branch."""
    (mounted / "labels.csv").write_text("mine\n")
    (cli.work / "theirs").mkdir()
    (cli.work / "theirs" / "labels.csv").write_text("theirs\n")
    cli.ok("import", cli.work / "theirs/", "-b", BRANCH, "--replace", cwd=repository)
    cli.ok("import", cli.work / "theirs/labels.csv", "-b", BRANCH, cwd=repository)
    assert "switch --create" in cli.fails(1, "commit", "-m", "Mine", cwd=mounted).err
    cli.ok("switch", "--create", "mine", cwd=mounted)
    cli.ok("commit", "-m", "Mine", cwd=mounted)
    assert cli.ok("cat", "mine:labels.csv", cwd=repository).out == "mine\n"
    assert cli.ok("cat", f"{BRANCH}:labels.csv", cwd=repository).out == "theirs\n"


def test_what_is_no_branch_is_not_switched_to(cli: Cli, mounted: Path, other: str) -> None:
    """A tag, a name that there is not, a branch that is mounted, a new one that there is."""
    cli.ok("tag", "v7", other, cwd=mounted)
    assert "--from v7" in cli.fails(2, "switch", "v7", cwd=mounted).err
    cli.fails(1, "switch", "nowhere", cwd=mounted)
    cli.fails(1, "switch", "--create", other, cwd=mounted)
    cli.fails(2, "switch", "--create", "bad..name", cwd=mounted)
    assert cli.run("switch", cwd=mounted).code == 2
    point = cli.work / "second"
    point.mkdir()
    cli.ok("mount", other, point, cwd=mounted)
    assert str(point) in cli.fails(1, "switch", other, cwd=mounted).err
    cli.ok("switch", "--create", "begun", "--from", "v7", cwd=mounted)
    assert (mounted / "only-there").exists()
    assert cli.ok("branch", "--json", cwd=mounted).json


def test_the_branch_that_was_left_can_be_mounted(
    cli: Cli, mounted: Path, repository: Path, other: str
) -> None:
    """A workspace keeps its name when it goes to another branch; nobody gets its work."""
    (mounted / "mine").write_text("mine\n")
    cli.ok("switch", other, cwd=mounted)
    point = _mount(cli, repository, "again")
    assert not (point / "mine").exists()
    names = {w["workspace"]: w["branch"] for w in cli.ok("workspaces", "--json", cwd=point).json}
    assert names == {"data%2Fraw": other, "data%2Fraw@2": BRANCH}
    cli.ok("umount", mounted)
    cli.ok("mount", other, mounted, cwd=repository)
    assert (mounted / "mine").read_text() == "mine\n"


def test_two_workspaces_of_a_branch(cli: Cli, mounted: Path, repository: Path) -> None:
    """A second writable mount is refused unless it is asked for; then commits go on each other."""
    point = cli.work / "second"
    point.mkdir()
    refused = cli.fails(1, "mount", BRANCH, point, cwd=repository)
    assert str(mounted) in refused.err
    assert "--new-workspace" in refused.err
    _mount(cli, repository, "second", "--new-workspace")
    (mounted / "first").write_text("first\n")
    (point / "second").write_text("second\n")
    cli.ok("commit", "-m", "First", cwd=mounted)
    cli.ok("gc", cwd=repository)
    done = cli.ok("commit", "-m", "Second", "--json", cwd=point).json
    assert done["carried_from"]
    assert (point / "first").read_text() == "first\n"
    assert sorted(
        line["subject"] if "subject" in line else line["message"].strip()
        for line in cli.ok("log", "-n", "2", "--json", cwd=point).json
    ) == ["First", "Second"]
    (point / "unsaved").write_text("unsaved\n")
    cli.ok("umount", point)
    kept = cli.ok("workspaces", "--json", cwd=repository).json
    assert [w["holds_work"] for w in kept] == [None, True]
    assert "work" in cli.fails(1, "workspaces", "--delete", "data%2Fraw@2", cwd=repository).err
    _mount(cli, repository, "second", "--workspace", "data%2Fraw@2")
    assert (point / "unsaved").read_text() == "unsaved\n"
    cli.ok("umount", point)
    cli.ok("workspaces", "--delete", "data%2Fraw@2", "--force", cwd=repository)
    assert len(cli.ok("workspaces", "--json", cwd=repository).json) == 1
