"""`mlbfs cherry-pick`: brings the change of one commit to a branch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlbfs.cli.group import command as named
from mlbfs.cli.merging import into_option, pick, report_option, timeout_option
from mlbfs.cli.params import REF, json_option

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.cli.context import Context


@named("cherry-pick")
@click.argument("commit", metavar="[COMMIT]", required=False, type=REF)
@into_option
@report_option
@timeout_option
@click.option("--continue", "go_on", is_flag=True, help="Go on when all conflicts are settled")
@click.option("--abort", is_flag=True, help="Drop what waits for conflicts to be settled")
@json_option
@click.pass_obj
def command(
    context: Context,
    commit: str | None,
    into: str | None,
    report: Path | None,
    driver_timeout: float | None,
    go_on: bool,
    abort: bool,
    as_json: bool,
) -> int:
    """Bring the change of one commit to a branch, without a checkout

    What COMMIT changed since its parent is merged into the branch, as a commit with the same author
    and message. Files that both changed go to drivers, and conflicts wait, as with 'mlbfs merge'.
    """
    from mlbfs.workspace.merging import Verb

    verb = Verb.CHERRY_PICK
    return pick(
        context,
        commit,
        into,
        verb,
        go_on=go_on,
        abort=abort,
        as_json=as_json,
        timeout=driver_timeout,
        report=report,
    )
