"""`mlbfs status`: shows what changed in a working copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.changes import LETTERS, change_json
from mlbfs.cli.group import command as named
from mlbfs.cli.params import BRANCH, WORK_PATH, json_option

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.cli.context import Context
    from mlbfs.workplace import Standing


@named("status")
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=WORK_PATH)
@click.option(
    "--branch", "-b", type=BRANCH, help="The branch, mounted or not; PATHs begin at its root"
)
@click.option("--ignored", is_flag=True, help="Show what .gitignore leaves out, too")
@json_option
@click.pass_obj
def command(
    context: Context, paths: tuple[Path, ...], branch: str | None, ignored: bool, as_json: bool
) -> None:
    """Show what changed in a mounted branch since its last commit

    With PATHs, only what changed there. The mount is the one that the first PATH lies in, else that
    of the working folder. The cost is what changed. Letters: A added, M modified, D deleted,
    T another type, X executable bit.
    """
    from mlbfs.workplace import tree_paths, workplace

    start = context.start(paths[0] if paths else None, branch)
    with workplace(start, branch) as found:
        chosen = tree_paths(found, paths, by_branch=branch is not None)
        standing = found.standing(chosen)
    if as_json:
        render.out_json(_json(standing))
    else:
        _show(standing, ignored=ignored)


def _show(standing: Standing, *, ignored: bool) -> None:
    where = f", mounted at {standing.place}" if standing.place is not None else ", not mounted"
    render.out(f"branch {standing.branch} at {standing.base[:10]}{where}")
    if standing.behind:
        render.out("the branch has moved on; these changes stand on the older commit")
    status = standing.status
    for change in status.changes:
        render.out(f"{LETTERS[change.kind]}  {render.quoted(change.path)}")
    for path in status.empty_directories:
        render.out(f"   {render.quoted(path + b'/')}  (empty: Git cannot keep it)")
    for path in status.special:
        render.out(f"   {render.quoted(path)}  (pipe, socket or device: Git cannot keep it)")
    for path in status.refused:
        render.out(f"   {render.quoted(path)}  (Git refuses the name)")
    for path in status.ignored if ignored else ():
        render.out(f"   {render.quoted(path)}  (ignored)")
    if status.is_clean:
        render.out("nothing to commit")
    else:
        render.say(f"{render.count_text(len(status.changes), 'change')} to commit")


def _json(standing: Standing) -> dict[str, object]:
    status = standing.status
    return {
        "branch": standing.branch,
        "base": standing.base,
        "behind": standing.behind,
        "directory": str(standing.place) if standing.place is not None else None,
        "clean": status.is_clean,
        "changes": [change_json(change) for change in status.changes],
        "empty_directories": [render.path_text(path) for path in status.empty_directories],
        "special": [render.path_text(path) for path in status.special],
        "refused": [render.path_text(path) for path in status.refused],
        "ignored": [render.path_text(path) for path in status.ignored],
    }
