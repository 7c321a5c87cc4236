"""Keeps a database and the files beside it together.

Owns: that the log of one side never comes to lie beside the database of the other.
Layer: merge.

SQLite plays a `-wal` or `-journal` file into whatever database lies beside it, and a log of other
pages destroys it (https://www.sqlite.org/howtocorrupt.html). By their ids alone, a tree merge may
take the one from ours and the other from theirs; that is a conflict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.git.objects import object_id
from mlbfs.merge.conflicts import ConflictKind
from mlbfs.merge.plan import StructureConflict
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlbfs.merge.plan import Plan
    from mlbfs.merge.trees import Entry

    Find = Callable[[Side, bytes], Entry | None]

SIDECARS = (b"-wal", b"-journal")
"""What SQLite appends to the name of a database for files that hold a part of it."""

_EMPTY_BLOB = object_id("blob", b"")


def may_have_sidecars(tree: bytes) -> bool:
    """Whether a tree, as it is stored, may have a name that ends as those files do."""
    return any(ending + b"\0" in tree for ending in SIDECARS)


def hold_split_databases(plan: Plan, find: Find) -> None:
    """Turns changes that would take a database apart into conflicts.

    Args:
        plan: What a merge comes to; changed.
        find: Returns what a side has at a path.
    """
    taken = {change.path for change in plan.changes}
    merged = {file.path for file in plan.files}
    held = {path for path in taken if _is_split(path, taken, merged, find)}
    plan.changes = [change for change in plan.changes if change.path not in held]
    for path in sorted(held):
        base, ours, theirs = (find(side, path) for side in Side)
        kind = ConflictKind.SPLIT_DATABASE
        plan.conflicts.append(StructureConflict(path, kind, base, ours, theirs, path, path))


def _is_split(path: bytes, taken: set[bytes], merged: set[bytes], find: Find) -> bool:
    """Whether theirs comes to lie at a path, and ours stays beside it."""
    for ending in SIDECARS:
        if path.endswith(ending):
            database = path.removesuffix(ending)
            there = find(Side.OURS, database) is not None
            kept = there and database not in taken and database not in merged
            return kept and _differ(database, find)
    beside = [path + ending for ending in SIDECARS]
    return any(one not in taken and _differ(one, find) for one in beside)


def _differ(path: bytes, find: Find) -> bool:
    return _content(find(Side.OURS, path)) != _content(find(Side.THEIRS, path))


def _content(entry: Entry | None) -> Entry | None:
    """Returns an entry; an empty file is as good as none."""
    return None if entry is None or entry.id == _EMPTY_BLOB else entry
