"""What stock Git costs with `mlbfs install`: a merge of many paths by a driver.

    python benchmarks/stock_git.py [--work DIR] [--scale 1.0] [--rounds 5] [CASE ...]

Git starts a driver for each path, so this is mostly what starting one costs. The contender merges
the same files by their lines, in its own process.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

from harness import MLBFS, Plan, Row, alternate, mlbfs, remove, run, run_cases

if TYPE_CHECKING:
    from collections.abc import Callable

PATHS = 50
RECORDS = 40
DRIVER = "merge=json:key=id"


def _write(place: Path, paths: int, side: str) -> None:
    for number in range(paths):
        records: list[dict[str, object]] = [{"id": one, "v": one} for one in range(RECORDS)]
        if side == "ours":
            records.insert(0, {"id": side, "v": 1})
        if side == "theirs":
            records.append({"id": side, "v": 1})
        (place / f"{number}.json").write_text(json.dumps(records, indent=1) + "\n")


def _repository(place: Path, paths: int, attribute: str) -> Path:
    """Makes a work tree in which `main` and `theirs` have changed every path."""
    remove(place)
    place.mkdir()
    run(["git", "init", "-q", "-b", "main"], cwd=place)
    (place / ".gitattributes").write_text(f"* filter=mlbfs\n*.json {attribute}\n")
    mlbfs("install", cwd=place)
    for side in ("base", "ours", "theirs"):
        if side == "theirs":
            run(["git", "switch", "-q", "-c", "theirs", "HEAD~"], cwd=place)
        _write(place, paths, side)
        run(["git", "add", "."], cwd=place)
        run(["git", "commit", "-q", "-m", side], cwd=place)
    run(["git", "switch", "-q", "main"], cwd=place)
    return place


def merge(plan: Plan) -> list[Row]:
    """Merges paths that both sides have changed, by a driver and by lines."""
    paths = plan.count(PATHS)
    ours = _repository(plan.work / "driver", paths, DRIVER)
    other = _repository(plan.work / "lines", paths, "text")
    search = {"PATH": f"{Path(MLBFS).parent}:{os.environ['PATH']}"}

    def merged(place: Path) -> None:
        run(["git", "merge", "-q", "-m", "merged", "theirs"], cwd=place, extra_env=search)

    def back() -> None:
        for place in (ours, other):
            run(["git", "reset", "-q", "--hard", "main^{/ours}"], cwd=place)

    samples = alternate(
        plan.rounds,
        {"ours": lambda: merged(ours), "other": lambda: merged(other)},
        before=back,
    )
    row = Row(f"`git merge` of {paths} lists of JSON by record", "by lines", "at most 15")
    row.ours, row.other = samples["ours"], samples["other"]
    for place in (ours, other):
        remove(place)
    return [row.settle(at_most=15)]


CASES: dict[str, Callable[[Plan], list[Row]]] = {"merge": merge}


if __name__ == "__main__":
    run_cases(CASES, __doc__)
