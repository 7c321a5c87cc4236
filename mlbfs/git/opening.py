"""Opening and making a repository with libgit2, with its refusals in our words.

Owns: which repositories are refused and what the user can do about it. Layer: git.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pygit2
from pygit2.enums import Option

from mlbfs.errors import ErrorKind, InvalidInputError, MlbfsError, UnsupportedError, storage_error
from mlbfs.git.config import NEW_REPOSITORY
from mlbfs.git.discovery import Location

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_BRANCH = "main"
_KNOWN_EXTENSIONS = ["partialclone"]
"""Extensions that libgit2 does not know but that we can live with: an object that a partial clone
does not have is reported as missing, with a hint."""

pygit2.option(Option.SET_EXTENSIONS, _KNOWN_EXTENSIONS, len(_KNOWN_EXTENSIONS))


def open_handle(location: Location) -> pygit2.Repository:
    """Opens a repository.

    Raises:
        UnsupportedError: Git would not touch it, or it has features that we do not know.
    """
    try:
        return pygit2.Repository(str(location.git_dir))
    except (pygit2.GitError, KeyError, ValueError) as err:
        raise _refused(location, str(err)) from err


def create_repository(path: Path) -> Location:
    """Makes a repository in `path/.git`, without a work tree.

    Raises:
        UnsupportedError: It may not be made there.
    """
    git_dir = path / ".git"
    try:
        pygit2.init_repository(str(git_dir), bare=True, initial_head=DEFAULT_BRANCH)
        configure_new(git_dir)
    except (pygit2.GitError, OSError) as err:
        raise UnsupportedError(
            f"no Git repository can be made in {str(path)!r}: {err}",
            kind=ErrorKind.PERMISSION_DENIED,
        ) from err
    return Location(git_dir, git_dir, path)


def configure_new(git_dir: Path) -> None:
    """Gives a repository that was not used yet the settings of ours."""
    config = pygit2.Config(str(git_dir / "config"))
    for key, value in NEW_REPOSITORY.items():
        config[key] = value


def make_directory(path: Path) -> None:
    """Makes a directory and its parents if they are missing.

    Raises:
        InvalidInputError: `path` is a file.
        StorageError: It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as err:
        raise InvalidInputError(
            f"{str(path)!r} is a file, or lies in one", kind=ErrorKind.INVALID_PATH
        ) from err
    except OSError as err:
        raise storage_error(err, f"making the directory {str(path)!r}") from err


def _refused(location: Location, reason: str) -> MlbfsError:
    """Returns why libgit2 would not open a repository."""
    where = str(location.work_tree or location.git_dir)
    if "not owned by" in reason:
        # A bare repository is trusted by its Git directory, any other by its work tree.
        named = re.search(r"'(/.+?)/?'", reason)
        trusted = shlex.quote(named[1] if named is not None else where)
        return UnsupportedError(
            f"the Git repository at {where!r} belongs to another user",
            kind=ErrorKind.PERMISSION_DENIED,
            hint=f"if you trust it: git config --global --add safe.directory {trusted}",
        )
    if "object format" in reason:
        return UnsupportedError(
            f"the Git repository at {where!r} uses SHA-256 object names",
            hint="mlbfs needs SHA-1 names: make one with 'git init --object-format=sha1'",
        )
    if "refstorage" in reason:
        return UnsupportedError(
            f"the Git repository at {where!r} keeps its refs as reftable",
            hint="convert it: git refs migrate --ref-format=files",
        )
    return UnsupportedError(
        f"the Git repository at {where!r} cannot be opened: {reason}",
        hint="see whether 'git status' works in it",
    )
