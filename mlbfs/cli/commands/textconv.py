"""`mlbfs textconv`: what Git starts to show a file in `git diff`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named

if TYPE_CHECKING:
    from mlbfs.cli.context import Context
    from mlbfs.workspace.adopting import Adopted


@named("textconv", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.pass_obj
def command(context: Context, file: Path) -> None:
    """Summarize a file for 'git diff', which starts this itself once 'mlbfs install' was run

    Tensors, arrays, tables and databases are shown by what is in them, text as it is, anything else
    by length and SHA-256. A pointer is read as its content; where that is missing, one line says
    so, and how to fetch it.
    """
    from mlbfs.workspace.hostinputs import HostReader, pointer_at
    from mlbfs.workspace.summary.describe import describe

    pointer = pointer_at(file)
    if pointer is None:
        for piece in describe(HostReader(file), file.name, file.absolute()):
            render.out_bytes(piece)
        return
    from mlbfs.errors import NotFoundError
    from mlbfs.workspace.adopting import Adopted
    from mlbfs.workspace.filtering import HOW_TO_FETCH, ContentFinder

    with (
        Adopted(context.git_start()) as repository,
        ContentFinder(repository.source) as finder,
    ):
        try:
            reader = finder.open(pointer)
        except NotFoundError:
            _forget_later(repository)
            render.out(
                f"not here: {render.count_text(pointer.size, 'byte')}, "
                f"sha256 {pointer.file_id.hex()}; {HOW_TO_FETCH}"
            )
            return
        for piece in describe(reader, file.name):
            render.out_bytes(piece)


def _forget_later(repository: Adopted) -> None:
    """Keeps Git from believing for ever that a content is missing."""
    from mlbfs.workspace.gitparent import git_above
    from mlbfs.workspace.summarycache import put_right_after

    git = git_above(os.getppid())
    if git is not None:
        put_right_after(repository.git, repository.directory, git.pid)
