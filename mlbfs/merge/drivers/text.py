"""Driver `text`: code and documents, merged by lines as Git does it.

Layer: merge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.git.textmerge import merge_text
from mlbfs.merge.conflicts import Conflict, ConflictKind
from mlbfs.merge.driver import Data, MergeResult
from mlbfs.merge.drivers.sides import Binary
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from mlbfs.merge.driver import MergeCall

MAX_SIZE = 64 << 20
"""Longest version that is merged by lines: several copies of it are in memory at once."""


class Text:
    """Merges lines; where both sides changed the same ones, both are shown between markers."""

    name = "text"

    def merge(self, call: MergeCall) -> MergeResult:
        """Merges by lines. A version that is no text, or very long, is a conflict of its own."""
        call.choice.check_options()
        if not _is_short(call):
            return Binary().merge(call)
        base, ours, theirs = (call.read(side) for side in Side)
        if any(b"\0" in data for data in (base, ours, theirs)):
            return Binary().merge(call)
        merged = merge_text(
            base,
            ours,
            theirs,
            labels=(call.labels[Side.BASE], call.labels[Side.OURS], call.labels[Side.THEIRS]),
            style=call.style,
            marker_size=call.marker_size,
        )
        if merged.is_clean:
            return MergeResult(Data(merged.data))
        return MergeResult(Data(merged.data), (_conflict(call, merged.data),))


def _is_short(call: MergeCall) -> bool:
    versions = (call.base, call.ours, call.theirs)
    return all(version is None or version.size <= MAX_SIZE for version in versions)


def _conflict(call: MergeCall, merged: bytes) -> Conflict:
    marker = b"<" * call.marker_size + b" "
    lines = [
        number for number, line in enumerate(merged.split(b"\n"), 1) if line.startswith(marker)
    ]
    count = "in one place" if len(lines) == 1 else f"in {len(lines)} places"
    return Conflict(
        call.path,
        ConflictKind.ADDED_TWICE if call.base is None else ConflictKind.CONTENT,
        f"both sides changed the same lines {count}",
        where=", ".join(f"line {number}" for number in lines[:10]),
    )
