"""Walking history.

Owns: the order of `log`, what of it concerns a path, and merge bases. Layer: git. Reads commits
through a function handed in.

The default order is that of `git log`: newest first, a parent never before the child that leads
to it, reading no further than what is asked for. The topological order (`--date-order` of Git)
needs the whole history at once and is for drawing.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from mlbfs.git.trees import MODE_DIRECTORY
from mlbfs.ids import ObjectId

if TYPE_CHECKING:
    from mlbfs.git.commits import CommitNode

Read = Callable[[ObjectId], "CommitNode"]
"""Reads what walking needs of a commit."""

Follow = Callable[["CommitNode"], tuple[bool, tuple[ObjectId, ...]]]
"""Returns whether to show a commit, and which of its parents to visit."""

_CACHED_ENTRIES = 4096


class _Newest:
    """Commits to visit, the newest first; equal times in the order they came."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, CommitNode]] = []
        self._count = 0

    def __bool__(self) -> bool:
        return bool(self._heap)

    def push(self, node: CommitNode) -> None:
        self._count += 1
        heapq.heappush(self._heap, (-node.time, self._count, node))

    def pop(self) -> CommitNode:
        return heapq.heappop(self._heap)[2]

    def ids(self) -> Iterator[ObjectId]:
        return (node.id for _, _, node in self._heap)


def follow_all(commit: CommitNode) -> tuple[bool, tuple[ObjectId, ...]]:
    """Shows every commit and visits all parents."""
    return True, commit.parents


def iter_by_date(start: ObjectId, read: Read, follow: Follow) -> Iterator[ObjectId]:
    """Yields the ids of history, newest first, reading only those and their parents."""
    queue = _Newest()
    queue.push(read(start))
    seen = {start}
    while queue:
        commit = queue.pop()
        shown, parents = follow(commit)
        if shown:
            yield commit.id
        for parent in parents:
            if parent not in seen:
                seen.add(parent)
                queue.push(read(parent))


def iter_topological(start: ObjectId, read: Read, follow: Follow) -> Iterator[ObjectId]:
    """Yields the ids of history so that no commit comes before any of its children."""
    visited: dict[ObjectId, tuple[bool, tuple[ObjectId, ...]]] = {}
    children: defaultdict[ObjectId, int] = defaultdict(int)
    todo = [start]
    while todo:
        oid = todo.pop()
        if oid in visited:
            continue
        visited[oid] = follow(read(oid))
        for parent in visited[oid][1]:
            children[parent] += 1
            todo.append(parent)
    queue = _Newest()
    queue.push(read(start))
    while queue:
        oid = queue.pop().id
        shown, parents = visited[oid]
        if shown:
            yield oid
        for parent in parents:
            children[parent] -= 1
            if children[parent] == 0:
                queue.push(read(parent))


class PathFilter:
    """Tells which commits changed a path, as `git log -- PATH` simplifies history.

    Args:
        path: Path in the tree.
        read: Reads a commit.
        child_of: Returns mode and id of an entry of a tree, or None.
    """

    def __init__(
        self,
        path: bytes,
        read: Read,
        child_of: Callable[[ObjectId, bytes], tuple[int, ObjectId] | None],
    ) -> None:
        self._parts = path.split(b"/")
        self._read = read
        # most commits leave most folders as they were, and each is looked at as a parent too
        self._child_of = lru_cache(_CACHED_ENTRIES)(child_of)

    def follow(self, commit: CommitNode) -> tuple[bool, tuple[ObjectId, ...]]:
        """Returns whether the commit changed the path, and which parents to visit.

        A parent with the same content explains it: only that parent is followed.
        """
        mine = self._entry(commit.tree)
        if not commit.parents:
            return mine is not None, ()
        for parent in commit.parents:
            if self._entry(self._read(parent).tree) == mine:
                return False, (parent,)
        return True, commit.parents

    def _entry(self, tree: ObjectId) -> tuple[int, ObjectId] | None:
        entry: tuple[int, ObjectId] | None = (MODE_DIRECTORY, tree)
        for part in self._parts:
            if entry is None or entry[0] != MODE_DIRECTORY:
                return None
            entry = self._child_of(entry[1], part)
        return entry


_ONE, _OTHER, _STALE = 1, 2, 4
_BOTH = _ONE | _OTHER


def merge_bases(one: ObjectId, other: ObjectId, read: Read) -> list[ObjectId]:
    """Returns the best common ancestors, newest first; several when histories are crossed.

    Paints both histories downwards, newest first, as Git does; what both colours reach is common,
    and what lies below something common is stale. Commits with wrong dates can leave an ancestor
    of another result among the results, so those are taken out at the end.
    """
    found = _common(one, other, read)
    return [
        base
        for base in found
        if not any(base != rival and base in _common(base, rival, read) for rival in found)
    ]


def _common(one: ObjectId, other: ObjectId, read: Read) -> list[ObjectId]:
    colours: defaultdict[ObjectId, int] = defaultdict(int)
    queue = _Newest()
    for oid, colour in ((one, _ONE), (other, _OTHER)):
        colours[oid] |= colour
        queue.push(read(oid))
    found: list[ObjectId] = []
    while any(not colours[oid] & _STALE for oid in queue.ids()):
        commit = queue.pop()
        colour = colours[commit.id]
        if colour == _BOTH and commit.id not in found:
            found.append(commit.id)
        if colour & _BOTH == _BOTH:
            colour |= _STALE
        for parent in commit.parents:
            if colours[parent] & colour != colour:
                colours[parent] |= colour
                queue.push(read(parent))
    return [oid for oid in found if not colours[oid] & _STALE]


def is_ancestor(ancestor: ObjectId, descendant: ObjectId, read: Read) -> bool:
    """Returns whether `descendant` is, or comes after, `ancestor`."""
    return ancestor == descendant or ancestor in _common(ancestor, descendant, read)
