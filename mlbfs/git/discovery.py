"""Finding a Git repository from a path, and its directories.

Owns: what counts as a Git directory, and how far up to look. Layer: git. Files only, no libgit2.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbfs.errors import CorruptionError, ErrorKind, NotFoundError, storage_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_GITFILE = "gitdir:"
_MAX_GITFILE = 4096 + 16


@dataclass(frozen=True, slots=True)
class Location:
    """Where a repository lies.

    Attributes:
        git_dir: Where `HEAD` lies; in a linked work tree below `worktrees/`.
        common_dir: Where objects and shared refs lie.
        work_tree: The directory that holds `.git`; None when the path was a Git directory.
    """

    git_dir: Path
    common_dir: Path
    work_tree: Path | None


def discover(start: Path) -> Location:
    """Finds the repository that `start` lies in, upwards as Git does.

    Stops at the boundary of the file system, as Git does unless told otherwise.

    Raises:
        NotFoundError: There is none (REPOSITORY_NOT_FOUND).
    """
    try:
        here = start.resolve(strict=True)
        device = here.stat().st_dev
    except OSError as err:
        raise _not_found(start) from err
    for directory in (here, *here.parents):
        if _device(directory) != device:
            break
        location = locate(directory)
        if location is not None:
            return location
    raise _not_found(start)


def locate(directory: Path) -> Location | None:
    """Returns the repository at exactly this directory: its work tree or Git directory."""
    dot_git = directory / ".git"
    if is_git_dir(dot_git):
        return Location(dot_git, find_common_dir(dot_git), directory)
    if _is(dot_git, stat.S_ISREG):
        git_dir = read_gitfile(dot_git)
        return Location(git_dir, find_common_dir(git_dir), directory)
    if is_git_dir(directory):
        return Location(directory, find_common_dir(directory), None)
    return None


def is_git_dir(path: Path) -> bool:
    """Returns whether `path` is a Git directory, by the same signs as Git."""
    head = path / "HEAD"
    if not _is(head, stat.S_ISREG) and not head.is_symlink():
        return False
    if _is(path / "commondir", stat.S_ISREG):
        return True
    return _is(path / "objects", stat.S_ISDIR) and _is(path / "refs", stat.S_ISDIR)


def _is(path: Path, kind: Callable[[int], bool]) -> bool:
    try:
        return kind(path.stat().st_mode)
    except OSError:  # what may not be looked at does not count, as in Git
        return False


def find_common_dir(git_dir: Path) -> Path:
    """Returns the directory that all work trees of the repository share."""
    text = _read_short(git_dir / "commondir")
    return git_dir if text is None else (git_dir / text.strip()).resolve()


def read_gitfile(path: Path) -> Path:
    """Returns the Git directory that a `.git` file names.

    Raises:
        CorruptionError: It names none, or one that does not exist.
    """
    text = _read_short(path) or ""
    target = (path.parent / text.removeprefix(_GITFILE).strip()).resolve()
    if not text.startswith(_GITFILE) or not is_git_dir(target):
        raise CorruptionError(
            f"{str(path)!r} does not lead to a Git repository",
            kind=ErrorKind.CORRUPT_OBJECT,
            hint="if the repository was moved, run 'git worktree repair' in it",
        )
    return target


def _read_short(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_GITFILE).decode("utf-8", "surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as err:
        raise storage_error(err, f"reading {str(path)!r}") from err


def _device(path: Path) -> int | None:
    try:
        return path.stat().st_dev
    except OSError:
        return None


def _not_found(start: Path) -> NotFoundError:
    return NotFoundError(
        f"{str(start)!r} is not in a Git repository",
        kind=ErrorKind.REPOSITORY_NOT_FOUND,
        hint="make one with 'mlbfs init', or name one with -C",
    )
