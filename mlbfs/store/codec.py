"""Codecs of stored bytes: their numbers, the byte-plane transform and the choice by sampling.

The planes of width `w` are the bytes at positions 0, w, 2w ..., then those at 1, w+1 ..., and so
on; a rest of less than `w` bytes follows as it is. Numbers of one type put their exponents in one
plane and the noise of their mantissas in the others, and an entropy coder gains on the first only
if it need not share a table with the second. So the encoder flushes a block after each plane.

The choice is made on a sample of at most 4 KiB, in integers, so that every implementation makes
the same one. Whether to try at all is told by how often two bytes of a plane agree: the Renyi
entropy of order 2, whose estimate has no bias even in planes of a few hundred bytes and which
never exceeds Shannon's. If it is near 8 bits at every width the chunk stays raw. Otherwise the
width with the least order-0 entropy after Shannon is taken, and a piece of the chunk compressed
both ways decides between it and plain zstd. What is not seen: repeats of high-entropy bytes inside
one chunk.

Owns: the codec numbers and the transform (part of the format, docs/format/record-v1.md), and the
choice (not part of it: a reader only follows the codec number).
Layer: store. Imports the standard library.
"""

from __future__ import annotations

from collections import Counter
from enum import IntEnum
from typing import Final


class Codec(IntEnum):
    """How the stored bytes of a record were made from the plain ones."""

    RAW = 0
    ZSTD = 1
    PLANES_2 = 2
    PLANES_4 = 3
    PLANES_8 = 4


WIDTH_OF: Final = {Codec.ZSTD: 1, Codec.PLANES_2: 2, Codec.PLANES_4: 4, Codec.PLANES_8: 8}
CODEC_OF_WIDTH: Final = {width: codec for codec, width in WIDTH_OF.items()}

GAIN_SHIFT: Final = 5
"""Stored bytes must be less than the plain ones by at least 1/32, else the record is raw: a
smaller gain does not pay for decompressing it at every read."""

SAMPLE_SIZE: Final = 4096
SAMPLE_PIECES: Final = 4
MIN_SAMPLE: Final = 2048
"""Below this the estimate is too noisy and compressing costs next to nothing: always try zstd."""

TRIAL_SIZE: Final = 8192
"""Bytes from the middle of a chunk that are compressed both ways when planes look promising."""

TRIAL_LEVEL: Final = 3
"""Highest level used for a trial; the order of the two sizes hardly depends on it."""

MIN_LEVEL: Final = -7
MAX_LEVEL: Final = 22
"""Zstd levels accepted; the library allows more negative ones, which no one needs."""

FLAT_BITS_Q8: Final = 8 * 256 - 28
"""Estimates above 8 - 0.11 bits per byte mean incompressible. Five standard deviations of the
noise of a full sample, and well below the 0.25 bits of the gain rule. In 1/256 bits."""

PLANE_GAIN_Q8: Final = 64
"""Planes are tried only if the estimate is this much better (1/4 bit per byte) than plain."""

HALF_LOG2_E_Q8: Final = 185
"""256 * log2(e) / 2: the Miller-Madow correction is this times (symbols - 1) / count."""

WIDER_GAIN_Q8: Final = 32
"""A wider transform must be better than a narrower one by 1/8 bit, or noise would choose it."""


def gain_limit(length: int) -> int:
    """Returns the most bytes that `length` plain bytes may take and still be worth storing."""
    return length - max(1, length >> GAIN_SHIFT)


def split_planes(data: bytes, width: int) -> list[bytes]:
    """Returns the planes of `data`; the last one ends with the bytes left over."""
    whole = len(data) - len(data) % width
    planes = [data[plane:whole:width] for plane in range(width)]
    planes[-1] += data[whole:]
    return planes


def join_planes(planes: bytes, width: int) -> bytes:
    """Undoes `split_planes`, given its planes one after the other."""
    count = len(planes) // width
    data = bytearray(planes)
    for plane in range(width):
        data[plane : count * width : width] = planes[plane * count : (plane + 1) * count]
    return bytes(data)


def sample_of(data: bytes) -> bytes:
    """Returns the bytes the choice is made on; a multiple of eight, aligned to eight."""
    if len(data) <= SAMPLE_SIZE:
        return data[: len(data) & ~7]
    piece = SAMPLE_SIZE // SAMPLE_PIECES
    room = len(data) - piece
    starts = (room * i // (SAMPLE_PIECES - 1) & ~7 for i in range(SAMPLE_PIECES))
    return b"".join(data[start : start + piece] for start in starts)


def log2_q8(value: int) -> int:
    """Returns log2 of a positive number in 1/256 units, rounded down; the same everywhere."""
    whole = value.bit_length() - 1
    mantissa = (value << 15) >> whole if whole <= 15 else value >> (whole - 15)
    fraction = 0
    for _ in range(8):
        mantissa = (mantissa * mantissa) >> 15
        fraction <<= 1
        if mantissa >> 16:
            mantissa >>= 1
            fraction |= 1
    return (whole << 8) | fraction


def is_flat(sample: bytes) -> bool:
    """Returns whether a sample looks incompressible in planes of every width."""
    return all(_collision_bits_q8(sample, width) > FLAT_BITS_Q8 for width in (1, 2, 4, 8))


def _collision_bits_q8(sample: bytes, width: int) -> int:
    """Returns the Renyi entropy of order 2, mean over the planes."""
    count = len(sample) // width
    pairs = log2_q8(count * (count - 1))
    total = 0
    for plane in range(width):
        counts = Counter(sample[plane::width]).values()
        total += max(0, pairs - log2_q8(max(1, sum(n * (n - 1) for n in counts))))
    return total // width


def _shannon_bits_q8(sample: bytes, width: int) -> int:
    """Returns Shannon's entropy with the Miller-Madow correction, mean over the planes."""
    count = len(sample) // width
    total = 0
    for plane in range(width):
        counts = Counter(sample[plane::width]).values()
        spent = sum(n * log2_q8(n) for n in counts)
        total += log2_q8(count) - spent // count
        total += (len(counts) - 1) * HALF_LOG2_E_Q8 // count
    return total // width


def best_width(data: bytes) -> int:
    """Returns the plane width that promises most: 0 for raw, 1 for plain zstd, or 2, 4, 8."""
    if len(data) < MIN_SAMPLE:
        return 1
    sample = sample_of(data)
    if is_flat(sample):
        return 0
    best, width, step = _shannon_bits_q8(sample, 1), 1, PLANE_GAIN_Q8
    for candidate in (2, 4, 8):
        bits = _shannon_bits_q8(sample, candidate)
        if bits + step <= best:
            width, best, step = candidate, bits, WIDER_GAIN_Q8
    return width


def trial_of(data: bytes) -> bytes:
    """Returns the bytes a promising plane width is tried on."""
    if len(data) <= TRIAL_SIZE:
        return data
    start = (len(data) - TRIAL_SIZE) // 2 & ~7
    return data[start : start + TRIAL_SIZE]
