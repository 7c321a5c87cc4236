"""The Git configuration: of the system, the user and the repository.

Owns: reading values with Git's types. Layer: git.

Values are read afresh: what `git config` writes is seen without opening the repository again.
"""

from __future__ import annotations

import os
from pathlib import Path

import pygit2
from pygit2.enums import ConfigLevel

from mlbfs.errors import InvalidInputError

NEW_REPOSITORY = {"core.bare": "true", "core.logAllRefUpdates": "true"}
"""Of a new repository. Bare: the mounts are the working copies, and a work tree beside them would
go stale. Git keeps no reflogs in bare repositories unless told to."""


class GitConfig:
    """The configuration as it counts for one repository."""

    def __init__(self, config: pygit2.Config) -> None:
        self._config = config

    def get(self, key: str) -> str | None:
        """Returns a value, the last one given; None when there is none.

        Raises:
            InvalidInputError: The key or a configuration file cannot be read.
        """
        try:
            return str(self._config[key])
        except KeyError:
            return None
        except (pygit2.GitError, ValueError) as err:
            raise InvalidInputError(
                f"the Git configuration key {key!r} cannot be read: {err}",
                hint="git config --list --show-origin",
            ) from err

    def values_like(self, begin: str, end: str) -> list[str]:
        """Returns the values of all keys that begin and end so, in the order of the files.

        Raises:
            InvalidInputError: A configuration file cannot be read.
        """
        return [value for _, value in self._like(begin, end)]

    def names_like(self, begin: str, end: str) -> list[str]:
        """Returns what stands between in the keys that begin and end so, each once.

        Raises:
            InvalidInputError: A configuration file cannot be read.
        """
        return list(dict.fromkeys(name for name, _ in self._like(begin, end)))

    def _like(self, begin: str, end: str) -> list[tuple[str, str]]:
        try:
            return [
                (entry.name.removeprefix(begin).removesuffix(end), str(entry.value))
                for entry in self._config
                if entry.name.startswith(begin) and entry.name.endswith(end)
            ]
        except (pygit2.GitError, ValueError) as err:
            raise InvalidInputError(
                f"the Git configuration cannot be read: {err}",
                hint="git config --list --show-origin",
            ) from err

    def get_bool(self, key: str, *, default: bool = False) -> bool:
        """Returns a Boolean.

        Raises:
            InvalidInputError: The value is not a Boolean.
        """
        if self.get(key) is None:
            return default
        try:
            return bool(self._config.get_bool(key))
        except (pygit2.GitError, ValueError) as err:
            raise self._bad_value(key, "true or false") from err

    def get_int(self, key: str, *, default: int) -> int:
        """Returns a number; `k`, `m` and `g` multiply it.

        Raises:
            InvalidInputError: The value is not a number.
        """
        if self.get(key) is None:
            return default
        try:
            return int(self._config.get_int(key))
        except (pygit2.GitError, ValueError) as err:
            raise self._bad_value(key, "a number") from err

    def _bad_value(self, key: str, wanted: str) -> InvalidInputError:
        return InvalidInputError(
            f"the Git configuration has {key} = {self.get(key)!r}, not {wanted}",
            hint=f"git config {key} VALUE",
        )

    def excludes_file(self) -> Path | None:
        """Returns the user's file of ignore rules: `core.excludesFile`, or where Git looks else."""
        places = pygit2.settings.search_path
        configured = self.get("core.excludesFile")
        if configured is None:
            folder = places[ConfigLevel.XDG].partition(os.pathsep)[0]
            return Path(folder, "ignore") if folder else None
        if not configured.startswith("~/"):
            return Path(configured)
        home = places[ConfigLevel.GLOBAL].partition(os.pathsep)[0]
        return Path(home, configured[2:]) if home else None

    def log_policy(self) -> str:
        """Returns `core.logAllRefUpdates` as "always", "true" or "false".

        Unset means "not in a bare repository" to C Git. Our ref changes are logged there too: the
        log is what brings a branch back.
        """
        value = self.get("core.logAllRefUpdates")
        if value is not None and value.lower() == "always":
            return "always"
        return "true" if self.get_bool("core.logAllRefUpdates", default=True) else "false"
