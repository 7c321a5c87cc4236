"""`mlbfs tag`: lists, makes and deletes tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named
from mlbfs.cli.mounts import default_place
from mlbfs.cli.params import REF, TAG_NAME, json_option

if TYPE_CHECKING:
    from mlbfs.cli.context import Context
    from mlbfs.repository import Repository


@named("tag")
@click.argument("name", required=False, type=TAG_NAME)
@click.argument("target", type=REF, required=False, metavar="[REF]")
@click.option("--message", "-m", help="Make an annotated tag with this message")
@click.option("--delete", "-d", is_flag=True, help="Delete tag NAME")
@json_option
@click.pass_obj
def command(
    context: Context,
    name: str | None,
    target: str | None,
    message: str | None,
    delete: bool,
    as_json: bool,
) -> None:
    """List tags, or make tag NAME at REF (default: the mounted ref, else HEAD)"""
    with context.repository() as repository:
        if name is None:
            _list(repository, as_json=as_json)
            return
        author = context.author(repository)
        if delete:
            was = repository.delete_tag(name, author=author)
            if as_json:
                render.out_json({"name": name, "object": was.hex(), "deleted": True})
            else:
                render.out(f"deleted tag {name} (it was {was.hex()[:10]})")
            return
        target = target or default_place(repository).spec
        commit = repository.create_tag(name, target, message=message, author=author)
        if as_json:
            render.out_json({"name": name, "commit": commit.hex(), "message": message})
        else:
            render.out(f"tagged {commit.hex()[:10]} as {name}")


def _list(repository: Repository, *, as_json: bool) -> None:
    rows = [
        (ref, repository.git.read_commit(ref.commit))
        for ref in repository.tags()
        if ref.commit is not None  # a tag of a tree or blob is none of ours
    ]
    if as_json:
        render.out_json(
            [
                {
                    "name": ref.short,
                    "commit": commit.id.hex(),
                    "time": render.json_time(commit.committer.time),
                    "message": ref.tag.message if ref.tag is not None else None,
                }
                for ref, commit in rows
            ]
        )
        return
    render.table(
        [
            (
                ref.short,
                commit.id.hex()[:10],
                render.day_text(commit.committer.time, commit.committer.offset),
                ref.tag.message.partition("\n")[0] if ref.tag is not None else commit.subject,
            )
            for ref, commit in rows
        ]
    )
