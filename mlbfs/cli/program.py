"""How a shell starts this program, for what Git is told to start.

Owns: that line, and the hook that brings content along with a push.
Layer: cli.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlbfs.git.repository import GitRepository

PUSH_HOOK = "pre-push"


def program() -> str:
    """Returns how a shell starts this program: by name where that finds it, else by its path."""
    mine = Path(sys.argv[0])
    if mine.name not in ("mlbfs", "git-mlbfs") or not mine.exists():
        return f"{shlex.quote(sys.executable)} -m mlbfs"
    found = shutil.which("mlbfs")
    if found is not None and Path(found).resolve() == mine.with_name("mlbfs").resolve():
        return "mlbfs"
    return shlex.quote(str(mine.absolute()))


def write_push_hook(git: GitRepository) -> bool:
    """Has content brought along when Git pushes; returns whether the hook is ours.

    Raises:
        StorageError: It cannot be written.
    """
    from mlbfs.git.hooks import write_hook

    return write_hook(git, PUSH_HOOK, f"{program()} {PUSH_HOOK}")
