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

from mlbfs.ids import ObjectId

if TYPE_CHECKING:
    from mlbfs.git.commits import CommitNode


Follow = Callable[["CommitNode"], tuple[bool, tuple[ObjectId, ...]]]
"""Returns whether to show a commit, and which of its parents to visit."""


def iter_by_date(
    start: ObjectId,
    read: Callable[[ObjectId], CommitNode],
    follow: Follow,
) -> Iterator[ObjectId]:
    """Yields the ids of history, newest first, reading only those and their parents.

    Args:
        start: Where to begin.
        read: Reads a commit.
        follow: Returns whether to show a commit, and which of its parents to visit.
    """
    queue: list[tuple[int, int, CommitNode]] = []
    seen = {start}
    count = 0
    first = read(start)
    heapq.heappush(queue, (-first.time, count, first))
    while queue:
        _, _, commit = heapq.heappop(queue)
        shown, parents = follow(commit)
        if shown:
            yield commit.id
        for parent in parents:
            if parent not in seen:
                seen.add(parent)
                count += 1
                older = read(parent)
                heapq.heappush(queue, (-older.time, count, older))


def iter_topological(
    handle: pygit2.Repository,
    start: ObjectId,
    read: Callable[[ObjectId], CommitNode],
    follow: Follow,
) -> Iterator[ObjectId]:
    """Yields the ids of history so that no commit comes before any of its children."""
    wanted = {start}
    order = SortMode.TOPOLOGICAL | SortMode.TIME
    for commit in handle.walk(pygit2.Oid(raw=start), order):
        oid = ObjectId(commit.id.raw)
        if oid in wanted:
            shown, parents = follow(read(oid))
            wanted.update(parents)
            if shown:
                yield oid


class PathFilter:
    """Tells which commits changed a path, as `git log -- PATH` simplifies history.

    Args:
        path: Path in the tree.
        read: Reads a commit.
        entry_at: Returns what lies at a path below a tree, for comparing.
    """

    def __init__(
        self,
        path: bytes,
        read: Callable[[ObjectId], CommitNode],
        entry_at: Callable[[ObjectId, bytes], object],
    ) -> None:
        self._path = path
        self._read = read
        self._entry_at = entry_at

    def follow(self, commit: CommitNode) -> tuple[bool, tuple[ObjectId, ...]]:
        """Returns whether the commit changed the path, and which parents to visit.

        A parent with the same content explains it: only that parent is followed.
        """
        mine = self._entry_at(commit.tree, self._path)
        if not commit.parents:
            return mine is not None, ()
        for parent in commit.parents:
            if self._entry_at(self._read(parent).tree, self._path) == mine:
                return False, (parent,)
        return True, commit.parents
