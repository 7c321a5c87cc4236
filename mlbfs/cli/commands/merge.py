"""`mlbfs merge`: merges a branch, tag or commit into a branch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named
from mlbfs.cli.merging import (
    check_report_option,
    conflict_style,
    finish,
    go_on_or_abort,
    into_option,
    parse_strategies,
    report_option,
    strategy_option,
    target_branch,
    timeout_option,
)
from mlbfs.cli.merging import driver_timeout as timeout_of
from mlbfs.cli.params import REF, HostPath, check_message, json_option

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.cli.context import Context
    from mlbfs.repository import Repository
    from mlbfs.workspace.merging import MergeRequest


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the options of a merge say."""

    source: str
    message: str | None
    no_ff: bool
    squash: bool
    only: tuple[str, ...]
    strategies: tuple[str, ...]
    timeout: float | None


@named("merge")
@click.argument("source", metavar="[SOURCE]", required=False, type=REF)
@into_option
@click.option("--message", "-m", help="What the commit says (default: what was merged)")
@click.option("--no-ff", is_flag=True, help="Make a merge commit even if the branch could move")
@click.option("--squash", is_flag=True, help="Make a commit of one parent")
@click.option(
    "--only", multiple=True, metavar="PATH", help="Merge only this path; may be given several times"
)
@strategy_option
@report_option
@timeout_option
@click.option("--dry-run", "-n", is_flag=True, help="Show what would come of it; keep nothing")
@click.option(
    "--preview",
    type=HostPath,
    metavar="DIR",
    help="Mount what would come of it, read-only; conflicts lie in it as PATH.ours and so on",
)
@click.option("--continue", "go_on", is_flag=True, help="Go on when all conflicts are settled")
@click.option("--abort", is_flag=True, help="Drop an unfinished merge")
@json_option
@click.pass_obj
def command(
    context: Context,
    source: str | None,
    into: str | None,
    message: str | None,
    no_ff: bool,
    squash: bool,
    only: tuple[str, ...],
    strategies: tuple[str, ...],
    report: Path | None,
    driver_timeout: float | None,
    dry_run: bool,
    preview: Path | None,
    go_on: bool,
    abort: bool,
    as_json: bool,
) -> int:
    """Merge SOURCE into a branch, without a checkout

    What only one side changed is taken by its id, whole folders at once. A file that both changed
    is merged by a driver: the one that --strategy-for or 'merge=' in .gitattributes names, or else
    the one for its kind. Mounts of the branch show the result at once.

    With a conflict that no driver settles, the branch stays as it is, the conflicts are listed and
    the exit code is 3: settle them with 'mlbfs resolve', and go on with --continue.

    --only merges some paths; the commit has one parent then, and a later merge of SOURCE still
    brings the rest.

    A preview is a commit that no branch has; gc takes it after it was unmounted.
    """
    from mlbfs.workspace.merging import Verb

    if (source is not None) + go_on + abort != 1:
        raise click.UsageError("name a SOURCE, or give --continue or --abort")
    if source is None and (
        any((no_ff, squash, only, strategies, dry_run))
        or message is not None
        or preview is not None
    ):
        raise click.UsageError("--continue and --abort go with --into, --report and --json only")
    check_report_option(report, abort=abort)
    with context.repository() as repository:
        branch = target_branch(repository, into, abort=abort)
        if source is None:
            return go_on_or_abort(
                context,
                repository,
                branch,
                Verb.MERGE,
                abort=abort,
                as_json=as_json,
                report=report,
                timeout=driver_timeout,
            )
        wish = _Wish(source, message, no_ff, squash, only, strategies, driver_timeout)
        request = _request(context, repository, branch, wish)
        merges = repository.merges
        if preview is not None:
            return _preview(repository, request, preview, as_json=as_json, report=report)
        merged = merges.look(request) if dry_run else merges.begin(request)
    return finish(
        merged, branch, source, verb="merge", as_json=as_json, dry_run=dry_run, report=report
    )


def _preview(
    repository: Repository,
    request: MergeRequest,
    directory: Path,
    *,
    as_json: bool,
    report: Path | None,
) -> int:
    """Mounts what a merge would come to."""
    from mlbfs.mount import session

    merged = repository.merges.preview(request)
    assert merged.commit is not None, "a preview is a commit"
    session.mount(repository.git.common_dir, merged.commit.id.hex(), directory, read_only=True)
    code = finish(
        merged,
        request.branch,
        request.name,
        verb="merge",
        as_json=as_json,
        dry_run=True,
        report=report,
    )
    render.say(f"it is mounted at {directory}; 'mlbfs umount {directory}' ends it")
    return code


def _request(context: Context, repository: Repository, branch: str, wish: _Wish) -> MergeRequest:
    from mlbfs.workspace.merging import MergeRequest
    from mlbfs.workspace.scanner import parse_tree_path

    check_message(wish.message)
    author = context.author(repository)
    found = repository.resolve(wish.source)
    return MergeRequest(
        branch,
        repository.git.read_commit(found.commit),
        wish.source,
        author.author,
        author.committer,
        message=wish.message,
        no_ff=wish.no_ff,
        squash=wish.squash,
        only=[_below_root(parse_tree_path(path)) for path in wish.only],
        overrides=parse_strategies(wish.strategies),
        style=conflict_style(repository.git),
        driver_timeout=timeout_of(repository.git, wish.timeout),
    )


def _below_root(path: bytes) -> bytes:
    """Returns a path; all of the tree is no part of it."""
    if not path:
        raise click.UsageError("--only takes a path below the root; without it all is merged")
    return path
