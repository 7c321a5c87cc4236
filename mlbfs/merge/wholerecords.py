"""Merges records by line, told apart by all of their bytes.

Owns: that merge: ours without what theirs took away, then what theirs added; what both did is done
once.
Layer: merge.

Memory is bounded: records are counted in a database in the scratch folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.merge.lines import common_prefix, iter_lines, newline_of
from mlbfs.merge.pieces import PieceWriter
from mlbfs.merge.recordcount import RecordCount, came_in
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlbfs.merge.driver import MergeCall, MergeResult
    from mlbfs.merge.lines import Line

    Check = Callable[[bytes, str], object]


def merge_records(call: MergeCall, check: Check, front: int | None = None) -> MergeResult:
    """Merges the lines of both sides behind the front that all versions share.

    Args:
        call: The versions.
        check: Takes a record and where it lies, and raises an error if it is none.
        front: Length of that front, if it is known.
    """
    front = common_prefix(call) if front is None else front
    with RecordCount(call.scratch / "records") as count:
        for side in Side:
            count.add(side, (line.data for line in _records(call, side, front, check)))
        writer = PieceWriter(call, front, newline_of(call, Side.OURS))
        for line in iter_lines(call, Side.OURS, front):
            if not line.data.strip() or not count.take_removed(line.data):
                writer.add(Side.OURS, line)
        added = 0
        for line in iter_lines(call, Side.THEIRS, front):
            if line.data.strip() and count.take_added(line.data):
                writer.add(Side.THEIRS, line)
                added += 1
    return writer.result([], note=came_in(added))


def _records(call: MergeCall, side: Side, front: int, check: Check) -> Iterator[Line]:
    """Yields the lines of a side that are records, each checked."""
    for number, line in enumerate(iter_lines(call, side, front), 1):
        if line.data.strip():
            if side is not Side.BASE:
                check(line.data, f"{side}, record {number} behind byte {front}")
            yield line
