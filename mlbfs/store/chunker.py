"""Content-defined chunking: the parameters of the cut rule and the rule itself, in Python.

A gear hash rolls over the bytes: `h = (2 * h + GEAR[byte]) mod 2**64`. What a byte adds is
shifted out after 64 more bytes, so the hash at a position is a function of the 64 bytes before it
and of nothing else. A chunk that begins at `s` ends at the first position `p` for which

    MIN    <= p - s < TARGET  and  hash(p) < STRICT_LIMIT, or
    TARGET <= p - s < MAX     and  hash(p) < LOOSE_LIMIT,  or
    p - s == MAX,             or  p is the end of the data.

A hash below a limit of `2**(64 - n)` has its `n` top bits clear, which are the ones that depend
on the most bytes; a strict cut is also a loose one. Because MIN is more than 64, the hash never
looks back over a chunk start. That makes the rule local: a scan may begin 64 bytes before any
position, skip the first MIN bytes of each chunk, or run in several lanes at once, and cuts fall
at the same places.

Owns: the gear table and the limits. They are part of the format (docs/format/chunking-v1.md);
changing one breaks deduplication against everything stored before.
Layer: store. Imports limits.
"""

from __future__ import annotations

import hashlib
from typing import Final

from mlbfs.limits import MAX_CHUNK_SIZE, MIN_CHUNK_SIZE, TARGET_CHUNK_SIZE

GEAR_LABEL: Final = b"mlbfs gear v1"
"""Seed of the gear table; any fixed string would do, a change is a new format."""

HASH_WINDOW: Final = 64
"""Bytes the hash depends on: one per bit of its width."""

STRICT_BITS: Final = 18
LOOSE_BITS: Final = 14
"""Two bits more and two less than log2(TARGET): normalization level 2 of the FastCDC paper, which
keeps most chunks near the target and leaves almost none to the forced cut at MAX."""

STRICT_LIMIT: Final = 1 << (64 - STRICT_BITS)
LOOSE_LIMIT: Final = 1 << (64 - LOOSE_BITS)

_MASK64: Final = (1 << 64) - 1


def make_gear() -> tuple[int, ...]:
    """Returns the gear table: 256 numbers of 64 bits.

    Entry `i` is the first eight bytes, little-endian, of SHA-256 over the label and the byte `i`.
    """
    digests = (hashlib.sha256(GEAR_LABEL + bytes([i])).digest() for i in range(256))
    return tuple(int.from_bytes(digest[:8], "little") for digest in digests)


GEAR: Final = make_gear()


def next_cut(data: memoryview, start: int, *, final: bool) -> int | None:
    """Returns the end of the chunk that begins at `start`.

    Args:
        data: The bytes, of which `start` is a chunk start.
        start: Where the chunk begins; less than `len(data)`.
        final: Whether the data ends here. If not, more bytes follow.

    Returns:
        The end offset, or None when it depends on bytes that are not here yet.
    """
    end = min(len(data), start + MAX_CHUNK_SIZE)
    cut = _scan(data, start, end)
    if cut is not None:
        return cut
    return end if final or end - start == MAX_CHUNK_SIZE else None


def _scan(data: memoryview, start: int, end: int) -> int | None:
    """Returns the first position of [start + MIN, end] whose hash says cut."""
    first = start + MIN_CHUNK_SIZE
    if first > end:
        return None
    gear, mask = GEAR, _MASK64
    value = 0
    for byte in data[first - HASH_WINDOW : first]:
        value = ((value << 1) + gear[byte]) & mask
    limit, switch = STRICT_LIMIT, start + TARGET_CHUNK_SIZE
    if value < limit:
        return first
    for position, byte in enumerate(data[first:end], first + 1):
        value = ((value << 1) + gear[byte]) & mask
        if value < LOOSE_LIMIT and (value < limit or position >= switch):
            return position
    return None
