"""`mlbfs doctor`: checks this machine, and says how to mend what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.diagnosis import State, examine
from mlbfs.cli.group import command as named
from mlbfs.cli.params import json_option

if TYPE_CHECKING:
    from mlbfs.cli.context import Context

_MARKS = {State.GOOD: "ok", State.ADVICE: "note", State.BAD: "FAULT"}


@named("doctor")
@json_option
@click.pass_obj
def command(context: Context, as_json: bool) -> int:
    """Check this machine, and the repository if there is one, and say how to mend what is missing

    Ends with exit code 1 when something that mlbfs needs is missing.
    """
    findings = list(examine(context))
    if as_json:
        render.out_json(
            [
                {"check": f.check, "state": str(f.state), "text": f.text, "hint": f.hint}
                for f in findings
            ]
        )
    else:
        for finding in findings:
            render.out(f"{_MARKS[finding.state]:<5}  {finding.check}: {finding.text}")
            if finding.hint is not None:
                render.out(f"       {finding.hint}")
    return 1 if any(finding.state is State.BAD for finding in findings) else 0
