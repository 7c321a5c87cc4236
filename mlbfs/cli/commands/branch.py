"""`mlbfs branch`: lists, makes and deletes branches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named
from mlbfs.cli.mounts import default_place
from mlbfs.cli.params import BRANCH_NAME, REF, json_option
from mlbfs.errors import ConflictError, ErrorKind
from mlbfs.livemounts import mounts_of

if TYPE_CHECKING:
    from mlbfs.cli.context import Context
    from mlbfs.repository import Repository


@named("branch")
@click.argument("name", required=False, type=BRANCH_NAME)
@click.argument("start", type=REF, required=False)
@click.option("--delete", "-d", is_flag=True, help="Delete branch NAME")
@click.option("--force", is_flag=True, help="Delete it even if nothing else has its commits")
@json_option
@click.pass_obj
def command(
    context: Context, name: str | None, start: str | None, delete: bool, force: bool, as_json: bool
) -> None:
    """List branches, or make branch NAME at START (default: the mounted ref, else HEAD)

    A branch costs nothing: content is stored once, however many branches show it.
    """
    with context.repository() as repository:
        if name is None:
            _list(repository, as_json=as_json)
        elif delete:
            _delete(context, repository, name, force=force, as_json=as_json)
        else:
            start = start or default_place(repository).spec
            commit = repository.create_branch(name, start, author=context.author(repository))
            if as_json:
                render.out_json({"name": name, "commit": commit.hex()})
            else:
                render.out(f"made branch {name} at {commit.hex()[:10]}")


def _delete(
    context: Context, repository: Repository, name: str, *, force: bool, as_json: bool
) -> None:
    for mount in mounts_of(repository.git.common_dir, name):
        raise ConflictError(
            f"branch {name!r} is mounted at {mount.record.directory!r}",
            kind=ErrorKind.MOUNT_BUSY,
            hint=f"run 'mlbfs umount {mount.record.directory}' first",
        )
    head = repository.delete_branch(name, author=context.author(repository), force=force)
    if as_json:
        render.out_json({"name": name, "commit": head.hex(), "deleted": True})
    else:
        render.out(f"deleted branch {name} (it was at {head.hex()[:10]})")


def _list(repository: Repository, *, as_json: bool) -> None:
    places: dict[str, list[str]] = {}
    for mount in mounts_of(repository.git.common_dir):
        places.setdefault(mount.record.ref, []).append(mount.record.directory)
    rows = []
    for ref in repository.branches():
        commit = repository.git.read_commit(ref.target)
        rows.append((ref.short, commit, places.get(ref.short, [])))
    if as_json:
        render.out_json(
            [
                {
                    "name": name,
                    "commit": commit.id.hex(),
                    "time": render.json_time(commit.committer.time),
                    "subject": commit.subject,
                    "mounted": mounted,
                }
                for name, commit, mounted in rows
            ]
        )
        return
    render.table(
        [
            (
                name,
                commit.id.hex()[:10],
                render.day_text(commit.committer.time, commit.committer.offset),
                commit.subject + "".join(f"  [mounted at {place}]" for place in mounted),
            )
            for name, commit, mounted in rows
        ]
    )
