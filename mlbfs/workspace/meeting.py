"""Which commits meet when stock Git calls a merge driver: it hands over files and names no commit.

Some drivers have to know: when a side changed its file, or what it has beside it. `git merge` tells
in the environment what comes in. A commit that is picked, reverted, rebased or stashed is found by
what it does: it changes this path from one of the versions to the other.

Owns: that search.
Layer: workspace.

Concurrency: one thread.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.errors import MlbfsError
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlbfs.git.commits import Commit
    from mlbfs.git.repository import GitRepository
    from mlbfs.ids import ObjectId

_PLACES = ("refs/heads/", "refs/stash", "refs/remotes/", "refs/tags/")
"""Where a commit that somebody picks is reached from, the most likely first."""

_MOST_TIPS = 64
"""So many histories are searched."""


class _Picked(NamedTuple):
    """The two commits of one change."""

    base: ObjectId
    theirs: ObjectId


class Meeting:
    """The commits of one call of a driver; nothing is searched before it is asked for.

    Args:
        git: The repository.
        path: The file.
        blobs: The blob that each side has of it; none of a base that there is not.
        told: What comes in, where Git has said so.
        is_inner: The call merges two merge bases, so that no commit has its result.
    """

    def __init__(
        self,
        git: GitRepository,
        path: bytes,
        blobs: Mapping[Side, ObjectId],
        *,
        told: ObjectId | None = None,
        is_inner: bool = False,
    ) -> None:
        self._git = git
        self._path = path
        self._blobs = blobs
        self._told = told
        self._is_inner = is_inner

    def commit(self, side: Side) -> ObjectId | None:
        """Returns the commit of a side, or None if it cannot be told."""
        if self._is_inner:
            return None
        if side is Side.OURS:
            return self._head
        if self._told is None:
            found = self._picked
            return found and (found.theirs if side is Side.THEIRS else found.base)
        if side is Side.THEIRS:
            return self._told
        return None if self._head is None else self._git.merge_base(self._head, self._told)

    @cached_property
    def _head(self) -> ObjectId | None:
        return self._git.commit_of("HEAD")

    @cached_property
    def _picked(self) -> _Picked | None:
        """The change that is picked or reverted, as far as a ref leads to it."""
        base, theirs = self._blobs.get(Side.BASE), self._blobs[Side.THEIRS]
        for commit, parent in self._changes():
            before, after = self._blob(parent), self._blob(commit)
            if (before, after) == (base, theirs):
                return _Picked(parent.id, commit.id)
            if (after, before) == (base, theirs):
                return _Picked(commit.id, parent.id)
        return None

    def _changes(self) -> Iterator[tuple[Commit, Commit]]:
        """Yields commits that changed the path, each with its first parent."""
        for tip in islice(self._tips(), _MOST_TIPS):
            for commit in self._git.log(tip, path=self._path):
                if commit.parents:
                    yield commit, self._git.read_commit(commit.parents[0])

    def _tips(self) -> Iterator[ObjectId]:
        seen: set[ObjectId] = set()
        for place in _PLACES:
            for name, _ in self._git.refs.iter(place):
                tip: ObjectId | None = None
                with suppress(MlbfsError):  # a tag of a tree, or of what is not here
                    tip = self._git.commit_of(name)
                if tip is not None and tip not in seen:
                    seen.add(tip)
                    yield tip

    def _blob(self, commit: Commit) -> ObjectId | None:
        entry = self._git.find_entry(commit.tree, self._path)
        return None if entry is None else entry.id
