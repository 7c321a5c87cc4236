"""Plays cases in a folder and prints what came of them, one JSON line for each case.

    play.py FOLDER [--cases GROUP,...] [--every N] [--ready-made | --commit-times] [--uid N]

The same program runs on the mount and on ext4; nothing here knows which one it is on.

With `--ready-made`, FOLDER holds fixtures `0`, `1`, ... which came with a commit and are used up in
that order; `--commit-times` gives those that are made here the times which such fixtures have.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time

import cases
import fixture
from state import Look, difference, look, moved
from steps import Steps


class Stage:
    """Gives each case a fixture; one that a case left as it was serves the next one."""

    def __init__(self, folder: str, *, ready_made: bool, commit_times: bool) -> None:
        self._folder = folder
        self._ready_made = ready_made
        self._commit_times = commit_times
        self._number = itertools.count()
        self._used: tuple[str, Look] | None = None

    def enter(self, *, fresh: bool) -> tuple[str, Look]:
        """Goes into a fixture, and returns where that is and how it looks."""
        if self._used is None or fresh or difference(self._used[1], look(self._used[0])):
            place = f"{self._folder}/{next(self._number)}"
            self._make(place)
            self._used = (place, look(place))
        os.chdir(f"{self._used[0]}/in")
        return self._used

    def _make(self, place: str) -> None:
        inside = f"{place}/in"
        if not self._ready_made:
            os.mkdir(place, 0o755)
            os.mkdir(inside, 0o755)
            fixture.build_plain(inside)
        os.chdir(inside)
        fixture.build_rest(Steps(is_root=os.geteuid() == 0))
        if self._ready_made:
            fixture.set_times_of_rest(place)
        else:
            fixture.set_times(place, alike=self._commit_times)


def play(case: cases.Case, stage: Stage) -> dict[str, object]:
    """Plays a case and returns its trace: step, answer, and what it changed."""
    place, seen = stage.enter(fresh=case.times)
    steps = Steps(is_root=os.geteuid() == 0)
    trace: list[tuple[str, str, list[str], list[str]]] = []
    start = sorted(f"{name} {facts}" for name, facts in seen.facts.items())
    try:
        for line in case.lines:
            if case.times:
                steps.do_tick()
            answer = steps.play(line)
            before, seen = seen, _look(steps, place) if case.looks else seen
            times = moved(before, seen, time.time_ns()) if case.times else []
            trace.append((line, answer, difference(before, seen), times))
    finally:
        steps.end()
    return {"case": case.name, "start": start, "trace": trace}


def _look(steps: Steps, place: str) -> Look:
    """Looks as the one who plays, not as the one whom a step plays."""
    groups, gid, uid = os.getgroups(), os.getegid(), os.geteuid()
    steps.do_as("0:0")
    seen = look(place)
    steps.do_as(f"{uid}:{','.join(map(str, [gid, *groups]))}")
    return seen


def become(uid: int, folder: str) -> str:
    """Gives up root's rights for good; the folder is the new user's.

    Returns:
        A path to it that needs no rights for the folders above it.
    """
    os.chown(folder, uid, uid)
    place = os.open(folder, os.O_PATH)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    return f"/proc/self/fd/{place}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--cases", default=",".join(cases.GROUPS))
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--ready-made", action="store_true")
    parser.add_argument("--commit-times", action="store_true")
    parser.add_argument("--uid", type=int)
    options = parser.parse_args()
    os.umask(0)
    os.chmod(options.folder, 0o755)
    folder = options.folder if options.uid is None else become(options.uid, options.folder)
    stage = Stage(folder, ready_made=options.ready_made, commit_times=options.commit_times)
    chosen = [case for group in options.cases.split(",") for case in cases.GROUPS[group]()]
    for case in chosen[:: options.every]:
        sys.stdout.write(json.dumps(play(case, stage)) + "\n")
    os.chdir("/")


if __name__ == "__main__":
    main()
