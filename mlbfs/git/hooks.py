"""Hooks of a Git repository that mlbfs writes.

Owns: that a hook of somebody else is never touched. Layer: git.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mlbfs.errors import storage_error

if TYPE_CHECKING:
    from mlbfs.git.repository import GitRepository

_MARK = "# Written by 'mlbfs install'"


def write_hook(git: GitRepository, name: str, command: str) -> bool:
    """Writes a hook that starts a command; returns whether the hook is ours.

    Not where `core.hooksPath` leads elsewhere: such a folder may be shared by many repositories.

    Raises:
        StorageError: It cannot be written.
    """
    path = git.common_dir / "hooks" / name
    if git.config_get("core.hooksPath") is not None or not _is_free(path):
        return False
    text = f"#!/bin/sh\n{_MARK}; 'mlbfs install --remove' takes it away.\nexec {command} \"$@\"\n"
    try:
        if path.exists() and path.read_bytes() == os.fsencode(text):
            return True
        path.parent.mkdir(exist_ok=True)
        descriptor, new = tempfile.mkstemp(dir=path.parent)
        with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o755)
        Path(new).replace(path)
    except OSError as err:
        raise storage_error(err, f"writing the hook {str(path)!r}") from err
    return True


def hooks_folder(git: GitRepository) -> Path:
    """Returns where Git looks for hooks; a `~` that it begins with stands as it is written."""
    folder = git.config_get("core.hooksPath")
    if folder is None:
        return git.common_dir / "hooks"
    return Path(folder) if folder.startswith("~") else (git.work_tree or git.git_dir) / folder


def remove_hook(git: GitRepository, name: str) -> bool:
    """Removes a hook if it is ours, and says whether it was there.

    Raises:
        StorageError: It cannot be removed.
    """
    path = git.common_dir / "hooks" / name
    if not path.exists() or not _is_free(path):
        return False
    try:
        path.unlink()
    except OSError as err:
        raise storage_error(err, f"removing the hook {str(path)!r}") from err
    return True


def _is_free(path: Path) -> bool:
    """Whether there is no hook, or one of ours."""
    try:
        return f"\n{_MARK}" in path.read_text(errors="replace")
    except FileNotFoundError:
        return not path.is_symlink()
    except OSError as err:
        raise storage_error(err, f"reading the hook {str(path)!r}") from err
