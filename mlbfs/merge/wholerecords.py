"""Merges records by line, told apart by all of their bytes.

Owns: that merge: ours without what theirs took away, then what theirs added; what both did is done
once.
Layer: merge.

Memory is bounded. Records that all three versions have are not looked into.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.merge.lines import common_prefix, iter_blocks, newline_of
from mlbfs.merge.pieces import PieceWriter
from mlbfs.merge.recordcount import RecordCount, came_in
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlbfs.merge.driver import MergeCall, MergeResult

    Check = Callable[[bytes, str], object]


def merge_records(call: MergeCall, check: Check, front: int | None = None) -> MergeResult:
    """Merges the lines of both sides behind the front that all versions share.

    Args:
        call: The versions.
        check: Takes a record and where it lies, and raises an error if it is none.
        front: Length of that front, if it is known.
    """
    front = common_prefix(call) if front is None else front
    writer = PieceWriter(call, front, newline_of(call, Side.OURS))
    with RecordCount(call.scratch / "records", record_of) as count:
        count.compare([iter_blocks(call, side, front) for side in Side])
        for line in count.differing(Side.OURS, iter_blocks(call, Side.OURS, front)):
            if count.take_removed(line.data):
                writer.keep(line.start)
                writer.skip(line.stop)
            elif record_of(line.data) is not None:
                check(line.data, f"{Side.OURS}, byte {line.start}")
        writer.keep_rest()
        added = 0
        for line in count.differing(Side.THEIRS, iter_blocks(call, Side.THEIRS, front)):
            if count.take_added(line.data):
                check(line.data, f"{Side.THEIRS}, byte {line.start}")
                writer.add(Side.THEIRS, line)
                added += 1
    return writer.result([], note=came_in(added))


def record_of(line: bytes) -> bytes | None:
    """Returns the record on a line, without what ends it; None for an empty line."""
    return line.rstrip(b"\r\n") if line.strip() else None
