"""Exact renames: files that one side moved, so that what the other side did to them follows.

Owns: which path that a side took away is which path that it added.
Layer: merge. Reads trees through a function handed in.

A file was moved if a side took a path away and added another with the same content. Only contested
paths are looked for: one that a side took away while the other changed it, and one that both took
away. Several files of one content are paired by their last name first and then in path order, as
Git does; an empty file is like any other empty file and is never followed.

Concurrency: one thread; pure but for the reading of trees.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

from mlbfs.git.objects import object_id
from mlbfs.git.treediff import differing_entries
from mlbfs.git.trees import MODE_DIRECTORY, MODE_SUBMODULE
from mlbfs.merge.trees import Entry, read_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlbfs.git.trees import TreeEntry
    from mlbfs.ids import ObjectId
    from mlbfs.merge.trees import ReadTree

EMPTY_BLOB = object_id("blob", b"")


def find_renames(
    read: ReadTree, base: ObjectId, side: ObjectId, wanted: Iterable[tuple[bytes, Entry]]
) -> dict[bytes, tuple[bytes, TreeEntry]]:
    """Returns where a side moved files to: by old path, the new path and what is there.

    Args:
        read: Reads a tree.
        base: The tree before.
        side: The tree after.
        wanted: Paths of files that the side took away, with their entries in the base.

    Raises:
        CorruptionError: A tree is damaged.
    """
    contents = {
        entry.id
        for _, entry in wanted
        if entry.mode not in (MODE_DIRECTORY, MODE_SUBMODULE) and entry.id != EMPTY_BLOB
    }
    if not contents:
        return {}
    gone: defaultdict[ObjectId, list[bytes]] = defaultdict(list)
    added: defaultdict[ObjectId, list[tuple[bytes, TreeEntry]]] = defaultdict(list)
    for path, before, after in _changed_files(read, base, side):
        if after is None and before is not None and before.id in contents:
            gone[before.id].append(path)
        elif before is None and after is not None and after.id in contents:
            added[after.id].append((path, after))
    renames: dict[bytes, tuple[bytes, TreeEntry]] = {}
    for content, places in added.items():
        renames.update(_pair(gone[content], places))
    return renames


def lost_files(
    read: ReadTree, path: bytes, old: Entry, new: Entry | None
) -> Iterator[tuple[bytes, Entry]]:
    """Yields the files of an entry that are gone from what it became: itself, or some below it."""
    if not old.is_folder:
        if new is None or new.is_folder:
            yield path, old
        return
    below = new.id if new is not None and new.is_folder else None
    for name, file, other in _changed_files(read, old.id, below):
        if file is not None and other is None:
            yield path + b"/" + name, Entry(file.mode, file.id)


def has_new_files(read: ReadTree, old: Entry | None, new: Entry) -> bool:
    """Returns whether a folder has a file at a path where its base has none."""
    base = old.id if old is not None and old.is_folder else None
    return any(
        file is not None and before is None
        for _, before, file in _changed_files(read, base, new.id)
    )


def _pair(
    gone: list[bytes], added: list[tuple[bytes, TreeEntry]]
) -> Iterator[tuple[bytes, tuple[bytes, TreeEntry]]]:
    """Pairs old and new paths of one content: by last name, then in order."""
    left, order = set(gone), deque(gone)
    named: defaultdict[bytes, deque[bytes]] = defaultdict(deque)
    for path in gone:
        named[_name(path)].append(path)
    for path, entry in added:
        if not left:
            return
        while order[0] not in left:
            order.popleft()
        same = named[_name(path)]
        old = same[0] if same else order[0]
        named[_name(old)].popleft()  # the first of all is the first of its name
        left.remove(old)
        yield old, (path, entry)


def _name(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]


def _changed_files(
    read: ReadTree, base: ObjectId | None, side: ObjectId | None
) -> Iterator[tuple[bytes, TreeEntry | None, TreeEntry | None]]:
    """Yields each path that is a file in one of two trees and differs in the other, in order."""
    stack = [(b"", _rows(read, base, side))]
    while stack:
        prefix, rows = stack[-1]
        for name, before, after in rows:
            path = prefix + name
            old, new = _tree(before), _tree(after)
            file, other = _file(before), _file(after)
            if file is not None or other is not None:
                yield path, file, other
            if old is not None or new is not None:
                stack.append((path + b"/", _rows(read, old, new)))
                break
        else:
            stack.pop()


def _rows(
    read: ReadTree, base: ObjectId | None, side: ObjectId | None
) -> Iterator[tuple[bytes, TreeEntry | None, TreeEntry | None]]:
    before, after = differing_entries(read_tree(read, base), read_tree(read, side))
    for name in sorted(before.keys() | after.keys()):
        yield name, before.get(name), after.get(name)


def _tree(entry: TreeEntry | None) -> ObjectId | None:
    return entry.id if entry is not None and entry.mode == MODE_DIRECTORY else None


def _file(entry: TreeEntry | None) -> TreeEntry | None:
    return entry if entry is not None and entry.mode != MODE_DIRECTORY else None
