"""What the shell proposes when TAB is pressed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Cli

pytestmark = pytest.mark.slow

FOLDERS = "dir,"
"""The shell is told to propose folders itself."""


@pytest.fixture
def complete(cli: Cli, repository: Path) -> Callable[..., list[str]]:
    """Returns what is proposed for the last of some words; `cwd` is the repository by default."""

    def ask(words: str, cwd: Path | None = None) -> list[str]:
        variables = {
            "_MLBFS_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        }
        done = cli.ok(cwd=cwd or repository, env=variables)
        assert done.err == "", "the terminal holds a half-written command"
        return [line.removeprefix("plain,") for line in done.out.splitlines()]

    return ask


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_that_calls_back(cli: Cli, shell: str) -> None:
    """The script asks mlbfs for its proposals."""
    assert "_MLBFS_COMPLETE" in cli.ok("completion", shell).out


def test_commands_and_refs_are_proposed_where_they_may_stand(complete) -> None:
    """Branches and tags for a ref, branches for a branch, nothing for a new name."""
    assert "mount" in complete("mlbfs ")
    assert complete("mlbfs ls ") == ["data/raw", "v1"]
    assert complete("mlbfs import x --branch ") == ["data/raw"]
    assert complete("mlbfs branch ") == [""]
    assert complete("mlbfs branch new ") == ["data/raw", "v1"]


def test_a_place_for_a_folder_proposes_folders(complete) -> None:
    """`mount` takes a ref and then a folder, with --all only a folder; `diff` one or two refs."""
    assert complete("mlbfs mount ") == ["data/raw", "v1"]
    assert complete("mlbfs mount v1 ") == [FOLDERS]
    assert complete("mlbfs mount --all ") == [FOLDERS]
    assert complete("mlbfs diff ") == [FOLDERS, "data/raw", "v1"]
    assert complete("mlbfs diff v1 ") == ["data/raw", "v1"]
    assert complete("mlbfs umount ") == [FOLDERS]
    assert complete("mlbfs switch ") == [FOLDERS, "data/raw"]
    assert complete("mlbfs import ") == ["file,"]


def test_what_may_be_deleted_is_proposed(complete) -> None:
    """With --delete the names that are there, of the kind that is deleted."""
    assert complete("mlbfs branch -d ") == ["data/raw"]
    assert complete("mlbfs tag --delete ") == ["v1"]


def test_proposals_are_seen_from_the_folder_of_the_option(complete, cli: Cli) -> None:
    """`-C` counts for refs and for folders, wherever the shell is."""
    assert complete("mlbfs -C repo mount d", cwd=cli.work) == ["data/raw"]
    (cli.work / "repo" / "mnt" / "inner").mkdir(parents=True)
    assert complete("mlbfs -C repo mount v1 m", cwd=cli.work) == ["mnt/"]
    assert complete("mlbfs -C repo mount v1 mnt/", cwd=cli.work) == ["mnt/inner/"]
    assert complete("mlbfs -C none mount d", cwd=cli.work) == [""]


def test_an_error_is_not_written_into_the_line_that_is_typed(complete, repository: Path) -> None:
    """A repository of a newer mlbfs proposes nothing; a mistyped command, the commands."""
    (repository / ".git" / "mlbfs" / "format").write_text("version 99\n")
    assert complete("mlbfs mount ") == [""]
    assert "mount" in complete("mlbfs mont ")
