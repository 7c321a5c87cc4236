"""Shared by the tests that run programs on a mount."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MLBFS = Path(sys.executable).with_name("mlbfs")

ENVIRONMENT = os.environ | {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "LC_ALL": "C.UTF-8",
    **{
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "A"), ("EMAIL", "a@example.org"))
    },
}


def run(*command: object, **options: object) -> bytes:
    """Runs a program that must succeed, and returns what it prints."""
    done = subprocess.run(
        [os.fspath(c) for c in command], **({"env": ENVIRONMENT} | options), capture_output=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def wait_until(condition: Callable[[], object]) -> None:
    """Waits until something is so, for a minute."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it has not happened for a minute"
        time.sleep(0.05)


def mlbfs(place: Path, *words: str) -> bytes:
    """Runs our command line in a folder of a mount."""
    return run(MLBFS, *words, cwd=place)
