"""Git's cache of summaries, kept free of what is true for a moment only.

Git keeps every summary that `git diff` has shown in `refs/notes/textconv/`, and asks no more. That
content is missing is shown as a summary too, or `git log -p` would stop there; but once the content
has come, it is not true any more. Git writes the cache after it has read the summary, and again and
again until it ends, so it is put right behind it: by a process that waits for that.

Owns: that process, one for each process of Git, and what it does.
Layer: workspace.

Invariants:
  N1. The cache is what it was before the first summary of missing content, once Git has ended.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from mlbfs.errors import ConflictError
from mlbfs.store.locks import FileLock

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.git.repository import GitRepository

_REFS = "refs/notes/textconv/mlbfs"
_PROGRAM = "import sys; from mlbfs.workspace.summarycache import main; main(*sys.argv[1:])"
_NOTHING = "0" * 40


def put_right_after(git: GitRepository, directory: Path, pid: int) -> None:
    """Has the cache put right when a process of Git ends (N1).

    Args:
        git: The repository.
        directory: `.git/mlbfs`.
        pid: The process.

    Raises:
        StorageError: The device refused.
    """
    lock = directory / f"summaries-{pid}.lock"
    try:
        held = FileLock(lock, exclusive=True)
    except ConflictError:  # one waits already
        return
    with held:
        known = dict(git.refs.iter(_REFS))
        subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-c",
                _PROGRAM,
                *(str(git.git_dir), str(pid), str(lock)),
                *(f"{name}={oid.hex()}" for name, oid in known.items()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(held.fileno(),),  # it has the lock when this process gives it back
            start_new_session=True,
        )


def main(git_dir: str, pid: str, lock: str, *known: str) -> None:
    """Waits for a process to end, and gives the refs of the cache the values that they had."""
    with suppress(ProcessLookupError):  # it has ended
        descriptor = os.pidfd_open(int(pid))
        select.select([descriptor], [], [])
    before = dict(one.split("=") for one in known)
    git = ["git", f"--git-dir={git_dir}"]
    listed = subprocess.run(
        [*git, "for-each-ref", "--format=%(refname) %(objectname)", _REFS, f"{_REFS}-*"],
        capture_output=True,
        text=True,
        check=True,
    )
    now = dict(line.split() for line in listed.stdout.splitlines())
    for name, oid in now.items():
        if before.get(name) != oid:
            after = before.get(name, _NOTHING)
            subprocess.run([*git, "update-ref", name, after, oid], check=True)
    os.unlink(lock)  # noqa: PTH108 - nothing else of this process needs a path
