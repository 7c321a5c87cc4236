"""`mlbfs mounts`: lists the mounts of a repository."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.commands.mount import record_json
from mlbfs.cli.group import command as named
from mlbfs.cli.params import json_option

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.cli.context import Context
    from mlbfs.mount.session import LiveMount


@named("mounts")
@json_option
@click.pass_obj
def command(context: Context, as_json: bool) -> None:
    """List the mounts of this repository, those that a crash has left too"""
    from mlbfs.mount.session import list_mounts

    git_dir = context.common_dir()
    mounts = list_mounts(git_dir)
    tips = [_tip(git_dir, mount) for mount in mounts]
    if as_json:
        render.out_json([_json(mount, tip) for mount, tip in zip(mounts, tips, strict=True)])
        return
    render.table(
        [
            (
                m.record.ref or "(all)",
                m.record.kind,
                "read-only" if m.record.read_only else "read-write",
                _state(m),
                m.record.commit[:10],
                _standing(m, tip),
                m.record.directory,
            )
            for m, tip in zip(mounts, tips, strict=True)
        ]
    )


def _json(mount: LiveMount, tip: str) -> dict[str, object]:
    record = mount.record
    return record_json(record) | {
        "state": _state(mount),
        "tip": tip or None,
        "behind": _is_behind(mount, tip),
        "followed": render.json_time(record.followed) if record.followed else None,
    }


def _tip(git_dir: Path, mount: LiveMount) -> str:
    """Returns where the branch of a mount is now, "" for what is no branch, or is gone."""
    from mlbfs.git.refs import read_branch

    if mount.record.kind != "branch":
        return ""
    found = read_branch(git_dir, mount.record.ref)
    return "" if found is None else found.hex()


def _is_behind(mount: LiveMount, tip: str) -> bool:
    return mount.record.kind == "branch" and mount.record.commit != tip


def _standing(mount: LiveMount, tip: str) -> str:
    """Returns, in words, how a mount stands to its branch."""
    if mount.record.kind == "branch" and not tip:
        return "branch is gone"
    if _is_behind(mount, tip):
        return "behind"
    when = mount.record.followed
    return f"followed {render.time_text(int(when))}" if when else ""


def _state(mount: LiveMount) -> str:
    if not mount.is_alive:
        return "stale"
    return "live" if mount.is_mounted else "ending"
