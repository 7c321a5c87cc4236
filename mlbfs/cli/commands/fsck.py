"""`mlbfs fsck`: checks the repository, and repairs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named
from mlbfs.cli.params import json_option
from mlbfs.workspace.check import ProblemKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.cli.context import Context
    from mlbfs.repository import Repository

EXIT_DAMAGE = 3
"""As in cli/main.py: a check found damage to report."""


@dataclass(frozen=True, slots=True)
class Report:
    """One finding, of the store or of the commits above it; a repair is for those of the store."""

    kind: str
    message: str
    of_store: bool
    harmful: bool = True
    repaired: bool = False


@named("fsck")
@click.option("--repair", is_flag=True, help="Mend what can be mended")
@click.option("--content", is_flag=True, help="Read every file, too, and compare it with its id")
@json_option
@click.pass_obj
def command(context: Context, repair: bool, content: bool, as_json: bool) -> int:
    """Check every pack, the chunk index, and that every commit can be read to the last file

    --repair saves what is sound in damaged packs, rebuilds the chunk index, and looks for other
    copies of what is lost; nothing is deleted that could still be read. Git's own objects are
    for 'git fsck'.

    Every chunk is compared with its id in any case. --content also tells a file
    that was put together wrongly from sound chunks; it takes about as long as
    importing everything again.

    What commits of a remote need and was never fetched is noted, and is no damage.

    Ends with exit code 3 when damage is left.
    """
    with context.repository(repair=True) as repository:
        reports = []
        for report in _check(repository, repair=repair, content=content):
            reports.append(report)
            if not as_json:
                render.out(f"{_state(report)}: {report.message} [{report.kind}]")
        statistics = repository.store.statistics()
    left = [report for report in reports if report.harmful and not report.repaired]
    if as_json:
        render.out_json(
            {
                "sound": not left,
                "findings": [
                    {
                        "kind": report.kind,
                        "message": report.message,
                        "harmful": report.harmful,
                        "repaired": report.repaired,
                    }
                    for report in reports
                ],
                "packs": statistics.packs,
                "pack_bytes": statistics.pack_bytes,
                "files": statistics.files,
            }
        )
    else:
        _tell_of_unfetched(reports)
        _conclude(left, statistics.packs, statistics.pack_bytes, repair=repair)
    return EXIT_DAMAGE if left else 0


def _check(repository: Repository, *, repair: bool, content: bool) -> Iterator[Report]:
    can_read = True
    with render.progress("checking packs") as show:
        for finding in repository.check_store(
            repair=repair,
            content=content,
            progress=lambda done, total: show(
                f"{render.size_text(done)} of {render.size_text(total)}"
            ),
        ):
            can_read = can_read and (finding.kind != "index-not-ready" or finding.repaired)
            yield Report(
                str(finding.kind), finding.message, True, finding.harmful, finding.repaired
            )
    if not can_read:  # without an index, every file would be reported as missing
        return
    with render.progress("checking commits") as show:
        for problem in repository.check_commits(lambda files: show(f"{files:,} files")):
            yield Report(str(problem.kind), problem.message, False, problem.is_harmful)


def _state(report: Report) -> str:
    if report.repaired:
        return "repaired"
    return "damage" if report.harmful else "note"


def _tell_of_unfetched(reports: list[Report]) -> None:
    if any(report.kind == ProblemKind.CONTENT_NOT_FETCHED for report in reports):
        render.say("hint: 'git lfs fetch' brings what a remote has of it")


def _conclude(left: list[Report], packs: int, size: int, *, repair: bool) -> None:
    checked = f"{render.count_text(packs, 'pack')}, {render.size_text(size)}"
    if not left:
        render.out(f"sound: {checked}")
        return
    render.out(f"damaged: {render.count_text(len(left), 'finding')} in {checked}")
    advice = _advice(left, repair=repair)
    if advice is not None:
        render.say(f"hint: {advice}")


def _advice(left: list[Report], *, repair: bool) -> str | None:
    """Returns what to do about the damage that is left; None if we know nothing that helps."""
    if not repair and any(report.of_store for report in left):
        return "run 'mlbfs fsck --repair'"
    if any(report.kind == ProblemKind.CONTENT_MISSING for report in left):
        return (
            "lost content is there again once the same file is imported, to any branch,"
            " or 'git lfs fetch' has brought it"
        )
    if any(report.kind == ProblemKind.OBJECT_UNREADABLE for report in left):
        return "'git fsck' says more about objects of Git; 'git fetch' may bring them back"
    return None
