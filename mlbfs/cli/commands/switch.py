"""`mlbfs switch`: has a mount go to another branch."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.context import here
from mlbfs.cli.group import command as named
from mlbfs.cli.params import REF, SWITCH_WORDS, HostPath, json_option
from mlbfs.errors import ConflictError
from mlbfs.livemounts import mount_at_path, switch_mount

if TYPE_CHECKING:
    from mlbfs.cli.context import Context
    from mlbfs.livemounts import Switched
    from mlbfs.mount.registry import MountRecord


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
    directory, branch = _parse(words, create=create, start=start)
    record = mount_at_path(here() if directory is None else directory)
    if create is None:
        done = switch_mount(record, branch)
    else:
        done = _create(context, record, create, start)
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


def _create(context: Context, record: MountRecord, name: str, start: str | None) -> Switched:
    """Makes a branch and goes there; if that cannot be, the branch is taken away again."""
    from mlbfs.repository import Repository

    with Repository.open(Path(record.git_dir)) as repository:
        author = context.author(repository)
        repository.create_branch(name, start or record.commit, author=author)
        try:
            return switch_mount(record, name)
        except BaseException:
            with suppress(ConflictError):  # interrupted, but the mount went there all the same
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
