"""`mlbfs umount`: takes a mount away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named
from mlbfs.cli.params import HostPath, json_option

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.cli.context import Context


@named("umount")
@click.argument("directory", type=HostPath)
@click.option("--lazy", "-l", is_flag=True, help="Take it out of sight even if it is in use")
@json_option
@click.pass_obj
def command(_context: Context, directory: Path, lazy: bool, as_json: bool) -> None:
    """Unmount DIRECTORY; work that was not committed is kept for the next mount

    A mount whose daemon has died is cleaned up.
    """
    from mlbfs.mount.session import unmount

    done = unmount(directory, lazy=lazy)
    if as_json:
        render.out_json(
            {
                "directory": str(done.directory),
                "ref": done.record.ref if done.record is not None else None,
                "was_stale": done.was_stale,
                "unsaved": done.unsaved,
            }
        )
        return
    render.out(f"unmounted {done.directory}" + (" (its daemon had died)" if done.was_stale else ""))
    if done.unsaved and done.record is not None:
        changes = render.count_text(done.unsaved, "change")
        render.say(f"{changes} of {done.record.ref} not committed: kept for the next mount")
