"""`mlbfs undo`: lists savepoints, and brings one back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.commands.restore import put_back_json, show_put_back
from mlbfs.cli.context import here
from mlbfs.cli.group import command as named
from mlbfs.cli.params import BRANCH, json_option

if TYPE_CHECKING:
    from mlbfs.cli.context import Context
    from mlbfs.workplace import Workplace
    from mlbfs.workspace.savepoints import Savepoint


@named("undo")
@click.argument("savepoint", required=False)
@click.option("--branch", "-b", type=BRANCH, help="The branch, mounted or not")
@json_option
@click.pass_obj
def command(context: Context, savepoint: str | None, branch: str | None, as_json: bool) -> None:
    """List the savepoints of unsaved work, or bring everything back to SAVEPOINT

    SAVEPOINT is a number of the list, or the beginning of an id. One is made after each pause in
    the work, before a restore, and at umount. What is there now is made a savepoint first, so that
    an undo can be undone. Commits are not touched: after an undo, 'mlbfs status' shows what differs
    from the last one.
    """
    from mlbfs.workplace import workplace
    from mlbfs.workspace.savepoints import find_savepoint

    start = here() if branch is None else context.git_start()
    with workplace(start, branch) as place:
        found = place.savepoints()
        if savepoint is None:
            _list(place, found, as_json=as_json)
            return
        chosen = find_savepoint(found, savepoint)
        done = place.restore([b""], chosen.commit.id, keep=True)
    if as_json:
        render.out_json({"undone_to": chosen.number} | put_back_json(done))
    else:
        show_put_back(done)


def _list(place: Workplace, found: list[Savepoint], *, as_json: bool) -> None:
    rows = [(point, _count(place, point)) for point in found]
    if as_json:
        render.out_json([_json(point, changes) for point, changes in rows])
        return
    if not rows:
        render.say("no savepoints yet")
    render.table(
        [
            (
                str(point.number),
                render.time_text(point.commit.committer.time, point.commit.committer.offset),
                render.count_text(changes, "change"),
                f"on {point.commit.parents[0].hex()[:10]}",
            )
            for point, changes in rows
        ],
        right=frozenset([0]),
    )


def _count(place: Workplace, point: Savepoint) -> int:
    """Returns how many files a savepoint has other than the commit that the work stood on."""
    from mlbfs.workspace.diff import diff_trees

    commit, git = point.commit, place.repository.git
    base = git.read_commit(commit.parents[0])
    return sum(1 for _ in diff_trees(place.repository.source, base.tree, commit.tree))


def _json(point: Savepoint, changes: int) -> dict[str, object]:
    return {
        "number": point.number,
        "commit": point.commit.id.hex(),
        "base": point.commit.parents[0].hex(),
        "time": render.json_time(point.commit.committer.time),
        "changes": changes,
    }
