"""`mlbfs switch`: has a mount go to another branch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.context import here
from mlbfs.cli.group import command as named
from mlbfs.cli.params import REF, SWITCH_WORDS, HostPath, json_option
from mlbfs.errors import InvalidInputError
from mlbfs.git.names import check_branch_name
from mlbfs.git.revisions import RefKind

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.cli.context import Context
    from mlbfs.repository import Repository
    from mlbfs.workplace import MountedWorkplace, Switched


@named("switch")
@click.argument("words", metavar="[DIR] BRANCH", nargs=-1, type=SWITCH_WORDS)
@click.option("--create", "-c", metavar="NAME", help="Make the branch NAME first (no BRANCH)")
@click.option("--from", "start", type=REF, help="Where --create begins (default: as it stands)")
@json_option
@click.pass_obj
def command(
    context: Context,
    words: tuple[str, ...],
    create: str | None,
    start: str | None,
    as_json: bool,
) -> None:
    """Go to another branch in a mount, with the changes that were not committed

    DIR is any folder of the mount (default: the working folder). The new content is there at once;
    what programs have open stays as they opened it. If the other branch has something else at a
    path that changed here, nothing is done and the paths are named.

    With --create, a new branch is made, at the commit that the mount stands on or at --from.
    """
    from mlbfs.workplace import mounted_workplace

    directory, branch = _parse(words, create=create, start=start)
    with mounted_workplace(here() if directory is None else directory) as place:
        if create is not None:
            done = _create(context, place, create, start)
        else:
            done = place.switch(_branch(place.repository, branch))
    if as_json:
        render.out_json(_json(done))
    else:
        _show(done)


def _parse(
    words: tuple[str, ...], *, create: str | None, start: str | None
) -> tuple[Path | None, str]:
    most = 2 if create is None else 1
    if len(words) > most or (create is None and not words):
        form = "[DIR] BRANCH" if create is None else "--create NAME [DIR]"
        raise click.UsageError(f"this takes {form}: mlbfs switch {form}")
    if start is not None and create is None:
        raise click.UsageError("--from is for --create")
    directory: Path | None = None
    if len(words) == most:
        directory = HostPath.convert(words[0], None, None)
    return directory, "" if create is not None else words[-1]


def _branch(repository: Repository, name: str) -> str:
    """Returns the short name of a branch.

    Raises:
        NotFoundError: Nothing has that name.
        InvalidInputError: It is a tag or a commit.
    """
    found = repository.resolve(name)
    if found.kind is not RefKind.BRANCH:
        raise InvalidInputError(
            f"{name!r} is no branch, and what is written in a mount belongs to one",
            hint=f"make one there: 'mlbfs switch --create NAME --from {name}'; "
            f"or look at it: 'mlbfs mount {name} DIR'",
        )
    return found.short


def _create(context: Context, place: MountedWorkplace, name: str, start: str | None) -> Switched:
    """Makes a branch and goes there; if that cannot be, the branch is taken away again."""
    repository = place.repository
    author = context.author(repository)
    check_branch_name(name)
    repository.create_branch(name, start or place.standing().base, author=author)
    try:
        return place.switch(name)
    except BaseException:
        repository.delete_branch(name, author=author, force=True)
        raise


def _show(done: Switched) -> None:
    render.out(f"on branch {done.branch} at {done.commit[:10]}")
    if done.carried:
        render.say(f"{render.count_text(len(done.carried), 'change')} came along")


def _json(done: Switched) -> dict[str, object]:
    return {
        "branch": done.branch,
        "commit": done.commit,
        "carried": [render.path_text(path) for path in done.carried],
    }
