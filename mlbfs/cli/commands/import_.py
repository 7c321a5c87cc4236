"""`mlbfs import`: takes files and folders straight into a branch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named
from mlbfs.cli.mounts import refuse_mounted_sources
from mlbfs.cli.params import BRANCH, REF, SOURCE, json_option
from mlbfs.livemounts import mounts_of

if TYPE_CHECKING:
    from mlbfs.cli.context import Context
    from mlbfs.workspace.importer import ImportResult


@named("import")
@click.argument("sources", nargs=-1, required=True, metavar="SRC...", type=SOURCE)
@click.option("--branch", "-b", type=BRANCH, required=True, help="Branch to commit to")
@click.option("--to", default="", metavar="PATH", help="Folder of the branch to land in")
@click.option("--message", "-m", help="Message of the commit; names the sources by default")
@click.option("--from", "start", type=REF, help="Where a new branch begins (default: empty)")
@click.option("--replace", is_flag=True, help="Drop what the places imported to held before")
@click.option("--reread", is_flag=True, help="Read files even if they look unchanged since before")
@json_option
@click.pass_obj
def command(
    context: Context,
    sources: tuple[str, ...],
    branch: str,
    to: str,
    message: str | None,
    start: str | None,
    replace: bool,
    reread: bool,
    as_json: bool,
) -> None:
    """Take files or folders into a branch, as one commit, without a checkout

    Each SRC lands under its own name, as with rsync: `import data` makes data/..., while
    `import data/` (or `.`) takes what is inside it. --to names the folder to land in. A branch that
    does not exist is made, empty or at --from.

    Files that the branch has elsewhere stay. With --replace, the places that a SRC lands in are
    emptied first, so files that are gone from the source go from the branch too.

    A file with the same inode, length, modification and change time as when it was imported before
    is not read again, unless --reread is given.

    Kept: names byte for byte, symbolic links, the executable bit. Not kept, and named: empty
    folders, .git folders, pipes, sockets and devices. A .gitignore is a file like any other: what
    it names is taken too, as you have asked for it.
    """
    from mlbfs.workspace.importer import parse_source
    from mlbfs.workspace.scanner import parse_tree_path

    began = time.monotonic()
    with context.repository() as repository:
        parsed = tuple(parse_source(source) for source in sources)
        refuse_mounted_sources(parsed)
        with render.progress_bar("importing") as show:
            result = repository.import_paths(
                parsed,
                branch,
                to=parse_tree_path(to),
                message=message,
                start=start,
                replace=replace,
                reread=reread,
                author=context.author(repository),
                progress=lambda now: show(
                    now.size, now.total, render.count_text(now.files, "file")
                ),
            )
        mounted = mounts_of(repository.git.common_dir, branch)
    seconds = time.monotonic() - began
    if as_json:
        render.out_json(_json(result, seconds))
        return
    _show(result, seconds)
    if result.attributes:
        render.say("it begins with a .gitattributes that says how files merge")
    for mount in mounted if result.commit is not None else ():
        render.say(
            f"{branch} is mounted at {mount.record.directory}: it shows this at once, "
            "or after its next commit if it has changes"
        )


def _show(result: ImportResult, seconds: float) -> None:
    for skipped in result.skipped:
        render.say(f"not kept ({skipped.reason}): {render.quoted(skipped.path)}")
    files = render.count_text(result.files, "file")
    what = f"{files}, {render.size_text(result.size)}"
    if result.commit is None:
        render.out(f"{result.branch} has all of it already ({what})")
        return
    made = "made branch" if result.created else "updated branch"
    render.out(
        f"{made} {result.branch} at {result.commit.hex()[:10]}: {what}; "
        f"{_stored_text(result)} ({seconds:.2f} s)"
    )


def _stored_text(result: ImportResult) -> str:
    if result.text_files == result.files:
        return "all of it text, which Git keeps"
    return (
        f"{render.size_text(result.new_bytes)} were new to the chunk store and take "
        f"{render.size_text(result.stored_bytes)}"
    )


def _json(result: ImportResult, seconds: float) -> dict[str, object]:
    return {
        "branch": result.branch,
        "commit": result.commit.hex() if result.commit is not None else None,
        "created": result.created,
        "attributes": result.attributes,
        "files": result.files,
        "text_files": result.text_files,
        "symlinks": result.symlinks,
        "bytes": result.size,
        "new_bytes": result.new_bytes,
        "stored_bytes": result.stored_bytes,
        "skipped": [
            {"path": render.path_text(item.path), "reason": str(item.reason)}
            for item in result.skipped
        ],
        "seconds": round(seconds, 3),
    }
