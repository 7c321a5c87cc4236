"""`mlbfs restore`: puts files or folders of a working copy back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named
from mlbfs.cli.params import BRANCH, REF, WORK_PATH, json_option

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.cli.context import Context
    from mlbfs.workplace import PutBack


@named("restore")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=WORK_PATH)
@click.option("--source", "-s", type=REF, help="Take them from this ref, not from the last commit")
@click.option(
    "--branch", "-b", type=BRANCH, help="The branch, mounted or not; PATHs begin at its root"
)
@click.option("--no-savepoint", is_flag=True, help="Drop the changes for good")
@json_option
@click.pass_obj
def command(
    context: Context,
    paths: tuple[Path, ...],
    source: str | None,
    branch: str | None,
    no_savepoint: bool,
    as_json: bool,
) -> None:
    """Drop the changes of files or folders since the last commit

    What was deleted comes back, what is new goes, a folder with all below it; the mount point
    stands for everything. A savepoint is made before, so that 'mlbfs undo' can bring the changes
    back. A program that has a file open keeps what it has. Empty folders, pipes, ignored files and
    the like, which no savepoint holds, are left alone.
    """
    from mlbfs.workplace import tree_paths, workplace

    with workplace(context.start(paths[0], branch), branch) as place:
        chosen = tree_paths(place, paths, by_branch=branch is not None)
        commit = None if source is None else place.repository.resolve(source).commit
        done = place.restore(chosen, commit, keep=not no_savepoint)
    if as_json:
        render.out_json(put_back_json(done))
    else:
        show_put_back(done)


def put_back_json(done: PutBack) -> dict[str, object]:
    """Returns what programs are told."""
    return {
        "restored": [render.path_text(path) for path in done.paths],
        "kept": [render.path_text(path) for path in done.kept],
        "savepoint": done.savepoint,
    }


def show_put_back(done: PutBack) -> None:
    """Says what was put back, and where to find what was dropped."""
    for path in done.kept:
        render.say(f"in the way, left alone: {render.quoted(path)}")
    for path in done.paths:
        render.out(render.quoted(path))
    if not done.paths:
        render.say("nothing to restore")
    elif done.savepoint is not None:
        render.say(f"the changes are kept: mlbfs undo {done.savepoint}")
