"""`mlbfs filter-process`: what Git starts for files with `filter=mlbfs`."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named
from mlbfs.cli.program import write_push_hook
from mlbfs.cli.worktree import filtered_repository, say_waiting
from mlbfs.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlbfs.cli.context import Context
    from mlbfs.errors import MlbfsError
    from mlbfs.workspace.adopting import Adopted

_STEP = 1 << 20


@named("filter-process")
@click.option("--clean", metavar="PATH", help="Filter one file on its way to Git, and end")
@click.option("--smudge", metavar="PATH", help="Filter one file on its way out of Git, and end")
@click.pass_obj
def command(context: Context, clean: str | None, smudge: str | None) -> None:
    """Filter contents for stock Git, which starts this itself once 'mlbfs install' was run

    Speaks Git's protocol for long-running filters on standard input and output. What it refuses is
    told in one line that names the file.
    """
    from mlbfs.git.filterprotocol import FilterServer
    from mlbfs.workspace.filtering import ALLOW_MISSING, ContentFilter

    if clean is not None and smudge is not None:
        raise click.UsageError("--clean and --smudge exclude each other")
    allow_missing = context.environment.get(ALLOW_MISSING, "") not in ("", "0")
    with (
        filtered_repository(context) as (repository, attributes),
        ContentFilter(
            repository.source,
            attributes,
            allow_missing=allow_missing,
            only_shown=_only_shown(context, repository),
            waiting=say_waiting,
        ) as work,
    ):
        if clean is not None:
            _write(work.clean(os.fsencode(clean), _standard_input()))
        elif smudge is not None:
            _write(work.smudge(os.fsencode(smudge), _standard_input()))
        else:
            with suppress(StorageError):  # of a repository that is not ours to write
                write_push_hook(repository.git)
            FilterServer(sys.stdin.buffer, sys.stdout.buffer, _report).serve(work)
        work.finish()


def _only_shown(context: Context, repository: Adopted) -> bool:
    """Whether the Git that asks shows what comes out, and writes no file of the work tree.

    A program that compares files for Git, as `git difftool` starts one, wants the files.
    """
    from mlbfs.workspace.gitparent import git_above, only_shows

    is_told = any(  # `git -c diff.external=...`
        key.startswith("GIT_CONFIG") and "diff.external" in value.lower()
        for key, value in context.environment.items()
    )
    if is_told or "GIT_EXTERNAL_DIFF" in context.environment:
        return False
    if repository.git.config_get("diff.external"):
        return False

    git = git_above(os.getppid())
    return git is not None and only_shows(
        git.words, lambda name: repository.git.config_get(f"alias.{name}")
    )


def _standard_input() -> Iterator[bytes]:
    while data := sys.stdin.buffer.read(_STEP):
        yield data


def _write(pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        render.out_bytes(piece)


def _report(path: bytes, err: MlbfsError) -> None:
    render.say_error(f"{render.quoted(path)}: {err.message}", err.hint)
