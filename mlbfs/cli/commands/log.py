"""`mlbfs log`: shows the history of a ref, or of a path of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.graph import GraphDrawer
from mlbfs.cli.group import command as named
from mlbfs.cli.mounts import chosen_place, default_place
from mlbfs.cli.params import REF, RefPath, json_option

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlbfs.cli.context import Context
    from mlbfs.git.commits import Commit
    from mlbfs.repository import Repository


@named("log")
@click.argument("where", metavar="[REF[:PATH] | PATH]", required=False, type=REF)
@click.option("--graph", is_flag=True, help="Draw how branches part and meet")
@click.option("--limit", "-n", type=click.IntRange(min=1), help="Show at most this many commits")
@json_option
@click.pass_obj
def command(
    context: Context, where: str | None, graph: bool, limit: int | None, as_json: bool
) -> None:
    """Show the commits of a ref, newest first, or those that changed a path

    Inside a mount, the ref is the mounted one and PATH is seen from the working folder.
    """
    with context.repository() as repository:
        if where is None:
            place = RefPath(default_place(repository).spec, b"")
        else:
            place = chosen_place(repository, where)
        commits = repository.log(place.spec, path=place.path, limit=limit, topological=graph)
        names = _names(repository)
        if as_json:
            render.out_json([_json(commit, names) for commit in commits])
        elif graph:
            _draw(commits, names)
        else:
            for number, commit in enumerate(commits):
                if number:
                    render.out()
                _show(commit, names)


def _names(repository: Repository) -> dict[bytes, list[str]]:
    names: dict[bytes, list[str]] = {}
    for ref in repository.branches():
        names.setdefault(ref.target, []).append(ref.short)
    for ref in repository.tags():
        if ref.commit is not None:
            names.setdefault(ref.commit, []).append(f"tag: {ref.short}")
    return names


def _decoration(commit: Commit, names: dict[bytes, list[str]]) -> str:
    found = names.get(commit.id)
    return f" ({', '.join(found)})" if found else ""


def _show(commit: Commit, names: dict[bytes, list[str]]) -> None:
    render.out(f"commit {commit.id.hex()}{_decoration(commit, names)}")
    render.out(f"Author: {commit.author.name} <{commit.author.email}>")
    render.out(f"Date:   {render.time_text(commit.author.time, commit.author.offset)}")
    render.out()
    for line in commit.message.strip("\n").split("\n"):
        render.out(f"    {line}".rstrip())


def _draw(commits: Iterable[Commit], names: dict[bytes, list[str]]) -> None:
    drawer = GraphDrawer()
    for commit in commits:
        text = f"{commit.id.hex()[:10]}{_decoration(commit, names)} {commit.subject}"
        for line in drawer.lines(commit.id, commit.parents, text):
            render.out(line)


def _json(commit: Commit, names: dict[bytes, list[str]]) -> dict[str, object]:
    return {
        "commit": commit.id.hex(),
        "tree": commit.tree.hex(),
        "parents": [parent.hex() for parent in commit.parents],
        "author": {"name": commit.author.name, "email": commit.author.email},
        "time": render.json_time(commit.author.time),
        "message": commit.message,
        "refs": names.get(commit.id, []),
    }
