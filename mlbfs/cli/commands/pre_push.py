"""`mlbfs pre-push`: what the hook of that name starts before Git pushes."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.cli.context import Context
    from mlbfs.ids import ObjectId
    from mlbfs.repository import Repository

_NOTHING = "0" * 40
_SECRET = re.compile(r"(?<=://)[^/@]*@")
"""Who logs in, in a URL; Git gives it for the name of a remote that has none."""

_NAMED = 3
"""So many refs are named to a person."""


class _Pushed(NamedTuple):
    ref: str
    tip: ObjectId
    there: ObjectId | None


@named("pre-push")
@click.argument("remote", metavar="REMOTE")
@click.argument("url", metavar="URL")
@click.pass_obj
def command(context: Context, remote: str, url: str) -> None:
    """Bring content along with a push, from the hook that 'mlbfs install' has written

    What is pushed is read from standard input, as Git writes it for that hook. Only a repository of
    this machine is given content; any other gets pointers, and that is told.
    """
    from mlbfs.repository import Repository
    from mlbfs.workspace.nearby import local_path
    from mlbfs.workspace.pushing import bring_content

    pushed = list(_pushed())
    place = local_path(url, Path.cwd())
    if not pushed:
        return
    with Repository.adopt(context.git_start()) as repository:
        if place is None:
            _tell_what_stays(repository, remote, pushed)
            return
        done = bring_content(repository.source, place, [one.tip for one in pushed])
    if done.files:
        count = render.count_text(done.files, "content")
        render.say(f"mlbfs: brought {count}, {render.size_text(done.size)}, to {remote}")


def _tell_what_stays(repository: Repository, remote: str, pushed: list[_Pushed]) -> None:
    """Says what another machine does not get, and how it does; the push goes on."""
    from mlbfs.workspace.pushing import left_behind

    stays = left_behind(repository.source, remote, ((one.tip, one.there) for one in pushed))
    if not stays.files:
        return
    count = render.count_text(stays.files, "content")
    remote = _SECRET.sub("", remote)
    names = " ".join(shlex.quote(one.ref.removeprefix("refs/heads/")) for one in pushed[:_NAMED])
    render.say_error(
        f"{remote} is on another machine and gets pointers only: "
        f"{count}, {render.size_text(stays.size)}, not sent",
        f"Git LFS can send them: mlbfs lfs-fetch {names} && "
        f"git lfs push {shlex.quote(remote)} {names}",
    )


def _pushed() -> Iterator[_Pushed]:
    """Yields what is pushed.

    Raises:
        InvalidInputError: Standard input is not what Git writes.
    """
    from mlbfs.errors import InvalidInputError
    from mlbfs.ids import parse_object_id

    for line in sys.stdin.buffer:
        words = line.decode("utf-8", "surrogateescape").split()
        if not words:  # a hook that hands on what it has read, and had nothing to read
            continue
        if len(words) != 4:
            raise InvalidInputError("this is not what Git tells a pre-push hook")
        ref, tip, _, there = words
        if tip != _NOTHING:
            known = None if there == _NOTHING else parse_object_id(there)
            yield _Pushed(ref, parse_object_id(tip), known)
