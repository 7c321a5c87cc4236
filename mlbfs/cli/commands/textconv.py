"""`mlbfs textconv`: what Git starts to show a file in `git diff`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named

if TYPE_CHECKING:
    from mlbfs.cli.context import Context


@named("textconv", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.pass_obj
def command(context: Context, file: Path) -> None:
    """Summarize a file for 'git diff', which starts this itself once 'mlbfs install' was run

    Tensors, arrays, tables and databases are shown by what is in them, text as it is, anything else
    by length and SHA-256. A pointer is read as its content.
    """
    from mlbfs.workspace.hostinputs import HostReader, pointer_at
    from mlbfs.workspace.summary.describe import describe

    pointer = pointer_at(file)
    if pointer is None:
        for piece in describe(HostReader(file), file.name, file.absolute()):
            render.out_bytes(piece)
        return
    from mlbfs.repository import Repository
    from mlbfs.workspace.filtering import ContentFinder

    with (
        Repository.adopt(context.git_start()) as repository,
        ContentFinder(repository.source) as finder,
    ):
        for piece in describe(finder.open(pointer), file.name):
            render.out_bytes(piece)
