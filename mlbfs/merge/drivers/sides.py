"""Drivers that take one side as it is: `ours`, `theirs`, `newest`; and `binary`, which takes none.

Layer: merge. They read nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.merge.conflicts import Conflict, ConflictKind
from mlbfs.merge.driver import MergeResult, Take
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from mlbfs.merge.driver import MergeCall


class Ours:
    """Keeps what the branch that is merged into has."""

    name = "ours"

    def merge(self, call: MergeCall) -> MergeResult:
        """Returns ours."""
        call.choice.check_options()
        return MergeResult(Take(Side.OURS))


class Theirs:
    """Takes what comes in."""

    name = "theirs"

    def merge(self, call: MergeCall) -> MergeResult:
        """Returns theirs."""
        call.choice.check_options()
        return MergeResult(Take(Side.THEIRS))


class Newest:
    """Takes the side whose last commit to the path is newer; ours if they are of one second."""

    name = "newest"

    def merge(self, call: MergeCall) -> MergeResult:
        """Returns the newer side."""
        call.choice.check_options()
        ours = call.inputs.changed_at(Side.OURS, call.path)
        theirs = call.inputs.changed_at(Side.THEIRS, call.path)
        side = Side.THEIRS if theirs > ours else Side.OURS
        return MergeResult(Take(side), note=f"took {call.labels[side]}")


class Binary:
    """Merges nothing: a conflict that a person settles, as Git does for what is no text."""

    name = "binary"

    def merge(self, call: MergeCall) -> MergeResult:
        """Returns a conflict."""
        call.choice.check_options()
        kind = ConflictKind.ADDED_TWICE if call.base is None else ConflictKind.BINARY
        conflict = Conflict(
            call.path,
            kind,
            "both sides have other content, and it is of no kind that can be merged",
            base=None if call.base is None else call.base.content.hex(),
            ours=call.ours.content.hex(),
            theirs=call.theirs.content.hex(),
        )
        return MergeResult(Take(Side.OURS), (conflict,))
