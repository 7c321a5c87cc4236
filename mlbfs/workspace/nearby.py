"""Content that lies in another repository of this machine.

A clone by path has the pointers of its origin and none of the content. What it has not is looked
for where it came from: in the repositories that lend it Git objects (`objects/info/alternates`),
and in remotes whose URL is a path; and in turn in theirs.

Owns: which repositories those are, and that one that cannot be read is passed over with its reason.
Layer: workspace.

Concurrency: one thread.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self
from urllib.parse import unquote

from mlbfs.errors import ErrorKind, MlbfsError, NotFoundError
from mlbfs.git.repository import GitRepository
from mlbfs.store.chunkstore import ChunkStore
from mlbfs.workspace.source import SnapshotSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.ids import FileId
    from mlbfs.workspace.source import Reader

STORE_NAME = "mlbfs"
_MAX_PLACES = 16
"""Repositories that are looked into; a chain of clones is shorter."""


class _Place(NamedTuple):
    git: GitRepository
    source: SnapshotSource | None

    def open(self, file_id: FileId) -> Reader | None:
        """Opens a content, or returns None if it is not there."""
        if self.source is None:
            return self.git.lfs.open(file_id)
        try:
            return self.source.open_content(file_id)
        except NotFoundError:
            return None


class Nearby:
    """The other repositories that content may come from; nothing is opened before it is needed.

    Attributes:
        refused: Why repositories were passed over, a line for each.
    """

    def __init__(self, git: GitRepository) -> None:
        self.refused: list[str] = []
        self._git = git
        self._opened: list[_Place] | None = None

    def open(self, file_id: FileId) -> Reader | None:
        """Opens a content, or returns None if no repository has it.

        Raises:
            CorruptionError: It is damaged where it was found.
            StorageError: The device failed.
        """
        for place in self._places():
            reader = place.open(file_id)
            if reader is not None:
                return reader
        return None

    def close(self) -> None:
        """Releases the repositories that were opened."""
        for place in self._opened or ():
            _close(place)
        self._opened = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _places(self) -> list[_Place]:
        if self._opened is None:
            self._opened = []
            seen = {self._git.common_dir}
            waiting = list(neighbours(self._git))
            while waiting and len(self._opened) < _MAX_PLACES:
                place = self._open_place(waiting.pop(0), seen)
                if place is not None:
                    self._opened.append(place)
                    waiting += neighbours(place.git)
        return self._opened

    def _open_place(self, path: Path, seen: set[Path]) -> _Place | None:
        try:
            git = GitRepository.open(path)
        except (MlbfsError, OSError) as err:
            self.refused.append(f"{str(path)!r}: {err}")
            return None
        if git.common_dir in seen:
            git.close()
            return None
        seen.add(git.common_dir)
        try:
            store = ChunkStore.open(git.common_dir / STORE_NAME)
        except MlbfsError as err:
            if err.kind is not ErrorKind.NOT_MLBFS:  # then Git LFS may have it all the same
                self.refused.append(f"{str(path)!r}: {err}")
            return _Place(git, None)
        return _Place(git, SnapshotSource(git, store))


def _close(place: _Place) -> None:
    if place.source is not None:
        place.source.store.close()
    place.git.close()


def neighbours(git: GitRepository) -> Iterator[Path]:
    """Yields the repositories that one names itself: those that lend objects, then remotes."""
    for objects in git.alternates():
        yield objects.parent
    base = git.work_tree or git.git_dir
    for url in git.config.values_like("remote.", ".url"):
        path = local_path(url, base)
        if path is not None:
            yield path


def local_path(url: str, base: Path) -> Path | None:
    """Returns the folder that the URL of a remote means, or None if it is not of this machine.

    Git's rule: what has a colon before the first slash names another machine.
    """
    if url.startswith("file://"):
        return Path(unquote(url.removeprefix("file://")))
    if ":" in url.partition("/")[0] or "://" in url or not url:
        return None
    found = base / url
    with_suffix = found.with_name(found.name + ".git") if found.name else found
    return with_suffix if not found.exists() and with_suffix.exists() else found
