"""Merging from the command line: branches, conflicts, previews, and mounts that follow."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cli

BRANCH = "data/raw"


@pytest.fixture
def dev(cli: Cli, repository: Path, data: Path) -> str:
    """A branch that begins at `data/raw` and has more; `data/raw` has work of its own since."""
    cli.ok("branch", "dev", BRANCH, cwd=repository)
    (data / "runs.json").write_text("[1]\n")
    for branch in ("dev", BRANCH):
        cli.ok("import", data / "runs.json", "-b", branch, cwd=repository)
    (data / "runs.json").write_text("[1, 3]\n")
    (data / "new").write_text("new\n")
    cli.ok("import", data / "runs.json", data / "new", "-b", "dev", cwd=repository)
    (data / "runs.json").write_text("[1, 2]\n")
    cli.ok("import", data / "runs.json", "-b", BRANCH, cwd=repository)
    return "dev"


def clash(cli: Cli, repository: Path, data: Path) -> None:
    """Both branches get another content for one text."""
    for branch, text in (("dev", "theirs\n"), (BRANCH, "ours\n")):
        (data / "notes").write_text(text)
        cli.ok("import", data / "notes", "-b", branch, cwd=repository)


def test_a_merge_says_what_it_did_and_git_shows_it(cli: Cli, repository: Path, dev: str) -> None:
    """One line; in the commit the drivers; and once more there is nothing to do."""
    seen = cli.ok("merge", dev, "--into", BRANCH, "--dry-run", cwd=repository)
    assert "would be merged: 2 changes" in seen.out
    done = cli.ok("merge", dev, "--into", BRANCH, cwd=repository)
    assert f"{BRANCH} is at " in done.out
    assert cli.ok("cat", f"{BRANCH}:runs.json", cwd=repository).out == "[1, 2, 3]\n"
    assert "runs.json: json" in cli.ok("log", BRANCH, "--limit", "1", cwd=repository).out
    again = cli.ok("merge", dev, "--into", BRANCH, "--json", cwd=repository).json
    assert (again["outcome"], again["commit"]) == ("up-to-date", None)


def test_conflicts_end_with_three_and_are_settled(
    cli: Cli, repository: Path, data: Path, dev: str
) -> None:
    """Listed, settled one by one, and the commit is made when all are."""
    clash(cli, repository, data)
    done = cli.run("merge", dev, "--into", BRANCH, cwd=repository)
    assert done.code == 3
    assert (
        done.out == "added-twice: notes at line 1: both sides changed the same lines in one place\n"
    )
    assert "1 path in conflict" in done.err
    assert "mlbfs merge --continue" in done.err
    cli.fails(1, "merge", dev, "--into", BRANCH, cwd=repository)
    cli.fails(1, "merge", "--continue", "--into", BRANCH, cwd=repository)
    cli.fails(2, "resolve", "nothing", "--ours", "--into", BRANCH, cwd=repository)
    waiting = cli.ok("resolve", "--into", BRANCH, "--json", cwd=repository).json
    assert [one["path"] for one in waiting["open"]] == ["notes"]
    done = cli.ok("resolve", "notes", "--theirs", "--into", BRANCH, cwd=repository)
    assert "all is settled" in done.out
    cli.ok("merge", "--continue", "--into", BRANCH, cwd=repository)
    assert cli.ok("cat", f"{BRANCH}:notes", cwd=repository).out == "theirs\n"
    cli.fails(1, "merge", "--abort", "--into", BRANCH, cwd=repository)


def test_an_aborted_merge_is_forgotten(cli: Cli, repository: Path, data: Path, dev: str) -> None:
    """And JSON tells conflicts with all three versions."""
    clash(cli, repository, data)
    done = cli.run("merge", dev, "--into", BRANCH, "--json", cwd=repository)
    assert (done.code, done.json["outcome"]) == (3, "conflicts")
    (conflict,) = done.json["conflicts"]
    assert (conflict["path"], conflict["kind"]) == ("notes", "added-twice")
    assert (
        "dropped the merge of dev"
        in cli.ok("merge", "--abort", "--into", BRANCH, cwd=repository).out
    )
    assert cli.ok("cat", f"{BRANCH}:notes", cwd=repository).out == "ours\n"


@pytest.mark.fuse
def test_a_mount_follows_and_a_preview_is_one(
    cli: Cli, repository: Path, mounted: Path, data: Path, dev: str
) -> None:
    """Inside a mount its branch is merged into; a preview shows conflicts before that."""
    clash(cli, repository, data)
    shown = cli.work / "shown"
    shown.mkdir()
    done = cli.run("merge", dev, "--preview", shown, cwd=mounted)
    assert done.code == 3
    assert (shown / "notes.ours").read_text() == "ours\n"
    assert (shown / "notes.theirs").read_text() == "theirs\n"
    assert (shown / "runs.json").read_text() == "[1, 2, 3]\n"
    cli.ok("umount", shown)
    cli.ok("merge", dev, "--strategy-for", "notes=theirs", cwd=mounted)
    wait_for(lambda: (mounted / "notes").read_text() == "theirs\n")
    assert (mounted / "runs.json").read_text() == "[1, 2, 3]\n"


def wait_for(condition: object) -> None:
    """Waits until a mount has followed, for a minute."""
    import time

    end = time.monotonic() + 60
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it has not happened for a minute"
        time.sleep(0.05)


def test_commits_are_picked_and_reverted(cli: Cli, repository: Path, dev: str) -> None:
    """Each is a commit of one parent on the branch that is named."""
    cli.ok("cherry-pick", dev, "--into", BRANCH, cwd=repository)
    assert cli.ok("cat", f"{BRANCH}:new", cwd=repository).out == "new\n"
    cli.ok("revert", BRANCH, "--into", BRANCH, cwd=repository)
    cli.fails(1, "cat", f"{BRANCH}:new", cwd=repository)
    assert "Revert" in cli.ok("log", BRANCH, "--limit", "1", cwd=repository).out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["merge"], 2),
        (["merge", "dev", "--abort"], 2),
        (["merge", "nowhere", "--into", BRANCH], 1),
        (["merge", "dev", "--into", "nowhere"], 1),
        (["merge", "dev", "--into", BRANCH, "--strategy-for", "a"], 2),
        (["merge", "dev", "--into", BRANCH, "--strategy-for", "a=nothing"], 1),
        (["merge", "dev", "--into", BRANCH, "--strategy-for", "*.json=json:colour=red"], 2),
        (["merge", "--continue", "--into", BRANCH], 1),
        (["cherry-pick", "--continue", "--into", BRANCH], 1),
        (["resolve", "--into", BRANCH], 1),
        (["resolve", "a", "--into", BRANCH], 2),
        (["merge", "dev", "-m", " ", "--into", BRANCH], 2),
        (["merge", "dev", "--only", ".", "--into", BRANCH], 2),
        (["copy", "dev:a", "-m", "", "--to", BRANCH], 2),
        (["resolve", "a", "--ours", "--file", "x", "--into", BRANCH], 2),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    cli: Cli, repository: Path, dev: str, words: list[str], code: int
) -> None:
    """No traceback, and the branch is as it was."""
    before = cli.ok("log", BRANCH, "--limit", "1", "--json", cwd=repository).out
    done = cli.run(*words, cwd=repository)
    assert done.code == code, done
    assert "Traceback" not in done.err
    assert cli.ok("log", BRANCH, "--limit", "1", "--json", cwd=repository).out == before


def test_going_on_takes_no_options_of_a_merge(
    cli: Cli, repository: Path, data: Path, dev: str
) -> None:
    """With --dry-run, --continue would have made the commit; nothing is done in any case."""
    clash(cli, repository, data)
    assert cli.run("merge", dev, "--into", BRANCH, cwd=repository).code == 3
    cli.ok("resolve", "notes", "--ours", "--into", BRANCH, cwd=repository)
    before = cli.ok("log", BRANCH, "--limit", "1", "--json", cwd=repository).out
    for more in (["-n"], ["-m", ""], ["--squash"], ["--only", "a"], ["--preview", "x"]):
        for go in ("--continue", "--abort"):
            assert cli.run("merge", go, "--into", BRANCH, *more, cwd=repository).code == 2
    assert cli.ok("log", BRANCH, "--limit", "1", "--json", cwd=repository).out == before
    cli.ok("merge", "--continue", "--into", BRANCH, cwd=repository)


def test_a_style_that_git_does_not_know_is_named(cli: Cli, repository: Path, dev: str) -> None:
    """As a mistake of the configuration, and not of a driver."""
    subprocess.run(["git", "-C", repository, "config", "merge.conflictStyle", "diff4"], check=True)
    done = cli.fails(2, "merge", dev, "--into", BRANCH, cwd=repository)
    assert "merge.conflictStyle = 'diff4'" in done.err


def test_a_folder_is_copied_to_another_branch(cli: Cli, repository: Path, dev: str) -> None:
    """By name, with where it came from in the commit; bad places are told in a line."""
    cli.ok("copy", f"{BRANCH}:images", "--to", "dev:old", cwd=repository)
    assert cli.ok("ls", "dev:old/images", cwd=repository).out == "a.bin\n"
    assert "Copied-from: " in cli.ok("log", "dev", "--limit", "1", cwd=repository).out
    again = cli.ok("copy", f"{BRANCH}:images", "--to", "dev:old", "--json", cwd=repository).json
    assert again == {"branch": "dev", "commit": None}
    cli.fails(1, "copy", f"{BRANCH}:nothing", "--to", "dev", cwd=repository)
    cli.fails(1, "copy", f"{BRANCH}:images", "--to", "nowhere", cwd=repository)
    cli.fails(1, "copy", f"{BRANCH}:runs.json", "--to", "dev", cwd=repository)
    cli.ok("copy", f"{BRANCH}:runs.json", "--to", "dev", "--replace", cwd=repository)


@pytest.mark.fuse
def test_a_copy_lands_where_the_folder_means(cli: Cli, repository: Path, dev: str) -> None:
    """On the branch of HEAD; in a mount of all refs, which means none, what is named is enough."""
    cli.ok("copy", f"{dev}:new", "--to", ":in", cwd=repository)
    assert cli.ok("ls", f"{BRANCH}:in", cwd=repository).out == "new\n"
    point = cli.work / "all"
    point.mkdir()
    cli.ok("mount", "--all", point, cwd=repository)
    cli.ok("copy", f"{dev}:new", "--to", f"{BRANCH}:other", cwd=point)
    cli.fails(2, "copy", ":new", "--to", BRANCH, cwd=point)
    cli.ok("umount", point, cwd=repository)
    assert cli.ok("ls", f"{BRANCH}:other", cwd=repository).out == "new\n"
