"""`mlbfs resolve`: lists the conflicts of an unfinished merge, or settles them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named
from mlbfs.cli.merging import into_option, target_branch
from mlbfs.cli.params import HostPath, json_option

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.cli.context import Context
    from mlbfs.workspace.mergestate import MergeState


@named("resolve")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option("--ours", "word", flag_value="ours", help="Take what the branch has")
@click.option("--theirs", "word", flag_value="theirs", help="Take what comes in")
@click.option("--base", "word", flag_value="base", help="Take what both began with")
@click.option("--union", "word", flag_value="union", help="Keep what both sides added")
@click.option("--file", "file", type=HostPath, metavar="FILE", help="Take this file of the host")
@into_option
@json_option
@click.pass_obj
def command(
    context: Context,
    paths: tuple[str, ...],
    word: str | None,
    file: Path | None,
    into: str | None,
    as_json: bool,
) -> None:
    """Settle the conflicts of an unfinished merge, or list them

    PATHs begin at the root of the tree. When all are settled, 'mlbfs merge --continue' makes the
    commit. A path can be settled again, in another way, until then.
    """
    from mlbfs.merge.driver import DriverChoice
    from mlbfs.merge.versions import Side
    from mlbfs.workspace.mergestate import require_state
    from mlbfs.workspace.scanner import parse_tree_path

    if paths and (word is None) == (file is None):
        raise click.UsageError("give one of --ours, --theirs, --base, --union and --file")
    if not paths and (word or file):
        raise click.UsageError("name the PATHs to settle")
    with context.repository() as repository:
        branch = target_branch(repository, into)
        state = require_state(repository.git, branch)
        who = context.author(repository).committer if paths else None
        for path in paths:
            assert who is not None, "there are paths"
            state = repository.merges.resolve(
                branch,
                parse_tree_path(path),
                who=who,
                side=Side(word) if word not in (None, "union") else None,
                choice=DriverChoice("union") if word == "union" else None,
                file=file,
            )
    _show(state, as_json=as_json)


def _show(state: MergeState, *, as_json: bool) -> None:
    waiting = state.open_paths
    if as_json:
        render.out_json(
            {
                "branch": state.branch,
                "source": state.name,
                "open": [
                    {
                        "path": render.path_text(path),
                        "kind": state.contested[path].kind,
                        "message": state.contested[path].message,
                    }
                    for path in waiting
                ],
                "resolved": [render.path_text(path) for path in sorted(state.resolutions)],
            }
        )
        return
    for path in waiting:
        found = state.contested[path]
        render.out(f"{found.kind}: {render.quoted(path)}: {found.message}")
    if not waiting:
        render.out(
            f"all is settled; go on with 'mlbfs {state.verb} --continue --into {state.branch}'"
        )
