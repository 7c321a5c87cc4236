"""Checks a repository above its chunk store: that every commit can be read to the last file.

Owns: what a sound repository has: each reachable commit and tree is there, no tree is hostile, each
directory index agrees with its Git tree, and each pointer has its content.
Layer: workspace. Damage inside Git objects is for `git fsck`; inside packs, for `store/fsck.py`.

Concurrency: one thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from mlbfs.errors import CorruptionError, NotFoundError
from mlbfs.git.names import REMOTE_PREFIX
from mlbfs.ids import short_hex
from mlbfs.workspace.reachability import Place, Walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mlbfs.errors import MlbfsError
    from mlbfs.git.roots import Root
    from mlbfs.ids import FileId
    from mlbfs.workspace.reachability import Met
    from mlbfs.workspace.source import SnapshotSource

PROGRESS_EVERY = 1000


class ProblemKind(StrEnum):
    """Stable code of a problem; append-only."""

    CONTENT_MISSING = "content-missing"
    CONTENT_NOT_FETCHED = "content-not-fetched"
    SIZE_DIFFERS = "size-differs"
    OBJECT_UNREADABLE = "object-unreadable"
    DIRECTORY_WRONG = "directory-wrong"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that a sound repository would not have, or that a clone may do without."""

    kind: ProblemKind
    message: str
    path: bytes
    commit: bytes | None

    @property
    def is_harmful(self) -> bool:
        """Whether something may be lost."""
        return self.kind is not ProblemKind.CONTENT_NOT_FETCHED


class RepositoryCheck:
    """One check of everything that is reachable.

    What a commit of a remote needs and is not here may never have been fetched; it is counted, and
    no damage. What only commits of this repository need has nowhere else to be.

    Attributes:
        files: Files checked.
        commits: Commits checked.
    """

    def __init__(
        self, source: SnapshotSource, progress: Callable[[int], None] | None = None
    ) -> None:
        self.files = 0
        self._source = source
        self._progress = progress
        self._found: list[Problem] = []
        self._missing: set[FileId] = set()
        self._unfetched = 0
        self._is_partial = source.git.is_partial
        self._walk = Walk(source, on_problem=self._unreadable)

    @property
    def commits(self) -> int:
        """Commits checked."""
        return len(self._walk.commits)

    def run(self, roots: Iterable[Root]) -> Iterator[Problem]:
        """Yields the problems."""
        remotes_first = sorted(roots, key=lambda root: not _is_of_remote(root))
        for met in self._walk.files(remotes_first):
            self.files += 1
            if self._progress is not None and self.files % PROGRESS_EVERY == 0:
                self._progress(self.files)
            if met.entry.file_id is not None:
                self._check_content(met, met.entry.file_id)
            yield from self._taken()
        yield from self._taken()
        if self._unfetched:
            text = "content that commits of remotes need was never fetched: "
            text += f"files or folders, {self._unfetched:,} in all"
            yield Problem(ProblemKind.CONTENT_NOT_FETCHED, text, b"", None)
        yield from self._check_directories()

    def _taken(self) -> list[Problem]:
        found, self._found = self._found, []
        return found

    def _check_content(self, met: Met, file_id: FileId) -> None:
        size = self._source.store.file_size(file_id)
        if size is None:
            if file_id not in self._missing:
                self._check_lfs(met, file_id)
        elif size != met.entry.size:
            text = f"its pointer says {met.entry.size} bytes, the store has {size}"
            self._note(ProblemKind.SIZE_DIFFERS, met.place, text)
        elif file_id not in self._missing and not self._source.store.is_complete(file_id):
            self._missing.add(file_id)
            text = f"a part of content {short_hex(file_id)} is lost"
            self._note(ProblemKind.CONTENT_MISSING, met.place, text)

    def _check_lfs(self, met: Met, file_id: FileId) -> None:
        reader = self._source.open_whole(file_id)
        if reader is None:
            self._missing.add(file_id)
            if _is_of_remote(met.place.root):
                self._unfetched += 1
                return
            text = f"content {short_hex(file_id)} is not in this repository"
            self._note(ProblemKind.CONTENT_MISSING, met.place, text)
            return
        with reader:
            try:
                reader.verify()
            except CorruptionError as err:
                self._missing.add(file_id)
                self._note(ProblemKind.CONTENT_MISSING, met.place, err.message)
            else:
                if reader.size != met.entry.size:
                    text = f"its pointer says {met.entry.size} bytes, Git LFS has {reader.size}"
                    self._note(ProblemKind.SIZE_DIFFERS, met.place, text)

    def _check_directories(self) -> Iterator[Problem]:
        """Compares each stored directory index with the Git tree that it was derived from."""
        for tree in self._walk.trees:
            index = self._source.store.directory(tree)
            if index is None:
                continue
            try:
                names = sorted(entry.name for entry in self._source.git.read_tree(tree))
            except (NotFoundError, CorruptionError) as err:
                yield Problem(ProblemKind.OBJECT_UNREADABLE, err.message, b"", None)
                continue
            if names != [index.name(position) for position in range(len(index))]:
                text = f"the directory index of tree {short_hex(tree)} is not that of its Git tree"
                yield Problem(ProblemKind.DIRECTORY_WRONG, text, b"", None)

    def _unreadable(self, place: Place, err: MlbfsError) -> None:
        is_promised = isinstance(err, NotFoundError) and self._is_partial
        if is_promised and _is_of_remote(place.root):
            self._unfetched += 1
            return
        self._note(ProblemKind.OBJECT_UNREADABLE, place, err.message)

    def _note(self, kind: ProblemKind, place: Place, text: str) -> None:
        where = place.path.decode("utf-8", "backslashreplace") or "/"
        commit = place.commit.id if place.commit is not None else None
        at = f" of commit {short_hex(commit)}" if commit is not None else ""
        self._found.append(
            Problem(kind, f"{where!r}{at} ({place.root.name}): {text}", place.path, commit)
        )


def _is_of_remote(root: Root) -> bool:
    return root.name.startswith(REMOTE_PREFIX)
