"""`mlbfs lfs-fetch`: puts content where a Git LFS client looks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named
from mlbfs.cli.mounts import default_place
from mlbfs.cli.params import REF, json_option

if TYPE_CHECKING:
    from mlbfs.cli.context import Context


@named("lfs-fetch")
@click.argument("refs", metavar="[REF]...", nargs=-1, type=REF)
@json_option
@click.pass_obj
def command(context: Context, refs: tuple[str, ...], as_json: bool) -> None:
    """Put the content of REFs (default: the mounted ref, else HEAD) where Git LFS looks for it

    For 'git checkout' and 'git clone' of a repository whose files have filter=lfs: Git LFS reads
    .git/lfs/objects and not the chunk store. What is written there is a full copy; 'git lfs prune'
    takes it away again.
    """
    with context.repository() as repository, render.progress_bar("fetching") as show:
        done = repository.fetch_lfs(
            refs or (default_place(repository).spec,),
            progress=lambda files, size: show(size, None, render.count_text(files, "file")),
        )
    if as_json:
        render.out_json({"files": done.files, "bytes": done.size, "present": done.present})
        return
    files = render.count_text(done.files, "file")
    render.out(f"wrote {files}, {render.size_text(done.size)}; {done.present:,} were there already")
