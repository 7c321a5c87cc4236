"""`mlbfs gc`: gives back the space of what nothing refers to any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named
from mlbfs.cli.params import json_option
from mlbfs.ids import parse_object_id
from mlbfs.livemounts import ask, mounts_of

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.cli.context import Context
    from mlbfs.ids import ObjectId


@named("gc")
@click.option("--repack", is_flag=True, help="Rewrite packs of which a large part is not needed")
@click.option("--dry-run", "-n", is_flag=True, help="Only say what would be given back")
@json_option
@click.pass_obj
def command(context: Context, repack: bool, dry_run: bool, as_json: bool) -> None:
    """Give back the space of content that nothing refers to any more

    Kept is whatever a ref, a reflog entry, a workspace, a live mount or the index of a Git work
    tree needs, and what stock Git has added in the last two weeks. What a deleted branch alone had
    is given back; what a reflog still names, when 'git reflog expire' has dropped it.
    Without --repack, a pack goes when nothing in it is needed. The chunk index keeps its length;
    what is free in it is filled by the next imports.
    """
    with context.repository() as repository, render.progress("collecting"):
        git_dir = repository.git.common_dir
        result = repository.gc(mounted=lambda: _mounted(git_dir), repack=repack, dry_run=dry_run)
    if as_json:
        render.out_json(
            {
                "dry_run": dry_run,
                "freed_bytes": result.freed_bytes,
                "removed_packs": result.removed_packs,
                "repacked_packs": result.repacked_packs,
                "live_bytes": result.live_bytes,
                "dead_bytes": result.dead_bytes,
                "removed_files": result.removed_files,
                "missing_files": result.missing_files,
            }
        )
        return
    verb = "would give back" if dry_run else "gave back"
    render.out(
        f"{verb} {render.size_text(result.freed_bytes)}: "
        f"{render.count_text(result.removed_packs, 'pack')} removed, "
        f"{result.repacked_packs} rewritten"
    )
    if result.dead_bytes:
        dead = render.size_text(result.dead_bytes)
        render.say(f"{dead} that nothing needs stay in packs that are needed; see --repack")


def _mounted(git_dir: Path) -> dict[str, list[ObjectId]]:
    """Returns the commits that live mounts show now."""
    found = {}
    for mount in mounts_of(git_dir):
        if mount.record.kind != "all":
            info, _ = ask(mount.record, "info")
            name = mount.record.workspace or mount.record.directory
            found[name] = [parse_object_id(text) for text in info["shown"]]
    return found
