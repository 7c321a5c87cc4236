"""`mlbfs pre-push`: what the hook of that name starts before Git pushes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.cli.context import Context
    from mlbfs.ids import ObjectId

_NOTHING = "0" * 40


@named("pre-push")
@click.argument("remote", metavar="REMOTE")
@click.argument("url", metavar="URL")
@click.pass_obj
def command(context: Context, remote: str, url: str) -> None:
    """Bring content along with a push, from the hook that 'mlbfs install' has written

    What is pushed is read from standard input, as Git writes it for that hook. Only a repository of
    this machine is given content; any other gets pointers.
    """
    from mlbfs.repository import Repository
    from mlbfs.workspace.nearby import local_path
    from mlbfs.workspace.pushing import bring_content

    tips = list(_tips())
    place = local_path(url, Path.cwd())
    if place is None or not tips:
        return
    with Repository.adopt(context.git_start()) as repository:
        done = bring_content(repository.source, place, tips)
    if done.files:
        count = render.count_text(done.files, "content")
        render.say(f"mlbfs: brought {count}, {render.size_text(done.size)}, to {remote}")


def _tips() -> Iterator[ObjectId]:
    """Yields what is pushed.

    Raises:
        InvalidInputError: Standard input is not what Git writes.
    """
    from mlbfs.errors import InvalidInputError
    from mlbfs.ids import parse_object_id

    for line in sys.stdin.buffer:
        words = line.decode("utf-8", "surrogateescape").split()
        if len(words) != 4:
            raise InvalidInputError("this is not what Git tells a pre-push hook")
        if words[1] != _NOTHING:
            yield parse_object_id(words[1])
