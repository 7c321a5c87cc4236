"""What each case begins with: one of everything, in a folder of its own.

The part that Git can hold is a tree of the commit that the mount stands on, so that a case may
work on entries that nothing has materialized yet; the rest is made by steps.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from steps import Steps

FILES = {
    "f": "0123456789",
    "e": "",
    "x": "#!/bin/sh\nexit 7\n",
    "d/a": "inside\n",
    "d/sub/b": "below\n",
    "g": "g" * 5000,
}
EXECUTABLE = {"x"}
LINKS = {"lf": "f", "ld": "d", "lm": "missing", "loop": "loop", "la": "lb", "lb": "la"}

REST = {
    "n": "mkdir n 755",
    "p": "mkfifo p 644",
    "s": "mknod s sock 644",
    "cd": "mknod cd chr 666 1:3",
}
"""What no commit holds, and the step that makes it. The device is refused to ordinary users."""

COMMIT_TIME = 1_700_000_000


def build_plain(folder: str) -> None:
    """Makes the part that a commit can hold."""
    for name, text in FILES.items():
        path = f"{folder}/{name}"
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        mode = 0o755 if name in EXECUTABLE else 0o644
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(fd, "w") as file:
            file.write(text)
    for name, target in LINKS.items():
        os.symlink(target, f"{folder}/{name}")


def build_rest(steps: Steps) -> None:
    """Makes the other part, in the current folder."""
    for line in REST.values():
        steps.play(line)


def set_times(folder: str, *, alike: bool) -> None:
    """Sets the times of everything: to that of the commit, or each to one of its own."""
    paths = [folder]
    for where, folders, files in os.walk(folder):
        paths += [f"{where}/{name}" for name in folders + files]
    for number, path in enumerate(sorted(paths)):
        _set_time(path, COMMIT_TIME if alike else 1000 + number)


def set_times_of_rest(folder: str) -> None:
    """Sets the times of what came with no commit, and of the folders that it was put into."""
    for name in (*REST, ".", ".."):
        if os.path.lexists(f"{folder}/in/{name}"):
            _set_time(f"{folder}/in/{name}", COMMIT_TIME)


def _set_time(path: str, seconds: int) -> None:
    times = (seconds * 10**9, seconds * 10**9)
    os.utime(path, ns=times, follow_symlinks=False)
