"""`mlbfs commit`: saves the changes of a working copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named
from mlbfs.cli.params import BRANCH, HostPath, json_option

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.cli.context import Context
    from mlbfs.workplace import Committed


@named("commit")
@click.argument("directory", type=HostPath, required=False)
@click.option("--message", "-m", required=True, help="What changed, and why")
@click.option("--tag", "-t", help="Tag the commit, too")
@click.option(
    "--branch", "-b", type=BRANCH, help="The branch, mounted or not, instead of DIRECTORY"
)
@json_option
@click.pass_obj
def command(
    context: Context,
    directory: Path | None,
    message: str,
    tag: str | None,
    branch: str | None,
    as_json: bool,
) -> None:
    """Save the changes of a mounted branch as a commit

    DIRECTORY is any folder of the mount (default: the working folder). Programs go on reading and
    writing meanwhile. Empty folders, pipes, sockets and devices stay in the mount; Git cannot keep
    them.
    """
    from mlbfs.workplace import record_changes, workplace

    start = context.start(directory, branch)
    with workplace(start, branch) as place, render.progress("committing"):
        author = context.author(place.repository)
        done = record_changes(place, message, author=author, tag=tag)
    if as_json:
        render.out_json(_json(done, tag))
    else:
        _show(done, tag)


def _show(done: Committed, tag: str | None) -> None:
    for path in done.skipped_empty:
        render.say(f"not kept (empty folder): {render.quoted(path)}")
    for path in done.skipped_special:
        render.say(f"not kept (pipe, socket or device): {render.quoted(path)}")
    for path in done.skipped_refused:
        render.say(f"not kept (Git refuses the name): {render.quoted(path)}")
    for path in done.hardlinks_split:
        render.say(f"hard link kept as a file of its own: {render.quoted(path)}")
    tagged = f", tagged {tag}" if tag is not None else ""
    render.out(
        f"committed {done.commit[:10]}{tagged}: {done.added} added, {done.modified} modified, "
        f"{done.deleted} deleted; {render.size_text(done.new_bytes)} new in the chunk store"
    )


def _json(done: Committed, tag: str | None) -> dict[str, object]:
    return {
        "commit": done.commit,
        "tag": tag,
        "added": done.added,
        "modified": done.modified,
        "deleted": done.deleted,
        "new_bytes": done.new_bytes,
        "skipped_empty": [render.path_text(path) for path in done.skipped_empty],
        "skipped_special": [render.path_text(path) for path in done.skipped_special],
        "skipped_refused": [render.path_text(path) for path in done.skipped_refused],
        "hardlinks_split": [render.path_text(path) for path in done.hardlinks_split],
    }
