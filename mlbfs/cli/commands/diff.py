"""`mlbfs diff`: shows what changed, in a working copy or between two refs."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named
from mlbfs.cli.params import BRANCH, DIFF_WORDS, json_option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mlbfs.cli.context import Context
    from mlbfs.store.dirindex import DirectoryEntry
    from mlbfs.workspace.contentdiff import Readable
    from mlbfs.workspace.diff import Change


@dataclass(frozen=True, slots=True)
class Comparison:
    """Changes, and how both sides of each are read."""

    changes: Iterable[Change]
    open_old: Callable[[DirectoryEntry], Readable]
    open_new: Callable[[Change], Readable]


@named("diff")
@click.argument("words", metavar="[DIR | REF REF]", nargs=-1, type=DIFF_WORDS)
@click.option("--branch", "-b", type=BRANCH, help="The branch, mounted or not, instead of DIR")
@click.option("--stat", is_flag=True, help="Name the files only")
@json_option
@click.pass_obj
def command(
    context: Context, words: tuple[str, ...], branch: str | None, stat: bool, as_json: bool
) -> None:
    """Show what changed: in a mounted branch since its last commit, or from one REF to another

    Text is shown as a unified diff; of other files, the sizes and how many chunks are new.
    """
    from mlbfs.cli.changes import LETTERS, change_json, show_difference

    with _comparison(context, words, branch) as found:
        if as_json:
            render.out_json([change_json(change) for change in found.changes])
            return
        for change in found.changes:
            if stat:
                render.out(f"{LETTERS[change.kind]}  {render.quoted(change.path)}")
            else:
                show_difference(change, found.open_old, found.open_new)


@contextmanager
def _comparison(
    context: Context, words: tuple[str, ...], branch: str | None
) -> Iterator[Comparison]:
    from mlbfs.workplace import workplace

    if len(words) > 2 or (words and branch is not None):
        raise click.UsageError("this takes a folder of a mount, or two refs, or --branch")
    if len(words) == 2:
        with context.repository() as repository:
            source = repository.source
            yield Comparison(repository.diff(*words), source.open, lambda c: source.open(_new(c)))
        return
    directory = Path(words[0]) if words else None
    with workplace(context.start(directory, branch), branch) as place:
        changes = place.standing().status.changes
        source = place.repository.source
        yield Comparison(changes, source.open, lambda change: place.open(change.path))


def _new(change: Change) -> DirectoryEntry:
    assert change.new is not None, "only what is there is opened"
    return change.new
