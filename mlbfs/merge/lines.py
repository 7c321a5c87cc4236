"""Lines of the three versions of a file, and how far the three are the same.

Owns: what a line is, and the prefix that needs no look at its records.
Layer: merge.

Memory: some megabytes, and the longest line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.merge.driver import MergeCall

STEP = 4 << 20
BOM = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """One line of one side.

    Attributes:
        start: Where it begins.
        stop: Where it ends, with its newline.
        data: Its bytes without newline and carriage return.
    """

    start: int
    stop: int
    data: bytes


def common_prefix(call: MergeCall) -> int:
    """Returns how many bytes at the front all three versions share, in whole lines.

    A last line without a newline does not count: the next record may have been written behind it.
    """
    streams = [call.stream(side) for side in Side]
    length = whole = 0
    while True:
        parts = [stream.read(STEP) for stream in streams]
        shortest = min(map(len, parts))
        same = _same_length(parts, shortest)
        newline = parts[0].rfind(b"\n", 0, same)
        if newline >= 0:
            whole = length + newline + 1
        length += same
        if same < STEP:
            return whole


def _same_length(parts: list[bytes], limit: int) -> int:
    """Returns how many bytes at the front are the same in all parts."""
    first, *others = parts
    if all(first[:limit] == other[:limit] for other in others):
        return limit
    low, high = 0, limit  # the same up to low, not up to high
    while high - low > 1:
        middle = (low + high) // 2
        if all(first[low:middle] == other[low:middle] for other in others):
            low = middle
        else:
            high = middle
    return low


def iter_lines(call: MergeCall, side: Side, start: int) -> Iterator[Line]:
    """Yields the lines of a side from an offset on; a byte order mark is part of none."""
    at = start
    for line in call.stream(side, start):
        stop = at + len(line)
        if at == 0 and line.startswith(BOM):
            at, line = len(BOM), line.removeprefix(BOM)
        if line:
            yield Line(at, stop, line.rstrip(b"\r\n"))
        at = stop


def newline_of(call: MergeCall, side: Side) -> bytes:
    """Returns what ends the first line of a side: carriage return and newline, or a newline."""
    with call.stream(side) as stream:
        return b"\r\n" if stream.readline(STEP).endswith(b"\r\n") else b"\n"
