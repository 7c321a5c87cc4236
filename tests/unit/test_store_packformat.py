"""Pack headers, tables and trailers."""

from __future__ import annotations

import pytest
import xxhash

from mlbfs.errors import FormatError, FormatVersionError
from mlbfs.store import packformat
from mlbfs.store.packformat import HEADER, TRAILER, PackRecord


def _records(count: int) -> list[PackRecord]:
    records, at = [], HEADER.size
    for number in range(count):
        record_len = 56 + number
        records.append(PackRecord(bytes([number]) * 32, at, record_len, number * 2, 1, 1))
        at += record_len
    return records


def _footer(records: list[PackRecord]) -> tuple[bytes, packformat.Trailer, int]:
    _, footer = packformat.encode_footer([tuple(record) for record in records])
    end = records[-1].offset + records[-1].record_len if records else HEADER.size
    table = footer[: -TRAILER.size]
    return table, packformat.parse_trailer(footer[-TRAILER.size :]), end + len(footer)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_table_comes_back_as_it_was(count: int) -> None:
    """Every field of every record."""
    table, trailer, size = _footer(_records(count))
    assert _records(count) == packformat.parse_table(table, trailer, size)


def test_a_gap_between_records_is_refused() -> None:
    """A reader must be able to account for every byte."""
    first, second = _records(2)
    table, trailer, size = _footer([first, second._replace(offset=second.offset + 1)])
    with pytest.raises(FormatError, match="record 1"):
        packformat.parse_table(table, trailer, size)


def test_a_file_of_another_length_is_refused() -> None:
    """The records and the footer fill the file."""
    table, trailer, size = _footer(_records(2))
    with pytest.raises(FormatError, match="does not fit"):
        packformat.parse_table(table, trailer, size + 1)


def test_a_record_longer_than_its_kind_may_be_is_refused() -> None:
    """Before anybody takes memory for it."""
    record = _records(1)[0]._replace(plain_len=2**20)
    table, trailer, size = _footer([record])
    with pytest.raises(FormatError, match="longer than its kind"):
        packformat.parse_table(table, trailer, size)


def _trailer(version: int = 1, count: int = 0) -> bytes:
    checked = TRAILER.pack(bytes(32), 0, count, version, 0, b"")[:48]
    checksum = xxhash.xxh3_64_intdigest(checked).to_bytes(8, "little")
    return checked + checksum + packformat.END_MAGIC


def test_a_newer_pack_is_refused_with_what_to_do() -> None:
    """It is not damaged, but too new."""
    with pytest.raises(FormatVersionError) as caught:
        packformat.parse_trailer(_trailer(version=2))
    assert caught.value.hint == "update mlbfs"


@pytest.mark.parametrize(
    "data", [b"", _trailer()[1:], _trailer()[:-1] + b"!", _trailer(count=1), _trailer(version=0)]
)
def test_something_else_is_no_trailer(data: bytes) -> None:
    """Too short, with another magic, or with numbers that do not fit."""
    with pytest.raises(FormatError):
        packformat.parse_trailer(data)
