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
    from mlbfs.workspace.beginning import Offered


@named("init")
@click.argument("directory", type=HostPath, default=Path())
@click.option(
    "--attributes/--no-attributes",
    default=None,
    help="Whether to write default merge attributes (default: only if DIRECTORY is new to mlbfs)",
)
@json_option
@click.pass_obj
def command(_context: Context, directory: Path, attributes: bool | None, as_json: bool) -> None:
    """Make a repository in DIRECTORY, or adopt the Git repository that is there

    A repository of mlbfs is a Git repository; everything of mlbfs lies in .git/mlbfs. History,
    branches and Git LFS files that are there already stay as they are and can be mounted.
    Running it again does no harm.

    Branches that an import begins get a .gitattributes that says how data, models and databases
    merge, unless the import brings one. It is a copy of .git/mlbfs/gitattributes, which is yours to
    change or delete. A work tree of Git that has no .gitattributes gets it too, to be committed;
    one that is there is never changed.
    """
    from mlbfs.repository import Repository, is_initialized

    check_answers(directory)
    again = is_initialized(directory)
    with Repository.init(directory) as repository:
        git_dir, branches = repository.git.common_dir, len(repository.branches())
        wanted = not again if attributes is None else attributes
        offered = repository.offer_attributes() if wanted else None
    if as_json:
        facts = {"git_dir": str(git_dir), "created": not again, "branches": branches}
        render.out_json(facts | {"attributes": _json(offered)})
        return
    verb = "is a repository already" if again else "is ready"
    render.out(f"{git_dir} {verb}, with {render.count_text(branches, 'branch', 'branches')}")
    if offered is not None:
        _tell(offered)
    if not branches:
        render.say("next: mlbfs import FOLDER/ --branch NAME")


def _tell(offered: Offered) -> None:
    if offered.written:
        render.say(".gitattributes says now how files merge: commit it")
    elif offered.work_tree is not None:
        render.say(f".gitattributes stays as it is; take from {offered.template} what it lacks")
    if offered.made:
        render.say(f"new branches begin with how files merge: {offered.template}")


def _json(offered: Offered | None) -> list[str]:
    """Returns the files that were written."""
    if offered is None:
        return []
    found = [offered.template] if offered.made else []
    if offered.written and offered.work_tree is not None:
        found.append(offered.work_tree)
    return [str(path) for path in found]
