"""The functions of the public interface; `mlbfs` re-exports them.

Owns: nothing; each is one call or two.
Layer: api, which stands above both the facade and the mount.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mlbfs.errors import InvalidInputError
from mlbfs.livemounts import mount_around
from mlbfs.mount import session
from mlbfs.repository import Repository
from mlbfs.workplace import record_changes, tree_paths, workplace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlbfs.repository import Author


def init(path: Path | str) -> Repository:
    """Makes or adopts a Git repository at `path` and opens it; idempotent."""
    return Repository.init(Path(path))


def open(path: Path | str = ".") -> Repository:  # noqa: A001 - mlbfs.open, as in io.open
    """Opens the repository that `path` lies in, looking upwards as Git does, or out of a mount.

    Raises:
        NotFoundError: There is none, or it has not been adopted with `init`.
        FormatVersionError: It was written by a newer mlbfs.
    """
    mount = mount_around(Path(path))
    start = mount.git_dir if mount is not None else None
    return Repository.open(Path(path) if start is None else start)


def commit(
    folder: Path | str,
    message: str,
    *,
    paths: Iterable[Path | str] | None = None,
    tag: str | None = None,
    author: Author | None = None,
) -> str:
    """Commits the work of the mounted branch that `folder` lies in; returns the id in hex.

    Args:
        folder: Any folder of the mount.
        message: What changed, and why.
        paths: Only what changed there is committed, a folder with all below it; seen from
            `folder`. The rest stays changed.
        tag: Name of a tag to make at the commit.
        author: Who writes and commits; by default as Git is configured.

    Raises:
        NotFoundError: The folder lies in no mount, or one of the paths does not exist.
        UserError: There is nothing to commit.
        AlreadyExistsError: There is such a tag; nothing was committed.
        ConflictError: The branch has moved; nothing was committed.
    """
    with workplace(Path(folder)) as place:
        who = author or place.repository.author()
        chosen = [b""]
        if paths is not None:
            named = [Path(folder) / path for path in paths]
            if not named:
                raise InvalidInputError(
                    "no path was named", hint="leave 'paths' out for everything"
                )
            chosen = tree_paths(place, named, by_branch=False)
        return record_changes(place, message, author=who, tag=tag, paths=chosen).commit


@contextmanager
def mounted(
    repository: Repository | Path | str,
    ref: str | None,
    directory: Path | None = None,
    *,
    read_only: bool = False,
) -> Iterator[Path]:
    """Mounts for the length of a `with` block and yields the folder.

    Work on a branch that was not committed is kept and is there at the next mount.

    Args:
        repository: An open repository, or a path in one.
        ref: Branch, tag or commit; None mounts all of them by name.
        directory: An empty folder to mount at; None makes one and removes it at the end.
        read_only: Show a branch as it is now, without a workspace.

    Raises:
        NotFoundError: There is no such repository or ref.
        ConflictError: The branch is mounted read-write elsewhere.
        UnsupportedError: This machine or user cannot mount; the hint says what is missing.
    """
    if not isinstance(repository, Repository):
        with Repository.open(Path(repository)) as found:
            git_dir = found.git.common_dir
    else:
        git_dir = repository.git.common_dir
    with session.mounted(git_dir, ref, directory, read_only=read_only) as place:
        yield place
