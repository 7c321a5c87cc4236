"""What a command is called with: where, by whom, and which repository that means.

Owns: reading the environment and the working folder, and the search for the repository:
`GIT_DIR`, then the mount that the folder lies in, then upwards as Git does.
Layer: cli. Imports what opens a repository only when one is opened.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mlbfs.errors import ErrorKind, InvalidInputError, NotFoundError
from mlbfs.livemounts import check_answers, mount_around

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlbfs.repository import Author, Repository
    from mlbfs.workspace.driverprocess import DriverProcess


@dataclass(slots=True)
class Context:
    """One call of the command line.

    Attributes:
        debug: Whether an error comes with a traceback.
        failure_code: Exit code of every error, for a caller that reads codes in its own way.
        has_failed: Whether an error has ended the command.
        failure_note: What an error leaves behind, told in a line of its own.
        environment: The environment of the process.
        driver_process: A process for merge drivers that was started beforehand.
    """

    debug: bool = False
    failure_code: int | None = None
    has_failed: bool = False
    failure_note: str | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    driver_process: DriverProcess | None = None

    def change_directory(self, directory: str) -> None:
        """Goes where `-C` says; every path of the command line is seen from there, as in Git.

        Raises:
            InvalidInputError: There is no such folder.
            StorageError: It lies in a mount whose daemon does not answer.
        """
        try:
            check_answers(Path(directory))
            os.chdir(directory)
        except OSError as err:
            raise InvalidInputError(
                f"cannot go to {directory!r}: {err.strerror}", kind=ErrorKind.INVALID_PATH
            ) from err

    def repository(self, start: Path | None = None, *, repair: bool = False) -> Repository:
        """Opens the repository that `start` (the working folder by default) means.

        Args:
            start: Where to look.
            repair: Open it even when its chunk index is missing or damaged.

        Raises:
            NotFoundError: There is none.
        """
        from mlbfs.repository import Repository  # Git and the store take a tenth of a second

        return Repository.open(self.git_start(start), repair=repair)

    def common_dir(self) -> Path:
        """Returns the Git directory that holds `mlbfs/`, without opening anything.

        Raises:
            NotFoundError: There is no repository, or `mlbfs init` has not adopted it.
        """
        from mlbfs.git.discovery import discover
        from mlbfs.store.formatfile import FILE_NAME, not_adopted

        found = discover(self.git_start()).common_dir
        store = found / "mlbfs"
        if not (store / FILE_NAME).exists():
            raise not_adopted(store)
        return found

    def git_start(self, start: Path | None = None) -> Path:
        """Returns where the search for a Git repository begins."""
        named = self.environment.get("GIT_DIR")
        if named and start is None:
            return Path(named)
        place = here() if start is None else start
        mount = mount_around(place)
        if mount is not None and mount.git_dir is not None:
            return mount.git_dir
        return place

    def start(self, directory: Path | None, branch: str | None) -> Path:
        """Returns where the search for a working copy begins: a folder, or the repository."""
        return directory or here() if branch is None else self.git_start()

    def author(self, repository: Repository) -> Author:
        """Returns who commits, from the environment and Git's configuration."""
        return repository.author(self.environment)


def here() -> Path:
    """Returns the working folder.

    Raises:
        NotFoundError: It was deleted, or the mount that it was in has gone.
    """
    try:
        return Path.cwd()
    except OSError as err:
        raise NotFoundError(
            f"the working folder cannot be read: {err.strerror}",
            kind=ErrorKind.PATH_NOT_FOUND,
            hint="go to a folder that exists",
        ) from err
