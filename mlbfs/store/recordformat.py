"""The record of a pack: its header, its checksum and the rules a reader checks. Pure.

Every integer is little-endian. A record is its header followed by the stored bytes:

    offset  size  type      field
    0       4     bytes     magic, "MREC"
    4       1     u8        kind (`RecordKind`)
    5       1     u8        codec (`codec.Codec`)
    6       2     u16       zero
    8       4     u32       plain length; at most `max_plain_length(kind)`
    12      4     u32       stored length; equal to the plain length if raw, else less
    16      32    bytes     id (chunk and node: BLAKE3-256 of the plain bytes; root: file id)
    48      8     u64       XXH3-64 of bytes 0..48 followed by the stored bytes
    56      n     bytes     stored bytes

Owns: the byte table above (docs/format/record-v1.md is normative) and the status codes of the
kernels that read.
Layer: store. Imports leaves and codec.

Invariants:
  R1. Every length is checked against the limits before memory is taken for it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

import xxhash

from mlbfs.limits import KIB, MAX_CHUNK_SIZE, MIB
from mlbfs.store.codec import Codec

RECORD_MAGIC = b"MREC"
RECORD_HEADER_SIZE = 56
CHECKSUM_OFFSET = 48
ID_SIZE = 32

MAX_RECIPE_RECORD = 1 * MIB
"""Longest plain payload of a recipe node or root. Part of the format; readers refuse more."""

REFERENCE_SIZE = 16 * KIB
"""Raw payloads from here on are written from where they lie instead of being copied behind their
header first. Shorter ones are copied: two more writes for each would cost more. No part of the
format."""

MAX_RECORD_SIZE = RECORD_HEADER_SIZE + MAX_RECIPE_RECORD
"""Longest record of any kind; stored bytes are never longer than plain ones."""

MAX_PACK_OFFSET = 1 << 62
"""Larger offsets cannot be of a pack; refusing them keeps sums of offset and length exact."""

_HEADER = struct.Struct("<4sBBHII32s")
_CHECKSUM = struct.Struct("<Q")


class RecordKind(IntEnum):
    """What a record holds."""

    CHUNK = 1
    RECIPE_NODE = 2
    RECIPE_ROOT = 3


class ReadStatus(IntEnum):
    """Result of reading or decoding a record; a negative number is -errno."""

    OK = 0
    WOULD_BLOCK = 1
    TRUNCATED = 2
    BAD_HEADER = 3
    BAD_CHECKSUM = 4
    BAD_PAYLOAD = 5


class FileStatus(IntEnum):
    """Result of reading one input file; a negative number is -errno."""

    OK = 0
    CHANGED = 1
    NOT_REGULAR = 2


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """The header of one record, already checked for consistency."""

    kind: RecordKind
    codec: Codec
    plain_length: int
    stored_length: int
    id32: bytes
    checksum: int

    @property
    def record_length(self) -> int:
        """Bytes of the whole record."""
        return RECORD_HEADER_SIZE + self.stored_length


def max_plain_length(kind: int) -> int:
    """Returns the longest plain payload of a record of this kind."""
    return MAX_CHUNK_SIZE if kind == RecordKind.CHUNK else MAX_RECIPE_RECORD


def stays_in_place(codec: int, plain_length: int) -> bool:
    """Whether a payload is written from where it lies, behind a header that was made alone."""
    return codec == Codec.RAW and plain_length >= REFERENCE_SIZE


def encode_record_parts(
    kind: int, codec: int, plain_length: int, id32: bytes, stored: bytes
) -> bytes:
    """Returns a whole record made of a header with checksum, and the stored bytes."""
    head = _HEADER.pack(RECORD_MAGIC, kind, codec, 0, plain_length, len(stored), id32)
    return b"".join((head, _CHECKSUM.pack(record_checksum(head, stored)), stored))


def record_checksum(head: bytes | memoryview, stored: bytes | memoryview) -> int:
    """Returns the checksum of the first 48 header bytes and the stored bytes."""
    state = xxhash.xxh3_64(head[:CHECKSUM_OFFSET])
    state.update(stored)
    return state.intdigest()


def parse_record_header(data: bytes | memoryview) -> RecordHeader | None:
    """Parses the first 56 bytes of a record.

    Returns:
        The header, or None if any field breaks a rule of the format. The checksum is not verified
        here, for that needs the stored bytes.
    """
    if len(data) < RECORD_HEADER_SIZE:
        return None
    magic, kind, codec, zero, plain, stored, id32 = _HEADER.unpack_from(data)
    (checksum,) = _CHECKSUM.unpack_from(data, CHECKSUM_OFFSET)
    if magic != RECORD_MAGIC or zero != 0:
        return None
    if not RecordKind.CHUNK <= kind <= RecordKind.RECIPE_ROOT or codec > max(Codec):
        return None
    if plain > max_plain_length(kind):  # R1
        return None
    if not (stored == plain if codec == Codec.RAW else stored < plain):
        return None
    return RecordHeader(RecordKind(kind), Codec(codec), plain, stored, id32, checksum)
