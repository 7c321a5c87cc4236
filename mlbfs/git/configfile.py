"""Changing Git's configuration, as `git config` does it.

Owns: running that command. Layer: git. C Git writes its own files: it knows which ones a scope
means, keeps comments, and takes its own lock; what is written here is for C Git alone.
"""

from __future__ import annotations

import subprocess
from enum import StrEnum
from typing import TYPE_CHECKING

from mlbfs.errors import ErrorKind, StorageError, UnsupportedError

if TYPE_CHECKING:
    from pathlib import Path


class Scope(StrEnum):
    """Whose configuration is meant; the values are options of `git config`."""

    LOCAL = "--local"
    GLOBAL = "--global"
    WORKTREE = "--worktree"


class ConfigFile:
    """The configuration of one scope.

    Args:
        directory: A folder of the repository; of any, for the scope of the user.
        scope: Whose.
    """

    def __init__(self, directory: Path, scope: Scope) -> None:
        self._directory = directory
        self._scope = scope

    def read(self, *, every_scope: bool = False) -> dict[str, list[str]]:
        """Returns the values by key; keys are as Git shows them, all but the middle lower-case.

        Args:
            every_scope: Read what counts in the end, from all files, and not the one scope alone.

        Raises:
            StorageError: Git cannot read it.
        """
        words = ["--list"] if every_scope else [self._scope, "--list"]
        found: dict[str, list[str]] = {}
        done = self._git("-z", *words)
        if done.returncode and b"unable to read" not in done.stderr:  # there is no such file yet
            raise _failed(done)
        for item in done.stdout.split(b"\0")[:-1]:
            key, _, value = item.decode("utf-8", "surrogateescape").partition("\n")
            found.setdefault(key, []).append(value)
        return found

    def set(self, key: str, value: str) -> None:
        """Gives a key this one value.

        Raises:
            StorageError: Git cannot write it.
        """
        self._must(self._scope, "--replace-all", key, value)

    def unset(self, key: str) -> None:
        """Takes a key away, and its section if nothing is left of it.

        Raises:
            StorageError: Git cannot write it.
        """
        self._must(self._scope, "--unset-all", key)

    def _must(self, *words: str) -> None:
        done = self._git(*words)
        if done.returncode:
            raise _failed(done)

    def _git(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        command = ["git", "-C", str(self._directory), "config", *words]
        try:
            return subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, check=False
            )
        except FileNotFoundError as err:
            raise UnsupportedError(
                "Git is not installed, or not on PATH", hint="apt install git"
            ) from err


def _failed(done: subprocess.CompletedProcess[bytes]) -> StorageError:
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    said = lines[-1] if lines else f"it ended with {done.returncode}"
    return StorageError(f"git config: {said}", kind=ErrorKind.IO_ERROR)
