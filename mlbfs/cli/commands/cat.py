"""`mlbfs cat`: writes a file of any ref to standard output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named
from mlbfs.cli.mounts import chosen_place
from mlbfs.cli.params import REF

if TYPE_CHECKING:
    from mlbfs.cli.context import Context


@named("cat")
@click.argument("places", metavar="REF:PATH...", nargs=-1, required=True, type=REF)
@click.pass_obj
def command(context: Context, places: tuple[str, ...]) -> None:
    """Write files of a branch, tag or commit to standard output, without mounting it

    Inside a mount, a PATH alone is seen from the working folder.
    """
    from mlbfs.workspace.exporter import content

    with context.repository() as repository:
        for text in places:
            place = chosen_place(repository, text)
            reader = repository.snapshot(place.spec).open(place.path)
            for piece in content(reader, place.path):
                render.out_bytes(piece)
