"""`mlbfs commit`: saves the changes of a working copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named
from mlbfs.cli.params import BRANCH, WORK_PATH, json_option

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.cli.context import Context
    from mlbfs.workplace import Committed


@named("commit")
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=WORK_PATH)
@click.option("--message", "-m", required=True, help="What changed, and why")
@click.option("--tag", "-t", help="Tag the commit, too")
@click.option(
    "--branch", "-b", type=BRANCH, help="The branch, mounted or not; PATHs begin at its root"
)
@json_option
@click.pass_obj
def command(
    context: Context,
    paths: tuple[Path, ...],
    message: str,
    tag: str | None,
    branch: str | None,
    as_json: bool,
) -> None:
    """Save the changes of a mounted branch as a commit

    With PATHs, only what changed there is saved, a folder with all below it; the rest stays
    changed. The mount is the one that the first PATH lies in, else that of the working folder; the
    mount point stands for everything. Programs go on reading and writing meanwhile. Empty folders,
    pipes, sockets and devices stay in the mount; Git cannot keep them.
    """
    from mlbfs.workplace import record_changes, tree_paths, workplace

    start = context.start(paths[0] if paths else None, branch)
    with workplace(start, branch) as place, render.progress_bar("committing") as show:
        chosen = tree_paths(place, paths, by_branch=branch is not None)
        author = context.author(place.repository)
        done = record_changes(
            place,
            message,
            author=author,
            tag=tag,
            paths=chosen,
            progress=lambda done, total: show(done, total, ""),
        )
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
    if done.carried_from is not None:
        render.say(
            f"the branch had moved on from {done.carried_from[:10]}: "
            "the changes were put on top of what it has now"
        )
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
        "carried_from": done.carried_from,
    }
