"""`mlbfs merge-driver`: what Git starts to merge a file with a driver of mlbfs."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named
from mlbfs.cli.merging import conflict_style, driver_timeout
from mlbfs.cli.worktree import filtered_repository, say_waiting

if TYPE_CHECKING:
    from mlbfs.cli.context import Context
    from mlbfs.ids import ObjectId
    from mlbfs.merge.conflicts import Conflict
    from mlbfs.repository import Repository

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
    from mlbfs.merge.driver import parse_choice
    from mlbfs.merge.versions import Side
    from mlbfs.workspace.driverrun import DriverRunner
    from mlbfs.workspace.filemerge import FileMerge, FileMergeRequest, merges_bases

    with filtered_repository(context) as (repository, attributes):
        is_inner = merges_bases(attributes, os.fsencode(path), marker_size)
        if is_inner:  # what fails is as the base has it then, and no reason to stop
            context.failure_code = EXIT_CONFLICT
        told, name = _told(context, repository)
        request = FileMergeRequest(
            os.fsencode(path),
            {Side.BASE: Path(base), Side.OURS: Path(ours), Side.THEIRS: Path(theirs)},
            parse_choice(driver),
            {side: str(side) for side in Side} | ({Side.THEIRS: name} if name else {}),
            told,
            marker_size,
            conflict_style(repository),
            is_inner,
        )
        timeout = driver_timeout(repository, None)
        with DriverRunner(repository.directory, timeout) as drivers:
            found = FileMerge(repository.source, attributes, drivers, say_waiting).merge(request)
    for conflict in found:
        _say(conflict)
    return EXIT_CONFLICT if any(one.settled is None for one in found) else 0


def _told(context: Context, repository: Repository) -> tuple[ObjectId | None, str | None]:
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
