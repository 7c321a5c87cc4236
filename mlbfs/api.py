"""The functions of the public interface; `mlbfs` re-exports them.

Owns: nothing; each is one call.
Layer: api, the only module that stands above both the facade and the mount.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mlbfs.mount import session
from mlbfs.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Iterator


def init(path: Path | str) -> Repository:
    """Makes or adopts a Git repository at `path` and opens it; idempotent."""
    return Repository.init(Path(path))


def open(path: Path | str = ".") -> Repository:  # noqa: A001 - mlbfs.open, as in io.open
    """Opens the repository that `path` lies in, looking upwards as Git does.

    Raises:
        NotFoundError: There is none, or it has not been adopted with `init`.
        FormatVersionError: It was written by a newer mlbfs.
    """
    return Repository.open(Path(path))


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
