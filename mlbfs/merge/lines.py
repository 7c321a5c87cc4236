"""Lines of the three versions of a file, and how far the three are the same.

Owns: what a line and a block of lines is, and the prefix that needs no look at its records.
Layer: merge.

Memory: some megabytes, and the longest line.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.git.alike import same_front
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from mlbfs.merge.driver import MergeCall

STEP = 4 << 20
BLOCK = 1 << 20
"""Bytes of a block; it has more if its last record is longer."""

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

    @property
    def ends_line(self) -> bool:
        """Whether there is a newline at its end."""
        return self.stop - self.start > len(self.data)


@dataclass(frozen=True, slots=True)
class Block:
    """Records of one side that follow each other; of most no value of its own is ever made.

    Attributes:
        start: Where the first begins.
        records: Their bytes, each without the newline that ends it.
        ends_line: Whether there is a newline at the end of the last; all others have one.
    """

    start: int
    records: list[bytes]
    ends_line: bool = True

    @property
    def stop(self) -> int:
        """Where the last record ends, with its newline."""
        length = sum(map(len, self.records)) + len(self.records)
        return self.start + length - (not self.ends_line)

    def lines(self) -> Iterator[Line]:
        """Yields the records with their places."""
        return self._lines_at(range(len(self.records)))

    def lines_among(self, wanted: Container[bytes]) -> Iterator[Line]:
        """Yields those of the records, with their places, that are wanted."""
        return self._lines_at([n for n, record in enumerate(self.records) if record in wanted])

    def _lines_at(self, numbers: Iterable[int]) -> Iterator[Line]:
        before = list(accumulate(map(len, self.records), initial=self.start))
        last = len(self.records) - 1
        for number in numbers:
            start, record = before[number] + number, self.records[number]
            stop = start + len(record) + (number < last or self.ends_line)
            yield Line(start, stop, record.rstrip(b"\r\n"))


def common_prefix(call: MergeCall) -> int:
    """Returns how many bytes at the front all three versions share, in whole lines.

    A last line without a newline does not count: the next record may have been written behind it.
    """
    streams = [call.stream(side) for side in Side]
    length = whole = 0
    while True:
        parts = [stream.read(STEP) for stream in streams]
        same = min(same_front(parts[0], other) for other in parts[1:])
        newline = parts[0].rfind(b"\n", 0, same)
        if newline >= 0:
            whole = length + newline + 1
        length += same
        if same < STEP:
            return whole


def iter_lines(call: MergeCall, side: Side, start: int) -> Iterator[Line]:
    """Yields the lines of a side from an offset on; a byte order mark is part of none."""
    for block in iter_blocks(call, side, start):
        yield from block.lines()


def iter_blocks(call: MergeCall, side: Side, start: int) -> Iterator[Block]:
    """Yields the lines of a side from an offset on, in blocks, without a byte order mark."""
    reader = call.open(side)
    begun: list[bytes] = []  # what there is of a line whose end has not been read
    at = offset = start
    if start == 0 and reader.read(0, len(BOM)) == BOM:
        at = offset = len(BOM)
    while data := reader.read(offset, BLOCK):
        offset += len(data)
        end = data.rfind(b"\n") + 1
        if end:
            records = b"".join([*begun, data[: end - 1]]).split(b"\n")
            yield Block(at, records)
            at, begun = offset - len(data) + end, []
        begun.append(data[end:])
    if offset > at:
        yield Block(at, [b"".join(begun)], ends_line=False)


def newline_of(call: MergeCall, side: Side) -> bytes:
    """Returns what ends the first line of a side: carriage return and newline, or a newline."""
    with call.stream(side) as stream:
        return b"\r\n" if stream.readline(STEP).endswith(b"\r\n") else b"\n"
