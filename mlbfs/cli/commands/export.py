"""`mlbfs export`: copies files of any ref to a folder of the host."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named
from mlbfs.cli.mounts import chosen_place
from mlbfs.cli.params import REF, HostPath, json_option
from mlbfs.livemounts import check_answers

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.cli.context import Context


@named("export")
@click.argument("where", metavar="REF[:PATH]", type=REF)
@click.argument("destination", type=HostPath)
@json_option
@click.pass_obj
def command(context: Context, where: str, destination: Path, as_json: bool) -> None:
    """Copy a folder or file of a branch, tag or commit to DESTINATION

    DESTINATION must not exist, or be an empty folder; what is in the folder PATH goes into it.
    """
    began = time.monotonic()
    check_answers(destination)
    with context.repository() as repository, render.progress_bar("exporting") as show:
        place = chosen_place(repository, where)
        entry = repository.snapshot(place.spec).find(place.path)
        total = None if entry.is_directory else entry.size
        result = repository.export(
            place.spec,
            destination,
            path=place.path,
            progress=lambda files, size: show(size, total, render.count_text(files, "file")),
        )
    seconds = time.monotonic() - began
    if as_json:
        render.out_json(
            {
                "files": result.files,
                "symlinks": result.symlinks,
                "bytes": result.size,
                "submodules": [render.path_text(path) for path in result.submodules],
                "seconds": round(seconds, 3),
            }
        )
        return
    for path in result.submodules:
        render.say(f"not copied (submodule): {render.quoted(path)}")
    files = render.count_text(result.files, "file")
    render.out(f"wrote {files}, {render.size_text(result.size)} to {destination} ({seconds:.2f} s)")
