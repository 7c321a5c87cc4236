"""What a named driver says of a conflict that is not about content.

A driver merges two versions of one file. Where a side has none, or something that is no file, only
the drivers whose meaning is as clear there may decide: those that name a side.

Owns: that list. Layer: merge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.merge.conflicts import ConflictKind
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from mlbfs.merge.driver import DriverChoice, Inputs
    from mlbfs.merge.plan import StructureConflict


def settle(found: StructureConflict, choice: DriverChoice, inputs: Inputs) -> Side | None:
    """Returns the side that a driver takes, or None where a person has to decide.

    `union` and `keep-both` keep what one side deleted and the other changed: nothing that somebody
    worked on since is lost. `overwrite` does not: that theirs deleted a model is no newer model.
    """
    match choice.name:
        case "ours":
            return Side.OURS
        case "theirs":
            return Side.THEIRS
        case "newest":
            return _newest(found, inputs)
        case "union" | "keep-both" if found.kind is ConflictKind.DELETED_MODIFIED:
            return Side.THEIRS if found.ours is None else Side.OURS
        case _:
            return None


def _newest(found: StructureConflict, inputs: Inputs) -> Side:
    """Returns the side that changed its path last; ours where that was at the same second."""
    ours = inputs.changed_at(Side.OURS, found.ours_path)
    theirs = inputs.changed_at(Side.THEIRS, found.theirs_path)
    return Side.THEIRS if theirs > ours else Side.OURS
