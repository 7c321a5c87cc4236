"""What the commands of merging share: options, the branch that is meant, and what is shown.

Owns: how conflicts and outcomes look, and the exit code of a merge with conflicts.
Layer: cli.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import click

from mlbfs.cli import render
from mlbfs.cli.mounts import default_place
from mlbfs.cli.params import BRANCH, HostPath
from mlbfs.errors import ErrorKind, FormatError, InvalidInputError
from mlbfs.git.revisions import RefKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from mlbfs.cli.context import Context
    from mlbfs.git.repository import GitRepository
    from mlbfs.merge.conflicts import Conflict
    from mlbfs.merge.driver import DriverChoice
    from mlbfs.repository import Repository
    from mlbfs.workspace.mergestate import MergeState
    from mlbfs.workspace.merging import Merged, Verb

EXIT_CONFLICTS = 3

_MAX_TIMEOUT = 10**9
"""Seconds; 30 years, which every clock of the system can take."""

into_option = click.option(
    "--into", type=BRANCH, help="The branch to merge into (default: the mounted one, else HEAD's)"
)
strategy_option = click.option(
    "--strategy-for",
    "strategies",
    multiple=True,
    metavar="PATTERN=DRIVER",
    help="Merge what matches with this driver; may be given several times",
)

report_option = click.option(
    "--report",
    type=HostPath,
    metavar="FILE",
    help="Write all conflicts to a new FILE: a database if it ends in .db or .sqlite, else JSON",
)
timeout_option = click.option(
    "--driver-timeout",
    type=click.FloatRange(min=0, max=_MAX_TIMEOUT),
    metavar="SECONDS",
    help="How long a driver may take for one path; 0: any time (default: 600)",
)


def target_branch(repository: Repository, into: str | None, *, abort: bool = False) -> str:
    """Returns the branch that is meant; to abort a merge, one that is gone may be meant, too.

    Raises:
        NotFoundError: There is no such branch.
        InvalidInputError: It is something else than a branch.
    """
    if abort and into is not None and repository.merges.waits(into):
        return into
    spec = default_place(repository).spec if into is None else into
    if spec == "HEAD":
        target = repository.git.refs.symbolic_target("HEAD") or ""
        spec = target.removeprefix("refs/heads/")
    found = repository.resolve(f"refs/heads/{spec}" if into is not None else spec)
    if found.kind is not RefKind.BRANCH:
        raise InvalidInputError(
            f"{spec!r} is not a branch",
            kind=ErrorKind.INVALID_REF_NAME,
            hint="name the branch to merge into with --into",
        )
    return spec


def conflict_style(git: GitRepository) -> str:
    """Returns how conflicting lines are shown: Git's `merge.conflictStyle`.

    Raises:
        InvalidInputError: It is no style that Git knows.
    """
    from mlbfs.git.textmerge import STYLES

    style = git.config_get("merge.conflictStyle") or "merge"
    if style not in STYLES:
        raise InvalidInputError(
            f"the Git configuration has merge.conflictStyle = {style!r}",
            hint=f"it is one of {', '.join(STYLES)}",
        )
    return style


def driver_timeout(git: GitRepository, given: float | None) -> float | None:
    """Returns how many seconds a driver may take: as it was given, or `mlbfs.driverTimeout`.

    Raises:
        UsageError: What was given is no number.
        InvalidInputError: The configuration has no number of seconds.
    """
    from mlbfs.workspace.driverrun import DEFAULT_TIMEOUT

    if given is not None and math.isnan(given):
        raise click.UsageError("--driver-timeout takes a number of seconds")
    if given is None:
        given = git.config_int("mlbfs.driverTimeout", default=int(DEFAULT_TIMEOUT))
        if not 0 <= given <= _MAX_TIMEOUT:
            raise InvalidInputError(
                f"the Git configuration has mlbfs.driverTimeout = {given}",
                hint=f"it is a number of seconds up to {_MAX_TIMEOUT}; 0 stands for any time",
            )
    return given or None


def parse_strategies(texts: Iterable[str]) -> list[tuple[bytes, DriverChoice]]:
    """Parses `PATTERN=DRIVER[:OPTION]...`.

    Raises:
        UsageError: One has no equals sign.
        NotFoundError: There is no such driver.
    """
    from mlbfs.merge.driver import parse_choice
    from mlbfs.merge.registry import require_driver

    found = []
    for text in texts:
        pattern, equals, driver = text.partition("=")
        if not equals or not pattern or not driver:
            raise click.UsageError(f"--strategy-for takes PATTERN=DRIVER, not {text!r}")
        choice = parse_choice(driver)
        require_driver(choice.name)
        found.append((os.fsencode(pattern), choice))
    return found


def go_on_or_abort(
    context: Context,
    repository: Repository,
    branch: str,
    verb: Verb,
    *,
    abort: bool,
    as_json: bool,
    report: Path | None,
    timeout: float | None,
) -> int:
    """Goes on with what waits for a person, or drops it; returns the exit code.

    Raises:
        NotFoundError: Nothing of that kind waits.
    """
    from mlbfs.workspace.mergestate import no_merge

    author, merges = context.author(repository), repository.merges
    state = _waiting(repository, branch, abort=abort)
    if state is not None and state.verb != verb:
        raise no_merge(branch, str(verb))
    if abort:
        merges.abort(branch, author.committer)
        name = None if state is None else state.name
        if as_json:
            render.out_json({"branch": branch, "aborted": name})
        else:
            of = "" if name is None else f" of {name}"
            render.out(f"dropped the {verb}{of}; {branch} is as it was")
        return 0
    if state is None:
        raise no_merge(branch, str(verb))
    merged = merges.resume(
        branch,
        author=author.author,
        committer=author.committer,
        driver_timeout=driver_timeout(repository.git, timeout),
    )
    return finish(merged, branch, state.name, verb=str(verb), as_json=as_json, report=report)


def _waiting(repository: Repository, branch: str, *, abort: bool) -> MergeState | None:
    """Returns what waits for a person; None also for what cannot be read and is to be dropped."""
    try:
        return repository.merges.state(branch)
    except FormatError:
        if abort:
            return None
        raise


def pick(
    context: Context,
    source: str | None,
    into: str | None,
    verb: Verb,
    *,
    go_on: bool,
    abort: bool,
    as_json: bool,
    report: Path | None,
    timeout: float | None,
) -> int:
    """Does what `cherry-pick` and `revert` do with one commit; returns the exit code."""
    from mlbfs.workspace.merging import MergeRequest

    if (source is not None) + go_on + abort != 1:
        raise click.UsageError("name a COMMIT, or give --continue or --abort")
    check_report_option(report, abort=abort)
    with context.repository() as repository:
        branch = target_branch(repository, into, abort=abort)
        if source is None:
            return go_on_or_abort(
                context,
                repository,
                branch,
                verb,
                abort=abort,
                as_json=as_json,
                report=report,
                timeout=timeout,
            )
        commit = repository.git.read_commit(repository.resolve(source).commit)
        who = context.author(repository)
        author = commit.author if verb == "cherry-pick" else who.author
        request = MergeRequest(
            branch,
            commit,
            source,
            author,
            who.committer,
            verb=verb,
            style=conflict_style(repository.git),
            driver_timeout=driver_timeout(repository.git, timeout),
        )
        merged = repository.merges.begin(request)
    return finish(merged, branch, source, verb=str(verb), as_json=as_json, report=report)


def check_report_option(report: Path | None, *, abort: bool) -> None:
    """Checks that the report that is asked for can be written, before anything is done.

    Raises:
        UsageError: What is dropped has no report.
        AlreadyExistsError: Something is there.
        NotFoundError: The folder is not there.
    """
    from mlbfs.workspace.conflictreport import check_report

    if report is not None and abort:
        raise click.UsageError("--abort has nothing to write to --report")
    if report is not None:
        check_report(report)


def finish(
    merged: Merged,
    branch: str,
    name: str,
    *,
    verb: str,
    as_json: bool,
    dry_run: bool = False,
    report: Path | None = None,
) -> int:
    """Shows what a merge came to, writes the report and returns the exit code.

    Raises:
        AlreadyExistsError: The report's name was taken meanwhile.
        StorageError: The report could not be written.
    """
    from mlbfs.workspace.conflictreport import write_report
    from mlbfs.workspace.merging import Outcome

    if as_json:
        render.out_json(json_of(merged, branch))
    else:
        for conflict in merged.conflicts:
            show_conflict(conflict)
        _show_outcome(merged, branch, name, verb=verb, dry_run=dry_run)
    if report is not None:
        write_report(report, json_of(merged, branch))
    return EXIT_CONFLICTS if merged.outcome is Outcome.CONFLICTS else 0


def _show_outcome(merged: Merged, branch: str, name: str, *, verb: str, dry_run: bool) -> None:
    from mlbfs.workspace.merging import Outcome

    would = "would be" if dry_run else "is"
    commit = f" at {merged.commit.id.hex()[:10]}" if merged.commit is not None else ""
    match merged.outcome:
        case Outcome.UP_TO_DATE:
            render.out(f"{branch} has all of {name} already")
        case Outcome.FAST_FORWARD:
            render.out(f"{branch} {would}{commit or f' at {name}'}, by moving forward")
        case Outcome.MERGED:
            render.out(f"{branch} {would}{commit or ' merged'}: {_summary(merged)}")
        case Outcome.CONFLICTS:
            count = len({found.path for found in _open(merged)})
            paths = render.count_text(count, "path")
            render.say(f"{paths} in conflict; {branch} is as it was")
            if not dry_run:
                render.say(
                    f"settle them with 'mlbfs resolve PATH --ours --into {branch}', or --theirs, "
                    f"--base, --union, --file, then 'mlbfs {verb} --continue --into {branch}'; "
                    "--abort drops it all"
                )


def _summary(merged: Merged) -> str:
    assert merged.tree is not None, "a merge commit comes of merging trees"
    changed = render.count_text(merged.tree.changed, "change")
    settled = len(merged.tree.settled)
    return f"{changed}, {settled} of them by both sides" if settled else changed


def _open(merged: Merged) -> Sequence[Conflict]:
    return [] if merged.tree is None else merged.tree.open_conflicts


def show_conflict(conflict: Conflict) -> None:
    """Shows one conflict, in one line."""
    where = f" at {conflict.where}" if conflict.where else ""
    settled = f" (took {conflict.settled})" if conflict.settled is not None else ""
    render.out(
        f"{conflict.kind}: {render.quoted(conflict.path)}{where}: {conflict.message}{settled}"
    )


def json_of(merged: Merged, branch: str) -> dict[str, Any]:
    """Returns what a merge came to, for programs."""
    tree = merged.tree
    return {
        "outcome": str(merged.outcome),
        "branch": branch,
        "ours": merged.ours.id.hex(),
        "theirs": merged.theirs.id.hex(),
        "commit": merged.commit.id.hex() if merged.commit is not None else None,
        "changed": tree.changed if tree is not None else 0,
        "settled": [
            {"path": render.path_text(one.path), "by": one.by, "note": one.note}
            for one in (tree.settled if tree is not None else [])
        ],
        "renamed": [
            {"from": render.path_text(old), "to": render.path_text(new)}
            for old, new in (tree.renames if tree is not None else [])
        ],
        "conflicts": [conflict_json(found) for found in merged.conflicts],
    }


def conflict_json(conflict: Conflict) -> dict[str, Any]:
    """Returns one conflict for programs."""
    return {
        "path": render.path_text(conflict.path),
        "kind": str(conflict.kind),
        "where": conflict.where,
        "message": conflict.message,
        "base": conflict.base,
        "ours": conflict.ours,
        "theirs": conflict.theirs,
        "settled": conflict.settled,
    }
