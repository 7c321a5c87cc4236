"""Walks everything that must be kept: from refs, reflogs, workspaces and mounts to file ids.

Owns: what is reachable. gc marks with it and fsck checks along it.
Layer: workspace.

Invariants:
  R1. Every commit and every distinct tree is visited once.
  R2. What a ref, a workspace or a mount needs and cannot be read is an error; what only a reflog
      remembers may have been pruned by Git, and is passed over.

Concurrency: one thread. Memory: the ids of commits and distinct trees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from mlbfs.errors import CorruptionError, MlbfsError, NotFoundError
from mlbfs.ids import FileId, ObjectId
from mlbfs.workspace.source import UNKNOWN_TIME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mlbfs.git.commits import Commit
    from mlbfs.git.roots import Root
    from mlbfs.store.dirindex import DirectoryEntry, DirectoryIndex
    from mlbfs.workspace.source import SnapshotSource


T = TypeVar("T")


class Place(NamedTuple):
    """Where something was met first."""

    root: Root
    commit: Commit | None
    path: bytes


class Met(NamedTuple):
    """One file of one distinct tree."""

    place: Place
    entry: DirectoryEntry


class Walk:
    """One walk over everything that is reachable.

    Args:
        source: The repository's content.
        on_problem: Called with what cannot be read; without it, the error is raised (R2).

    Attributes:
        commits: Commits visited.
        trees: Trees visited.
    """

    def __init__(
        self,
        source: SnapshotSource,
        *,
        on_problem: Callable[[Place, MlbfsError], None] | None = None,
    ) -> None:
        self.commits: set[ObjectId] = set()
        self.trees: set[ObjectId] = set()
        self._source = source
        self._git = source.git
        self._on_problem = on_problem

    def files(self, roots: Iterable[Root]) -> Iterator[Met]:
        """Yields the files of every distinct tree."""
        for root in roots:
            place = Place(root, None, b"")
            commit = self._attempt(place, self._peel, root.id)
            if commit is not None:
                yield from self._history(root, commit)

    def file_ids(self, roots: Iterable[Root]) -> Iterator[FileId]:
        """Yields the content outside of Git that files need; ids may come again."""
        for met in self.files(roots):
            if met.entry.file_id is not None:
                yield met.entry.file_id

    def _peel(self, oid: ObjectId) -> Commit | None:
        """Returns the commit that an object leads to; None for a tag of something else."""
        while self._git.object_kind(oid) == "tag":
            oid = self._git.read_tag(oid).target
        if self._git.object_kind(oid) in ("tree", "blob"):
            return None
        return self._git.read_commit(oid)

    def _history(self, root: Root, tip: Commit) -> Iterator[Met]:
        stack = [tip]
        while stack:
            commit = stack.pop()
            if commit.id in self.commits:
                continue
            self.commits.add(commit.id)
            yield from self._tree(Place(root, commit, b""), commit.tree)
            for parent in commit.parents:
                if parent not in self.commits:
                    place = Place(root, commit, b"")
                    found = self._attempt(place, self._git.read_commit, parent)
                    if found is not None:
                        stack.append(found)

    def _tree(self, place: Place, tree: ObjectId) -> Iterator[Met]:
        stack = [(place, tree)]
        while stack:
            at, tree = stack.pop()
            if tree in self.trees:
                continue
            self.trees.add(tree)
            index = self._attempt(at, self._directory, tree)
            for entry in index or ():
                path = at.path + b"/" + entry.name if at.path else entry.name
                below = at._replace(path=path)
                if entry.is_directory:
                    stack.append((below, ObjectId(entry.content)))
                else:
                    yield Met(below, entry)

    def _directory(self, tree: ObjectId) -> DirectoryIndex:
        return self._source.directory(tree, time_ns=UNKNOWN_TIME)

    def _attempt(self, place: Place, read: Callable[[ObjectId], T], oid: ObjectId) -> T | None:
        try:
            return read(oid)
        except NotFoundError as err:
            if place.root.is_history:  # R2
                return None
            self._tell(place, err)
        except CorruptionError as err:
            self._tell(place, err)
        return None

    def _tell(self, place: Place, err: MlbfsError) -> None:
        if self._on_problem is None:
            raise err
        self._on_problem(place, err)
