"""`mlbfs workspaces`: lists what holds unsaved work, and deletes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named
from mlbfs.cli.params import json_option
from mlbfs.livemounts import mounts_of

if TYPE_CHECKING:
    from mlbfs.cli.context import Context
    from mlbfs.repository import Repository
    from mlbfs.workspace.kept import KeptWorkspace


@named("workspaces")
@click.option("--delete", "-d", metavar="NAME", help="Delete a workspace that is not mounted")
@click.option("--force", "-f", is_flag=True, help="Delete it with the work that it holds")
@json_option
@click.pass_obj
def command(context: Context, delete: str | None, force: bool, as_json: bool) -> None:
    """List the workspaces of branches: what is mounted, and what waits for the next mount

    The work of a workspace that is not mounted is there again with 'mlbfs mount BRANCH DIR', or
    with --workspace NAME if its branch has several.
    """
    with context.repository() as repository:
        if delete is not None:
            author = context.author(repository)
            gone = repository.delete_workspace(delete, author=author, force=force)
            if as_json:
                render.out_json({"workspace": gone.name, "branch": gone.branch, "deleted": True})
            else:
                render.out(f"deleted workspace {gone.name}")
            return
        _list(repository, as_json=as_json)


def _list(repository: Repository, *, as_json: bool) -> None:
    found = repository.workspaces()
    records = [mount.record for mount in mounts_of(repository.git.common_dir)]
    places = {record.workspace: record.directory for record in records if record.workspace}
    if as_json:
        render.out_json([_json(kept, places.get(kept.name)) for kept in found])
        return
    render.table(
        [
            (kept.name, kept.branch, _state(kept), places.get(kept.name, "not mounted"))
            for kept in found
        ]
    )


def _state(kept: KeptWorkspace) -> str:
    if kept.holder:
        return "in use"
    return "holds work" if kept.is_dirty else "nothing unsaved"


def _json(kept: KeptWorkspace, place: str | None) -> dict[str, object]:
    return {
        "workspace": kept.name,
        "branch": kept.branch,
        "base": kept.base.hex() if kept.base is not None else None,
        "in_use": bool(kept.holder),
        "holds_work": None if kept.holder else kept.is_dirty,
        "directory": place,
    }
