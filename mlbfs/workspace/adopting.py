"""A repository as the helpers of stock Git need it: to read content and to store some.

Git starts a helper for each file that it merges or shows, so what a helper imports is most of what
it costs. `Repository` is the same and everything else besides.

Owns: opening that much.
Layer: workspace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from mlbfs.git.repository import GitRepository
from mlbfs.store.chunkstore import ChunkStore
from mlbfs.workspace.nearby import STORE_NAME
from mlbfs.workspace.source import SnapshotSource

if TYPE_CHECKING:
    from pathlib import Path


class Adopted:
    """A Git repository with a store; a context manager.

    Attributes:
        git: The Git repository.
        store: The chunk store.
        source: Content of both.
        directory: Folder of everything of ours: `.git/mlbfs`.
    """

    def __init__(self, path: Path) -> None:
        """Opens the Git repository that `path` lies in, and gives it a store if it has none.

        Raises:
            NotFoundError: There is none (REPOSITORY_NOT_FOUND).
            FormatVersionError: It was written by a newer mlbfs.
        """
        self.git = GitRepository.discover(path)
        self.directory = self.git.common_dir / STORE_NAME
        try:
            self.store = ChunkStore.create(self.directory)
        except BaseException:
            self.git.close()
            raise
        self.source = SnapshotSource(self.git, self.store)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.store.close()
        self.git.close()
