"""`mlbfs mount`: mounts a branch, tag or commit, or all of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named
from mlbfs.cli.params import MOUNT_WORDS, HostPath, json_option
from mlbfs.mount.recovered import sentence

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.cli.context import Context
    from mlbfs.mount.registry import MountRecord


@named("mount")
@click.argument("words", metavar="REF DIR", nargs=-1, required=True, type=MOUNT_WORDS)
@click.option("--all", "-a", "everything", is_flag=True, help="Mount every ref by name (no REF)")
@click.option("--read-only", "-r", is_flag=True, help="Show a branch as it is, without a workspace")
@click.option(
    "--new-workspace", "-n", is_flag=True, help="Mount a branch once more, apart from other mounts"
)
@click.option("--workspace", "-w", help="Mount this workspace of the branch")
@click.option("--foreground", "-f", is_flag=True, help="Serve in this process until Ctrl-C")
@json_option
@click.pass_obj
def command(
    context: Context,
    words: tuple[str, ...],
    everything: bool,
    read_only: bool,
    new_workspace: bool,
    workspace: str | None,
    foreground: bool,
    as_json: bool,
) -> None:
    """Mount a branch, tag or commit on the empty folder DIR

    A branch is mounted read-write: changes are kept until they are committed. Tags, commits and
    --read-only are mounted read-only. The command returns when the mount answers.

    A branch is mounted read-write in one place. With --new-workspace it is mounted in another one
    besides, with changes of its own; commits of the two go on top of each other. What such a mount
    has not committed stays in its workspace: 'mlbfs workspaces' lists them, --workspace mounts one.

    With --all, DIR shows branches/NAME, tags/NAME and commits/ID, read-only.
    """
    # The repository is found but not opened: the daemon must be started before that.
    from mlbfs.mount.session import mount, mount_here

    ref, directory = _parse(words, everything=everything)
    git_dir = context.common_dir()
    if foreground:
        mount_here(
            git_dir,
            ref,
            directory,
            lambda record: _show(record, None, as_json=as_json),
            read_only=read_only,
            new_workspace=new_workspace,
            workspace=workspace,
            debug=context.debug,
        )
        return
    began = time.monotonic()
    record = mount(
        git_dir,
        ref,
        directory,
        read_only=read_only,
        new_workspace=new_workspace,
        workspace=workspace,
        debug=context.debug,
    )
    _show(record, time.monotonic() - began, as_json=as_json)


def _parse(words: tuple[str, ...], *, everything: bool) -> tuple[str | None, Path]:
    if len(words) != (1 if everything else 2):
        form = "--all DIR" if everything else "REF DIR"
        raise click.UsageError(f"this takes {form}: mlbfs mount {form}")
    directory: Path = HostPath.convert(words[-1], None, None)
    return (None if everything else words[0]), directory


def _show(record: MountRecord, seconds: float | None, *, as_json: bool) -> None:
    if as_json:
        render.out_json(record_json(record))
    else:
        render.out(_sentence(record, seconds))
        if record.recovery is not None:
            render.say(sentence(record.recovery))
    render.flush()


def _sentence(record: MountRecord, seconds: float | None) -> str:
    what = f"{record.kind} {record.ref}" if record.ref else "all refs"
    if record.workspace not in ("", quote(record.ref, safe="")):
        what += f" (workspace {record.workspace})"
    how = "read-only" if record.read_only else "read-write"
    took = f" ({seconds:.2f} s)" if seconds is not None else ""
    return f"mounted {what} at {record.directory}, {how}{took}"


def record_json(record: MountRecord) -> dict[str, object]:
    """Returns what programs are told of a mount."""
    return {
        "id": record.id,
        "pid": record.pid,
        "directory": record.directory,
        "ref": record.ref or None,
        "kind": record.kind,
        "commit": record.commit or None,
        "read_only": record.read_only,
        "started": render.json_time(record.started),
        "git_dir": record.git_dir,
        "workspace": record.workspace or None,
        "recovery": record.recovery,
    }
