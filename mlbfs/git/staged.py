"""What the indexes of Git's work trees name: files that were added and are on no commit yet.

Owns: reading an index. Layer: git.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pygit2

from mlbfs.errors import UnsupportedError
from mlbfs.git.roots import git_dirs
from mlbfs.git.trees import MODE_EXECUTABLE, MODE_FILE
from mlbfs.ids import ObjectId

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlbfs.git.repository import GitRepository


class _Index(pygit2.Index):
    """One that says nothing more when it could not be opened."""

    def __del__(self) -> None:
        if hasattr(self, "_index"):
            super().__del__()


def staged_blobs(git: GitRepository) -> Iterator[ObjectId]:
    """Yields the blobs of files in the index of every work tree, each once.

    A blob that is not here was only meant to be added, or Git has lost it: it is passed over.

    Raises:
        UnsupportedError: An index has a form that libgit2 cannot read; what it names is unknown.
    """
    seen: set[ObjectId] = set()
    for folder in git_dirs(git):
        for blob in _blobs_of(folder / "index"):
            if blob not in seen:
                seen.add(blob)
                if git.object_kind(blob) == "blob":
                    yield blob


def _blobs_of(path: Path) -> Iterator[ObjectId]:
    if not path.exists():
        return
    try:
        entries = list(_Index(str(path)))
    except (pygit2.GitError, OSError, ValueError) as err:
        raise UnsupportedError(
            f"the Git index {str(path)!r} cannot be read, so what it keeps is unknown: {err}",
            hint="git update-index --no-split-index; git sparse-checkout reapply --no-sparse-index",
        ) from err
    for entry in entries:
        if entry.mode in (MODE_FILE, MODE_EXECUTABLE):
            yield ObjectId(entry.id.raw)
