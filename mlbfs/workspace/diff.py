"""Compares two trees, descending only where they differ.

Owns: what counts as a change between two entries.
Layer: workspace.

Invariants:
  D1. Folders with one id are never read: the cost is what differs.
  D2. Changes are of files, symbolic links and submodules, each by its own path, in path order of
      the folders; a folder that appears or goes is told as the entries in it.

Concurrency: a diff is consumed by one thread at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from mlbfs.ids import ObjectId
from mlbfs.store.dirindex import EntryKind
from mlbfs.workspace.source import UNKNOWN_TIME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.store.dirindex import DirectoryEntry, DirectoryIndex
    from mlbfs.workspace.source import SnapshotSource

_REGULAR = (EntryKind.FILE, EntryKind.EXECUTABLE)


class ChangeKind(StrEnum):
    """How one path differs between two trees."""

    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"
    TYPE_CHANGED = "type-changed"
    MODE_CHANGED = "mode-changed"


@dataclass(frozen=True, slots=True)
class Change:
    """One path that differs, with what it was and what it is."""

    path: bytes
    kind: ChangeKind
    old: DirectoryEntry | None
    new: DirectoryEntry | None


def change_kind(old: DirectoryEntry | None, new: DirectoryEntry | None) -> ChangeKind | None:
    """Returns how two entries of one path differ, or None when they are the same."""
    if old is None or new is None:
        if old is new:
            return None
        return ChangeKind.ADDED if old is None else ChangeKind.DELETED
    if old.kind is not new.kind and not (old.kind in _REGULAR and new.kind in _REGULAR):
        return ChangeKind.TYPE_CHANGED
    if old.content != new.content:
        return ChangeKind.MODIFIED
    return None if old.kind is new.kind else ChangeKind.MODE_CHANGED


def make_change(
    path: bytes, old: DirectoryEntry | None, new: DirectoryEntry | None
) -> Change | None:
    """Returns the change of one path that is not a folder, or None when nothing changed."""
    kind = change_kind(old, new)
    return None if kind is None else Change(path, kind, old, new)


Pair = tuple["DirectoryEntry | None", "DirectoryEntry | None"]


def diff_trees(
    source: SnapshotSource,
    old: ObjectId | None,
    new: ObjectId | None,
    *,
    path: bytes = b"",
    time_ns: int = UNKNOWN_TIME,
) -> Iterator[Change]:
    """Yields what differs between two trees; None stands for an empty one.

    Args:
        source: Where the trees are read.
        old: The tree before.
        new: The tree after.
        path: Where the two stand; put before each path.
        time_ns: Time for indexes that have to be built.
    """
    if old == new:
        return

    def pairs(left: ObjectId | None, right: ObjectId | None) -> Iterator[Pair]:
        return _pairs(
            None if left is None else source.directory(left, time_ns=time_ns),
            None if right is None else source.directory(right, time_ns=time_ns),
        )

    stack = [(path + b"/" if path else b"", pairs(old, new))]
    while stack:
        prefix, rows = stack[-1]
        for before, after in rows:
            where = prefix + _name(before, after)
            change = make_change(where, _leaf(before), _leaf(after))
            if change is not None:
                yield change
            left, right = _tree(before), _tree(after)
            if left != right:  # D1
                stack.append((where + b"/", pairs(left, right)))
                break
        else:
            stack.pop()


def diff_entries(
    source: SnapshotSource, path: bytes, old: DirectoryEntry | None, new: DirectoryEntry | None
) -> Iterator[Change]:
    """Yields what differs between two entries of one path, and below it."""
    change = make_change(path, _leaf(old), _leaf(new))
    if change is not None:
        yield change
    yield from diff_trees(source, _tree(old), _tree(new), path=path)


def _name(before: DirectoryEntry | None, after: DirectoryEntry | None) -> bytes:
    entry = before or after
    assert entry is not None, "a pair has at least one side"
    return entry.name


def _leaf(entry: DirectoryEntry | None) -> DirectoryEntry | None:
    return None if entry is None or entry.is_directory else entry


def _tree(entry: DirectoryEntry | None) -> ObjectId | None:
    return ObjectId(entry.content) if entry is not None and entry.is_directory else None


def _pairs(old: DirectoryIndex | None, new: DirectoryIndex | None) -> Iterator[Pair]:
    """Merges two sorted listings; entries that are equal are left out."""
    left = iter(old) if old is not None else iter(())
    right = iter(new) if new is not None else iter(())
    one, two = next(left, None), next(right, None)
    while one is not None or two is not None:
        if two is None or (one is not None and one.name < two.name):
            yield one, None
            one = next(left, None)
        elif one is None or two.name < one.name:
            yield None, two
            two = next(right, None)
        else:
            if one != two:
                yield one, two
            one, two = next(left, None), next(right, None)
