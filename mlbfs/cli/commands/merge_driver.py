"""`mlbfs merge-driver`: what Git starts to merge a file with a driver of mlbfs."""

from __future__ import annotations

import os
import re
import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named
from mlbfs.cli.worktree import filtered_repository, say_waiting

if TYPE_CHECKING:
    from mlbfs.cli.context import Context
    from mlbfs.ids import ObjectId
    from mlbfs.merge.conflicts import Conflict
    from mlbfs.merge.driver import DriverChoice
    from mlbfs.workspace.adopting import Adopted
    from mlbfs.workspace.driverprocess import DriverProcess

EXIT_CONFLICT = 1
EXIT_FAILED = 129
"""From here on Git takes it that the driver could not do its work, and stops."""

_HEAD_NAME = re.compile(r"GITHEAD_([0-9a-f]{40})")


@named(
    "merge-driver", context_settings={"allow_interspersed_args": False}
)  # a path may be `--help`
@click.argument("driver", metavar="DRIVER")
@click.argument("base", metavar="BASE")
@click.argument("ours", metavar="OURS")
@click.argument("theirs", metavar="THEIRS")
@click.argument("marker_size", metavar="MARKER_SIZE", type=click.IntRange(1, 1000, clamp=True))
@click.argument("path", metavar="PATH")
@click.pass_obj
def command(
    context: Context, driver: str, base: str, ours: str, theirs: str, marker_size: int, path: str
) -> int:
    """Merge one file for stock Git, which starts this itself once 'mlbfs install' was run

    The three files hold what Git has of each side; OURS is replaced by the result. Ends with 0 when
    it is merged, with 1 when there are conflicts, which are listed, and with 129 or more when the
    driver cannot do its work.
    """
    context.failure_code = EXIT_FAILED
    context.failure_note = _not_merged(path)
    from mlbfs.cli.mergehelper import leave_helper
    from mlbfs.merge.driver import parse_choice
    from mlbfs.merge.registry import BUILT_IN
    from mlbfs.workspace.driverrun import start_early

    choice = parse_choice(driver)
    with ExitStack() as stack:
        process = context.driver_process
        if process is None or choice.name not in BUILT_IN:
            # It starts beside everything that comes now. What drivers of others print is for the
            # standard error of this call, which a process that was started before has not.
            process = start_early(choice)
            if process is not None:
                stack.callback(process.close)
        sides = {"base": Path(base), "ours": Path(ours), "theirs": Path(theirs)}
        found = _merge(context, choice, process, sides, marker_size, path)
    if context.driver_process is None:
        leave_helper()
    for conflict in found:
        _say(conflict)
    return EXIT_CONFLICT if any(one.settled is None for one in found) else 0


def _merge(
    context: Context,
    choice: DriverChoice,
    process: DriverProcess | None,
    files: dict[str, Path],
    marker_size: int,
    path: str,
) -> list[Conflict]:
    from mlbfs.cli.merging import conflict_style, driver_timeout
    from mlbfs.merge.versions import Side
    from mlbfs.workspace.driverrun import DriverRunner
    from mlbfs.workspace.filemerge import FileMerge, FileMergeRequest, is_moved_apart, merges_bases

    with filtered_repository(context) as (repository, attributes):
        is_inner = merges_bases(attributes, os.fsencode(path), marker_size)
        if is_inner:  # what fails is as the base has it then, and no reason to stop
            context.failure_code, context.failure_note = EXIT_CONFLICT, None
        told, name = _told(context, repository)
        request = FileMergeRequest(
            os.fsencode(path),
            {Side(side): file for side, file in files.items()},
            choice,
            {side: str(side) for side in Side} | ({Side.THEIRS: name} if name else {}),
            told,
            marker_size,
            conflict_style(repository.git),
            is_inner,
        )
        timeout = driver_timeout(repository.git, None)
        with DriverRunner(repository.directory, timeout, process) as drivers:
            found = FileMerge(repository.source, attributes, drivers, say_waiting).merge(request)
        if any(one.settled is None for one in found) and is_moved_apart(
            attributes, request.path, marker_size
        ):
            render.say(
                f"{render.quoted(request.path)}: each side moved it elsewhere, and Git puts this "
                "result at both places, with ours where they conflict; theirs is in its commit "
                "alone: git show MERGE_HEAD:PATH (CHERRY_PICK_HEAD, REBASE_HEAD)"
            )
        return found


def _not_merged(path: str) -> str:
    """Says where the sides are: Git before 2.42 goes on after a failure, with ours in the file."""
    word = shlex.quote(path)
    return (
        f"NOT MERGED: {render.quoted(os.fsencode(path))}. Where Git goes on and calls it a "
        "conflict, the file has ours and nothing of theirs; "
        f"theirs: git show {shlex.quote(f':3:{path}')}, or git checkout --theirs -- {word}"
    )


def _told(context: Context, repository: Adopted) -> tuple[ObjectId | None, str | None]:
    """Returns the commit that comes in and its name, if Git tells them.

    `git merge` names what it merges in the environment, as `GITHEAD_<commit>=<name>`; other
    commands that merge do not.
    """
    from mlbfs.ids import parse_object_id

    head = repository.git.commit_of("HEAD")
    told = {
        oid: name
        for key, name in context.environment.items()
        if (match := _HEAD_NAME.fullmatch(key)) and (oid := parse_object_id(match[1])) != head
    }
    return next(iter(told.items())) if len(told) == 1 else (None, None)


def _say(conflict: Conflict) -> None:
    where = f" at {conflict.where}" if conflict.where else ""
    settled = f" (took {conflict.settled})" if conflict.settled is not None else ""
    render.say(
        f"{conflict.kind}: {render.quoted(conflict.path)}{where}: {conflict.message}{settled}"
    )
