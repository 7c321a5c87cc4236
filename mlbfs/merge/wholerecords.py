"""Merges whole records: of a line, told apart by all of its bytes, or of another form.

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
    from collections.abc import Callable, Iterable

    from mlbfs.merge.driver import MergeCall, MergeResult
    from mlbfs.merge.lines import Block

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
    return merge_counted(
        call, writer, lambda side: iter_blocks(call, side, front), record_of, check
    )


def merge_counted(
    call: MergeCall,
    writer: PieceWriter,
    blocks: Callable[[Side], Iterable[Block]],
    identity: Callable[[bytes], bytes | None],
    check: Check,
) -> MergeResult:
    """Merges records by how often each side has them.

    Args:
        call: The versions.
        writer: Where the merged records go, behind what it has.
        blocks: Returns the records of a side.
        identity: As `RecordCount` takes it.
        check: As `merge_records` takes it.
    """
    with RecordCount(call.scratch / "records", blocks, identity) as count:
        count.compare()
        for line in count.differing(Side.OURS):
            if count.take_removed(line.data):
                writer.keep(line.start)
                writer.skip(line.stop)
            elif identity(line.data) is not None:
                check(line.data, f"{Side.OURS}, byte {line.start}")
        writer.keep_rest()
        added = 0
        for line in count.differing(Side.THEIRS):
            if count.take_added(line.data):
                check(line.data, f"{Side.THEIRS}, byte {line.start}")
                writer.add(Side.THEIRS, line)
                added += 1
    return writer.result([], note=came_in(added))


def record_of(line: bytes) -> bytes | None:
    """Returns the record on a line, without what ends it; None for an empty line."""
    return line.rstrip(b"\r\n") if line.strip() else None
