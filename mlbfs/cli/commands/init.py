"""`mlbfs init`: makes or adopts a repository."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named
from mlbfs.cli.params import HostPath, json_option
from mlbfs.livemounts import check_answers

if TYPE_CHECKING:
    from mlbfs.cli.context import Context


@named("init")
@click.argument("directory", type=HostPath, default=Path())
@json_option
@click.pass_obj
def command(_context: Context, directory: Path, as_json: bool) -> None:
    """Make a repository in DIRECTORY, or adopt the Git repository that is there

    A repository of mlbfs is a Git repository; everything of mlbfs lies in .git/mlbfs. History,
    branches and Git LFS files that are there already stay as they are and can be mounted.
    Running it again does no harm.
    """
    from mlbfs.repository import Repository, is_initialized

    check_answers(directory)
    again = is_initialized(directory)
    with Repository.init(directory) as repository:
        git_dir, branches = repository.git.common_dir, len(repository.branches())
    if as_json:
        render.out_json({"git_dir": str(git_dir), "created": not again, "branches": branches})
        return
    verb = "is a repository already" if again else "is ready"
    render.out(f"{git_dir} {verb}, with {render.count_text(branches, 'branch', 'branches')}")
    if not branches:
        render.say("next: mlbfs import FOLDER/ --branch NAME")
