"""`mlbfs copy`: copies files and folders from any ref to a branch, without moving their bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named
from mlbfs.cli.merging import target_branch
from mlbfs.cli.mounts import default_place
from mlbfs.cli.params import REF, RefPath, check_message, json_option, split_ref_path

if TYPE_CHECKING:
    from mlbfs.cli.context import Context


@named("copy")
@click.argument("sources", metavar="REF:PATH...", nargs=-1, required=True, type=REF)
@click.option("--to", metavar="BRANCH[:PATH]", required=True, help="Branch and folder to land in")
@click.option("--message", "-m", help="What the commit says (default: what was copied)")
@click.option("--replace", is_flag=True, help="Take away what the branch has under those names")
@json_option
@click.pass_obj
def command(
    context: Context,
    sources: tuple[str, ...],
    to: str,
    message: str | None,
    replace: bool,
    as_json: bool,
) -> None:
    """Copy files or folders of any ref to a branch, as one commit

    Nothing is read or written but the trees above what is copied, so a folder of a million files
    takes no longer than a file. Each lands under its own name; REF alone means all that is in it.
    The commit says where it came from, in trailers that programs can read.
    """
    from mlbfs.workspace.copying import Copying, CopyRequest, CopySource

    check_message(message)
    with context.repository() as repository:
        found = []
        for text in sources:
            place = split_ref_path(text, "")
            if not place.spec:
                place = RefPath(default_place(repository).spec, place.path)
            commit = repository.git.read_commit(repository.resolve(place.spec).commit)
            found.append(CopySource(commit, place.path, text))
        target = split_ref_path(to, "")
        if target.spec in ("", "HEAD"):
            target = RefPath(target_branch(repository, None), target.path)
        author = context.author(repository)
        request = CopyRequest(
            found,
            target.spec,
            target.path,
            author.author,
            author.committer,
            replace=replace,
            message=message,
        )
        commit_id = Copying(repository.source, request).run()
    if as_json:
        render.out_json(
            {"branch": target.spec, "commit": commit_id.hex() if commit_id is not None else None}
        )
    elif commit_id is None:
        render.out(f"{target.spec} has all of it already")
    else:
        count = render.count_text(len(sources), "source")
        render.out(f"{target.spec} is at {commit_id.hex()[:10]}: {count} copied")
