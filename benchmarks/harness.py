"""How a benchmark is run here: rivals alternate, rounds repeat, medians and spread are kept.

Owns: timing of whole commands, the page-cache rule, the description of the machine, the results.
Layer: benchmarks. Drives the installed command line, as a user would.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MLBFS = Path(sys.executable).with_name("mlbfs")
"""The entry point that stands beside the interpreter that runs the benchmark."""

IDENTITY = {
    "GIT_AUTHOR_NAME": "Bench",
    "GIT_AUTHOR_EMAIL": "bench@example.invalid",
    "GIT_COMMITTER_NAME": "Bench",
    "GIT_COMMITTER_EMAIL": "bench@example.invalid",
}


_IDLE = 0.4
"""Seconds without a tick of processor time after which a process has come to rest."""

WORK = Path(__file__).parent.parent / "build" / "bench"
"""About 40 GB are used there at the most."""


@dataclass(frozen=True)
class Plan:
    """Where a run works and how large it is."""

    work: Path
    scale: float
    rounds: int

    def count(self, full: int) -> int:
        """Returns a number of files or bytes, scaled."""
        return max(2, int(full * self.scale))


@dataclass
class Row:
    """One line of the table: what was measured, against what, and how it came out.

    Attributes:
        name: Stable name of the measure.
        ours, other: Every sample, in seconds or in `unit`.
        target: The bound on `ratio`, as the text of the table.
        ratio: Median of ours over median of the other.
        notes: Facts beside the ratio (files/s, bytes, conditions).
    """

    name: str
    against: str
    target: str
    unit: str = "s"
    ours: list[float] = field(default_factory=list)
    other: list[float] = field(default_factory=list)
    ratio: float | None = None
    reached: bool | None = None
    notes: dict[str, object] = field(default_factory=dict)

    def settle(self, *, at_most: float) -> Row:
        """Computes the ratio of the medians and whether it is within `at_most`."""
        self.ratio = statistics.median(self.ours) / statistics.median(self.other)
        self.reached = self.ratio <= at_most
        return self


def run(
    arguments: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    extra_env: Mapping[str, str] | None = None,
) -> str:
    """Runs a command to its end and returns its standard output.

    Raises:
        RuntimeError: It failed; the message carries what it printed.
    """
    done = subprocess.run(
        [str(a) for a in arguments],
        cwd=cwd,
        env={**os.environ, **IDENTITY, **(extra_env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{arguments} exited {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def mlbfs(*arguments: str | Path, cwd: Path | None = None) -> str:
    """Runs the `mlbfs` command line."""
    return run([MLBFS, *arguments], cwd=cwd)


def timed(action: Callable[[], object]) -> float:
    """Returns the wall time of `action` in seconds."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def alternate(
    rounds: int,
    contenders: Mapping[str, Callable[[], object]],
    *,
    before: Callable[[], None] | None = None,
    after: Callable[[], None] | None = None,
) -> dict[str, list[float]]:
    """Times every contender once a round, in an order that turns each round.

    A slow minute of a shared machine then hits all of them. `before` and `after` run around each
    sample and are not timed.
    """
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            if before is not None:
                before()
            samples[name].append(timed(contenders[name]))
            if after is not None:
                after()
    return samples


def settle_disk() -> None:
    """Waits until everything written so far is on the disk, so that no sample pays for another."""
    os.sync()


def wait_idle(pid: int) -> None:
    """Waits until a process has used no processor time for a while: it has nothing to do."""
    used, since = -1.0, time.monotonic()
    while time.monotonic() - since < _IDLE:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        now = float(fields[11]) + float(fields[12])
        if now != used:
            used, since = now, time.monotonic()
        time.sleep(0.05)


def drop_caches() -> None:
    """Empties the page, dentry and inode caches; needs root.

    Raises:
        PermissionError: Not root.
    """
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3\n")


def remove(path: Path) -> None:
    """Removes a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def disk_usage(path: Path) -> int:
    """Returns the bytes of all regular files below `path` (length, not blocks)."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            status = os.lstat(os.path.join(folder, name))
            total += status.st_size
    return total


def allocated(path: Path) -> int:
    """Returns the bytes that the disk holds for everything below `path`, as `du` counts."""
    return int(run(["du", "-s", "-B1", path]).split()[0])


def resident_memory(pid: int) -> dict[str, int]:
    """Returns the resident memory of a process, in bytes: all of it and its private part."""
    found = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        key, _, value = line.partition(":")
        if value.endswith("kB"):
            found[key] = int(value.split()[0]) * 1024
    private = found["Private_Clean"] + found["Private_Dirty"]
    return {"resident": found["Rss"], "private": private}


_MEASURE = """
import os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
print(status, usage.ru_maxrss)
"""


def peak_memory(*command: str | Path) -> int:
    """Runs a command and returns the largest resident memory it reached, in bytes.

    A small process starts it: until a new program runs in it, a process counts the memory of
    the one that it was split from, and a benchmark may hold more than what it measures.

    Raises:
        RuntimeError: It failed.
    """
    arguments = [str(part) for part in command]
    out = run([sys.executable, "-c", _MEASURE, *arguments])
    status, kilobytes = map(int, out.splitlines()[-1].split())
    if status != 0:
        raise RuntimeError(f"{arguments} ended with status {status}")
    return kilobytes * 1024


def machine() -> dict[str, object]:
    """Returns what a reader must know of the machine to judge the figures."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // (1024 * 1024)
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": memory,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def write_results(rows: list[Row], path: Path) -> None:
    """Writes the rows and the machine as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    report = {"machine": machine(), "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(report, indent=2) + "\n")


def table(rows: list[Row]) -> str:
    """Returns the rows as a Markdown table."""
    lines = [
        "| what | against | ours, median (spread) | other, median | ratio | target | reached |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.3g}"
        reached = {True: "yes", False: "**no**", None: ""}[row.reached]
        lines.append(
            f"| {row.name} | {row.against} | {_spread(row.ours, row.unit)} "
            f"| {_spread(row.other, row.unit)} | {ratio} | {row.target} | {reached} |"
        )
    return "\n".join(lines)


def _spread(samples: list[float], unit: str) -> str:
    if not samples:
        return ""
    shown = [value / 1e6 if unit == "MB" else value for value in samples]
    middle = statistics.median(shown)
    if len(shown) == 1:
        return f"{middle:.3g} {unit}"
    return f"{middle:.3g} {unit} ({min(shown):.3g} to {max(shown):.3g})"


def run_cases(cases: Mapping[str, Callable[[Plan], list[Row]]], description: str | None) -> None:
    """Runs the cases that the command line names, or all, and prints and writes their rows.

    Each case prints its rows as it ends; at the end all of them are printed as a table, and written
    as JSON where `--results` says. `--scale 0.01` is the smoke run of the tests: same code, small
    data.
    """
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("cases", nargs="*", choices=[*cases, []], metavar="CASE")
    parser.add_argument("--work", type=Path, default=WORK, help="folder on the disk to measure")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=None, help="where the JSON goes")
    options = parser.parse_args()
    plan = Plan(options.work, options.scale, options.rounds)
    plan.work.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for name in options.cases or cases:
        print(f"== {name}", file=sys.stderr, flush=True)
        found = cases[name](plan)
        rows += found
        print(table(found), file=sys.stderr, flush=True)
        if options.results is not None:
            write_results(rows, options.results)
    print(table(rows))
