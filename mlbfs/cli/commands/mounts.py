"""`mlbfs mounts`: lists the mounts of a repository."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.commands.mount import record_json
from mlbfs.cli.group import command as named
from mlbfs.cli.params import json_option

if TYPE_CHECKING:
    from mlbfs.cli.context import Context
    from mlbfs.mount.session import LiveMount


@named("mounts")
@json_option
@click.pass_obj
def command(context: Context, as_json: bool) -> None:
    """List the mounts of this repository, those that a crash has left too"""
    from mlbfs.mount.session import list_mounts

    mounts = list_mounts(context.common_dir())
    if as_json:
        render.out_json([record_json(m.record) | {"state": _state(m)} for m in mounts])
        return
    render.table(
        [
            (
                m.record.ref or "(all)",
                m.record.kind,
                "read-only" if m.record.read_only else "read-write",
                _state(m),
                m.record.directory,
            )
            for m in mounts
        ]
    )


def _state(mount: LiveMount) -> str:
    if not mount.is_alive:
        return "stale"
    return "live" if mount.is_mounted else "ending"
