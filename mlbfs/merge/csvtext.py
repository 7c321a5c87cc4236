"""CSV as bytes: records with their place, fields, and the way a file writes them.

Owns: where a record ends, which character separates fields, and what makes a record malformed.
Layer: merge.

A record ends at a newline outside of quotes (RFC 4180). Bytes that are not UTF-8 come through as
they are.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbfs.merge.lines import STEP, Block, iter_blocks, iter_lines
from mlbfs.merge.unmergeable import UnmergeableError
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlbfs.merge.driver import MergeCall
    from mlbfs.merge.lines import Line

_QUOTE = b'"'
_BOM = "\ufeff"
_MAX_RECORD = 64 << 20
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
"""What `delimiter=` may name; also what is looked for, the first of equals wins."""

csv.field_size_limit(_MAX_RECORD)  # the limit of the process; its default refuses long texts


class MalformedCsvError(UnmergeableError):
    """A version is no CSV.

    Attributes:
        where: The side and the byte at which the record begins.
    """


@dataclass(frozen=True, slots=True)
class CsvForm:
    """How a file writes its records.

    Attributes:
        delimiter: What separates fields.
        newline: What ends a record.
    """

    delimiter: str
    newline: bytes

    def parse(self, data: bytes, where: str) -> list[str]:
        """Returns the fields of one record.

        Raises:
            MalformedCsvError: It is none.
        """
        text = data.decode("utf-8", "surrogateescape")
        try:
            rows = list(
                csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter, strict=True)
            )
        except csv.Error as err:
            raise MalformedCsvError(str(err), where) from err
        if len(rows) != 1:
            raise MalformedCsvError("a carriage return in the middle of a record", where)
        return rows[0]

    def render(self, fields: Sequence[str]) -> bytes:
        """Returns a record without what ends it."""
        file = io.StringIO(newline="")
        # Up to Python 3.12 only characters of the terminator are quoted, not every newline.
        csv.writer(file, delimiter=self.delimiter, lineterminator="\r\n").writerow(fields)
        return file.getvalue().removesuffix("\r\n").encode("utf-8", "surrogateescape")


def form_of(call: MergeCall) -> CsvForm:
    """Returns the form of ours: of its first record, or what `delimiter=` says.

    Raises:
        MalformedCsvError: The first record has no end.
    """
    first = next(iter_records(call, Side.OURS, 0), None)
    if first is None:
        return CsvForm(_delimiter(call, b""), b"\n")
    end = call.open(Side.OURS).read(first.stop - 2, 2) if first.stop >= 2 else b""
    return CsvForm(_delimiter(call, first.data), b"\r\n" if end == b"\r\n" else b"\n")


def _delimiter(call: MergeCall, first: bytes) -> str:
    named = DELIMITERS.get(call.choice.option("delimiter") or "")
    if named is not None:
        return named
    if call.path.lower().endswith(b".tsv"):
        return "\t"
    bare = b"".join(first.split(_QUOTE)[::2])  # what stands outside of quotes
    return max(DELIMITERS.values(), key=lambda one: bare.count(one.encode()))


def names_of(fields: Sequence[str]) -> list[str]:
    """Returns the names of columns that a first record gives; a byte order mark is no part."""
    return [name.removeprefix(_BOM) if not at else name for at, name in enumerate(fields)]


def iter_records(call: MergeCall, side: Side, start: int) -> Iterator[Line]:
    """Yields the records of a side from an offset on, which is the beginning of one.

    Raises:
        MalformedCsvError: A quote is never closed, or there are NUL bytes.
    """
    for block in iter_record_blocks(call, side, start):
        yield from block.lines()


def iter_record_blocks(call: MergeCall, side: Side, start: int) -> Iterator[Block]:
    """Yields the records of a side from an offset on, which is the beginning of one, in blocks.

    Raises:
        MalformedCsvError: A quote is never closed, or there are NUL bytes.
    """
    begun: list[bytes] = []  # lines of a record with a quote that is not closed yet
    begin = start
    for block in iter_blocks(call, side, start):
        if not begun:
            begin = block.start
        records, begun, has_nul = _join_quoted(begun, block.records)
        found = Block(begin, records, block.ends_line or bool(begun))
        if has_nul:
            raise MalformedCsvError("a NUL byte in a record", _place_of_nul(found, side))
        if records:
            yield found
            begin = found.stop
        if begun and block.stop - begin > _MAX_RECORD:
            break
    if begun:
        raise MalformedCsvError("a quote that is not closed", f"{side}, byte {begin}")


def _join_quoted(begun: list[bytes], lines: list[bytes]) -> tuple[list[bytes], list[bytes], bool]:
    """Returns records, the lines of one that is not at its end, and whether there are NUL bytes."""
    text = b"\n".join(lines)
    has_nul = b"\0" in text
    if not begun and _QUOTE not in text:
        return lines, [], has_nul
    records = []
    for line in lines:
        begun.append(line)
        if line.count(_QUOTE) % 2 == (len(begun) > 1):
            records.append(b"\n".join(begun))
            begun = []
    return records, begun, has_nul


def _place_of_nul(block: Block, side: Side) -> str:
    starts = (line.start for line in block.lines() if b"\0" in line.data)
    return f"{side}, byte {next(starts, block.stop)}"


def record_front(call: MergeCall, front: int) -> int:
    """Returns how much of a common front is whole records: a newline may stand inside of quotes."""
    quotes = 0
    with call.stream(Side.OURS) as stream:
        left = front
        while left and (data := stream.read(min(left, STEP))):
            quotes += data.count(_QUOTE)
            left -= len(data)
    if quotes % 2 == 0:
        return front
    whole = quotes = 0
    for line in iter_lines(call, Side.OURS, 0):
        if line.stop > front:
            break
        quotes += line.data.count(_QUOTE)
        if quotes % 2 == 0:
            whole = line.stop
    return whole
