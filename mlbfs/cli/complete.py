"""What the shell is told when TAB is pressed: refs of the repository, and folders.

Owns: the form of completions.
Layer: cli.

The shell runs this outside of any command, so `-C` is heeded here. Nobody is there to be told of an
error: what cannot be found out is not proposed, and the command itself will say why.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from click.shell_completion import CompletionItem

from mlbfs.cli.context import Context
from mlbfs.errors import MlbfsError

if TYPE_CHECKING:
    import click


def refs(
    ctx: click.Context, incomplete: str, *, branches: bool = True, tags: bool = True
) -> list[CompletionItem]:
    """Returns the refs that begin with what was typed."""
    context = Context()
    try:
        _go(context, ctx)
        with context.repository() as repository:
            found = repository.branches() if branches else []
            found += repository.tags() if tags else []
    except (MlbfsError, OSError):  # see the module docstring
        return []
    return [CompletionItem(ref.short) for ref in found if ref.short.startswith(incomplete)]


def folders(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Returns the folders that begin with what was typed; without `-C` the shell knows them."""
    if _directory(ctx) is None:
        return [CompletionItem(incomplete, type="dir")]
    head, _, start = incomplete.rpartition("/")
    head += "/" * (len(head) < len(incomplete) - len(start))
    try:
        _go(Context(), ctx)
        with os.scandir(head or ".") as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
    except (MlbfsError, OSError):  # see the module docstring
        return []
    hidden = start.startswith(".")
    return [
        CompletionItem(f"{head}{name}/")
        for name in names
        if name.startswith(start) and (hidden or not name.startswith("."))
    ]


def _directory(ctx: click.Context) -> str | None:
    directory: str | None = ctx.find_root().params.get("directory")
    return directory


def _go(context: Context, ctx: click.Context) -> None:
    directory = _directory(ctx)
    if directory is not None:
        context.change_directory(directory)
