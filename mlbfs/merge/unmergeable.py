"""What a driver says of a version that it cannot merge.

Owns: the error that becomes a conflict.
Layer: merge. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.errors import FormatError
from mlbfs.merge.conflicts import Conflict, ConflictKind
from mlbfs.merge.driver import MergeResult, Take
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from mlbfs.merge.driver import MergeCall


class UnmergeableError(FormatError):
    """A version cannot be merged: it is malformed, or of a kind that is refused by name.

    Attributes:
        where: The side, and the place in it.
        conflict_kind: What sort of conflict that is.
    """

    def __init__(
        self, message: str, where: str, conflict_kind: ConflictKind = ConflictKind.MALFORMED
    ) -> None:
        super().__init__(message)
        self.where = where
        self.conflict_kind = conflict_kind

    def result(self, call: MergeCall) -> MergeResult:
        """Returns the conflict that it is; both versions stay as they are."""
        conflict = Conflict(call.path, self.conflict_kind, self.message, where=self.where)
        return MergeResult(Take(Side.OURS), (conflict,))
