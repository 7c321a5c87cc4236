"""Walking history.

Owns: the order of `log` and what of it concerns a path. Layer: git.

The default order is that of `git log`: newest first, a parent never before the child that leads
to it, reading no further than what is asked for. The topological order needs the whole history
at once and is for drawing.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pygit2
from pygit2.enums import SortMode

from mlbfs.git.lookup import TreeLookup
from mlbfs.ids import ObjectId

if TYPE_CHECKING:
    from mlbfs.git.commits import Commit
    from mlbfs.git.trees import TreeEntry


Follow = Callable[["Commit"], tuple[bool, tuple[ObjectId, ...]]]
"""Returns whether to show a commit, and which of its parents to visit."""


def iter_by_date(
    start: ObjectId,
    read: Callable[[ObjectId], Commit],
    follow: Follow,
) -> Iterator[Commit]:
    """Yields history, newest first, reading only what it yields and their parents.

    Args:
        start: Where to begin.
        read: Reads a commit.
        follow: Returns whether to show a commit, and which of its parents to visit.
    """
    queue: list[tuple[int, int, Commit]] = []
    seen = {start}
    count = 0
    first = read(start)
    heapq.heappush(queue, (-first.committer.time, count, first))
    while queue:
        _, _, commit = heapq.heappop(queue)
        shown, parents = follow(commit)
        if shown:
            yield commit
        for parent in parents:
            if parent not in seen:
                seen.add(parent)
                count += 1
                older = read(parent)
                heapq.heappush(queue, (-older.committer.time, count, older))


def iter_topological(handle: pygit2.Repository, start: ObjectId) -> Iterator[ObjectId]:
    """Yields the ids of history so that no parent comes before any of its children."""
    order = SortMode.TOPOLOGICAL | SortMode.TIME
    for commit in handle.walk(pygit2.Oid(raw=start), order):
        yield ObjectId(commit.id.raw)


class PathFilter:
    """Tells which commits changed a path, as `git log -- PATH` simplifies history.

    Args:
        path: Path in the tree.
        read: Reads a commit.
        read_tree: Reads a tree.
    """

    def __init__(
        self,
        path: bytes,
        read: Callable[[ObjectId], Commit],
        read_tree: Callable[[ObjectId], list[TreeEntry]],
    ) -> None:
        self._path = path
        self._read = read
        self._trees = TreeLookup(read_tree)

    def follow(self, commit: Commit) -> tuple[bool, tuple[ObjectId, ...]]:
        """Returns whether the commit changed the path, and which parents to visit.

        A parent with the same content explains it: only that parent is followed.
        """
        mine = self._trees.find(commit.tree, self._path)
        if not commit.parents:
            return mine is not None, ()
        for parent in commit.parents:
            if self._trees.find(self._read(parent).tree, self._path) == mine:
                return False, (parent,)
        return True, commit.parents
