"""Pack files: header, records, table of records, trailer. Pure.

Little-endian. The page docs/format/pack-v1.md is normative; the tables are repeated here.

Header, 16 bytes:

    ==  ====  =======================================================
    0   8     magic "mlbfspak"
    8   u32   version, 1
    12  u32   flags, 0
    ==  ====  =======================================================

Records (recordformat.py) follow one another without gaps.

Table, one entry of 56 bytes per record, in the order of the records:

    ==  ====  =======================================================
    0   32    id
    32  u64   offset of the record in the file
    40  u32   record_len: 56 + stored_len
    44  u32   plain_len
    48  u8    kind
    49  u8    codec
    50  u16   zero
    52  u32   zero
    ==  ====  =======================================================

Trailer, the last 64 bytes of the file:

    ==  ====  =======================================================
    0   32    pack id: BLAKE3-256 of the table
    32  u64   table_len
    40  u32   count: number of records
    44  u32   version, 1
    48  u64   XXH3-64 of bytes 0..48
    56  8     magic "mlbfsend"
    ==  ====  =======================================================

Layer: store. Imports the leaves and recordformat.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import xxhash
from blake3 import blake3

from mlbfs.errors import ErrorKind, FormatError, FormatVersionError
from mlbfs.ids import PackId
from mlbfs.store.recordformat import RECORD_HEADER_SIZE, RecordKind, max_plain_length

MAGIC = b"mlbfspak"
END_MAGIC = b"mlbfsend"
VERSION = 1

HEADER = struct.Struct("<8sII")
TABLE_ENTRY = struct.Struct("<32sQIIBBHI")
TRAILER = struct.Struct("<32sQIIQ8s")
_CHECKED_TRAILER_SIZE = 48
_KINDS = frozenset(int(kind) for kind in RecordKind)


class PackRecord(NamedTuple):
    """One line of a pack's table."""

    id: bytes
    offset: int
    record_len: int
    plain_len: int
    kind: int
    codec: int


class Trailer(NamedTuple):
    """The end of a pack file."""

    pack_id: PackId
    table_len: int
    records: int


def encode_header() -> bytes:
    """Returns the first bytes of a pack."""
    return HEADER.pack(MAGIC, VERSION, 0)


def encode_footer(records: list[tuple[bytes, int, int, int, int, int]]) -> tuple[PackId, bytes]:
    """Returns the pack id and the table and trailer of a pack.

    Args:
        records: (id, offset, record_len, plain_len, kind, codec) in the order of the file.
    """
    pack = TABLE_ENTRY.pack
    table = b"".join([pack(*record, 0, 0) for record in records])
    pack_id = blake3(table).digest()
    head = TRAILER.pack(pack_id, len(table), len(records), VERSION, 0, END_MAGIC)
    checked = head[:_CHECKED_TRAILER_SIZE]
    checksum = xxhash.xxh3_64_intdigest(checked).to_bytes(8, "little")
    return PackId(pack_id), table + checked + checksum + END_MAGIC


def parse_trailer(data: bytes) -> Trailer:
    """Parses the last `TRAILER.size` bytes of a pack.

    Raises:
        FormatError: They are not those of a finished pack.
        FormatVersionError: The pack is of a version that this mlbfs does not read.
    """
    if len(data) != TRAILER.size:
        raise damaged("the file is too short")
    pack_id, table_len, count, version, checksum, magic = TRAILER.unpack(data)
    if magic != END_MAGIC or xxhash.xxh3_64_intdigest(data[:_CHECKED_TRAILER_SIZE]) != checksum:
        raise damaged("the file does not end like a finished pack")
    if version > VERSION:
        raise FormatVersionError(f"the pack has format {version}", hint="update mlbfs")
    if version != VERSION or table_len != count * TABLE_ENTRY.size:
        raise damaged(f"{count} records do not fit a table of {table_len} bytes")
    return Trailer(PackId(pack_id), table_len, count)


def parse_table(table: bytes, trailer: Trailer, file_size: int) -> list[PackRecord]:
    """Parses a table and proves that its records fill the file without gaps.

    Raises:
        FormatError: The table does not match its id, or a record does not fit.
    """
    if len(table) != trailer.table_len or blake3(table).digest() != trailer.pack_id:
        raise damaged("the table of records does not match the pack id")
    records: list[PackRecord] = []
    at = HEADER.size
    for rid, offset, record_len, plain_len, kind, codec, zero, more in TABLE_ENTRY.iter_unpack(
        table
    ):
        if offset != at or record_len < RECORD_HEADER_SIZE or kind not in _KINDS or zero or more:
            raise damaged(f"record {len(records)} of the table is not valid")
        if plain_len > max_plain_length(kind):
            raise damaged(f"record {len(records)} is longer than its kind may be")
        records.append(PackRecord(rid, offset, record_len, plain_len, kind, codec))
        at += record_len
    if at + trailer.table_len + TRAILER.size != file_size:
        raise damaged(f"records end at {at}, which does not fit a file of {file_size} bytes")
    return records


def damaged(what: str) -> FormatError:
    """Returns the error for bytes that are not those of a pack."""
    return FormatError(what, kind=ErrorKind.CORRUPT_PACK, hint="run 'mlbfs fsck'")
