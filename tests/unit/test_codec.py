"""Byte planes, the choice of codec, and records at the edges."""

from __future__ import annotations

import array
import hashlib
import importlib
import math
import random
import struct

import pytest
import zstandard

from mlbfs.limits import MAX_CHUNK_SIZE
from mlbfs.store import codec
from mlbfs.store.codec import Codec
from mlbfs.store.recordformat import (
    MAX_RECIPE_RECORD,
    RECORD_HEADER_SIZE,
    REFERENCE_SIZE,
    ReadStatus,
    RecordKind,
    parse_record_header,
)

ID = hashlib.sha256(b"some id").digest()


@pytest.fixture(
    params=[pytest.param("mlbfs._native", marks=pytest.mark.native), "mlbfs.store.twin"]
)
def kernels(request):
    return importlib.import_module(request.param)


def weights(form: str, count: int) -> bytes:
    """Returns numbers as a trained layer holds them: normal, small."""
    rng = random.Random(7)
    return struct.pack(f"<{count}{form}", *(rng.gauss(0, 0.02) for _ in range(count)))


def readings(form: str, count: int) -> bytes:
    """Returns a slow signal with noise, as a sensor writes it."""
    rng = random.Random(8)
    values = (20 + 5 * math.sin(i / 900) + rng.gauss(0, 0.01) for i in range(count))
    return struct.pack(f"<{count}{form}", *values)


def counters(count: int) -> bytes:
    return array.array("q", range(1_000_000, 1_000_000 + count)).tobytes()


@pytest.mark.parametrize("width", [2, 4, 8])
@pytest.mark.parametrize("length", [*range(20), 127, 128, 129, 255, 1000, 4099])
def test_planes_round_trip(width, length):
    """Splitting and joining gives the bytes back at every length, whole items or not."""
    data = random.Random(length).randbytes(length)
    planes = codec.split_planes(data, width)
    assert width == len(planes)
    assert data == codec.join_planes(b"".join(planes), width)


@pytest.mark.native
@pytest.mark.parametrize("width", [2, 4, 8])
@pytest.mark.parametrize("length", [*range(20), 127, 128, 129, 255, 1000, 4099])
def test_native_planes_are_the_same(width, length):
    """The vector code splits and joins exactly as the slices do."""
    native = importlib.import_module("mlbfs._native")
    data = random.Random(length).randbytes(length)
    planes = b"".join(codec.split_planes(data, width))
    assert planes == native.split_planes(data, width)
    assert data == native.join_planes(planes, width)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (weights("e", 32768), Codec.PLANES_2),
        (weights("f", 16384), Codec.PLANES_4),
        (weights("d", 8192), Codec.PLANES_8),
        (readings("f", 16384), Codec.PLANES_4),
        (readings("d", 8192), Codec.PLANES_8),
        (counters(8192), Codec.PLANES_8),
        (b"the quick brown fox jumps over the lazy dog\n" * 1500, Codec.ZSTD),
        (bytes(65536), Codec.ZSTD),
        (random.Random(1).randbytes(65536), Codec.RAW),
        (b"", Codec.RAW),
        (b"x", Codec.RAW),
    ],
    ids=[
        "f16",
        "f32",
        "f64",
        "sensor32",
        "sensor64",
        "counters",
        "text",
        "zeros",
        "noise",
        "empty",
        "one",
    ],
)
def test_the_codec_suits_the_data(kernels, data, expected):
    """Arrays get the planes of their item size, text and zeros zstd, noise nothing."""
    record = kernels.encode_record(RecordKind.CHUNK, ID, data, 3)
    assert expected == record[5]
    assert (ReadStatus.OK, data) == kernels.decode_record(record, ID)


@pytest.mark.parametrize("form", ["e", "f", "d"])
@pytest.mark.parametrize("make", [weights, readings])
def test_planes_beat_plain_zstd_on_numbers(kernels, form, make):
    """A floating-point array is stored in at least 3 % less than plain zstd takes."""
    data = make(form, 65536 // struct.calcsize(form))
    stored = len(kernels.encode_record(RecordKind.CHUNK, ID, data, 3)) - RECORD_HEADER_SIZE
    assert stored < 0.97 * len(zstandard.ZstdCompressor(level=3).compress(data))


@pytest.mark.parametrize("cut", range(1, 8))
def test_an_array_cut_inside_an_item_round_trips(kernels, cut):
    """A chunk may begin and end inside a number; planes work all the same."""
    data = weights("d", 8192)[cut : -(8 - cut) // 2 or None]
    record = kernels.encode_record(RecordKind.CHUNK, ID, data, 3)
    assert record[5] == Codec.PLANES_8
    assert (ReadStatus.OK, data) == kernels.decode_record(record, ID)


def test_a_gain_below_a_32nd_stays_raw(kernels):
    """Decompressing at every read is not worth a gain of less than 1/32."""
    noise = random.Random(3).randbytes(40_000)
    little = noise + bytes(len(noise) // 40)
    more = noise + bytes(len(noise) // 20)
    assert kernels.encode_record(RecordKind.CHUNK, ID, little, 3)[5] == Codec.RAW
    assert kernels.encode_record(RecordKind.CHUNK, ID, more, 3)[5] == Codec.ZSTD


@pytest.mark.parametrize("length", [1, 31, 32, 33, 1025, 2047, 2048, 2049, 4095, 4096, 4097, 8193])
@pytest.mark.parametrize("seed", range(3))
def test_both_sides_choose_alike(length, seed):
    """The choice is made in integers; no length or distribution tells the two apart."""
    twin = importlib.import_module("mlbfs.store.twin")
    kernels = importlib.import_module("mlbfs.store.kernels")
    rng = random.Random(seed)
    skewed = bytes(min(255, int(rng.expovariate(0.02 * (seed + 1)))) for _ in range(length))
    for data in (skewed, rng.randbytes(length), weights("f", length // 4 + 1)[:length]):
        assert twin.best_width(data) == kernels.best_width(data)


def test_records_lie_one_after_the_other(kernels):
    """The table tells where each record of a batch is, and each decodes alone."""
    data = b"a" * 5000 + random.Random(2).randbytes(5000) + weights("f", 1250)
    spans = [(0, 5000, b"1" * 32), (5000, 10_000, b"2" * 32), (10_000, 15_000, b"3" * 32)]
    blob, table = kernels.encode_records(data, spans, RecordKind.CHUNK, 3)
    assert len(blob) == table[-1][0] + table[-1][1]
    for (start, end, id32), (offset, length, used) in zip(spans, table, strict=True):
        record = blob[offset : offset + length]
        assert (ReadStatus.OK, data[start:end]) == kernels.decode_record(record, id32)
        header = parse_record_header(record)
        assert header is not None
        assert (used, end - start) == (header.codec, header.plain_length)
        assert record == kernels.encode_record(RecordKind.CHUNK, id32, data[start:end], 3)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_long_raw_payloads_stay_where_they_are(kernels, more):
    """From REFERENCE_SIZE on only the header of a raw record is made, and it fits the payload."""
    length = REFERENCE_SIZE + more
    data = b"a" * 5000 + random.Random(4).randbytes(length) + b"b" * 5000
    spans = [
        (0, 5000, b"1" * 32),
        (5000, 5000 + length, b"2" * 32),
        (5000 + length, len(data), b"3" * 32),
    ]
    blob, table = kernels.encode_records(data, spans, RecordKind.CHUNK, 3)
    left_out = length if more >= 0 else 0
    assert len(blob) + left_out == sum(record_len for _, record_len, _ in table)
    for (start, end, id32), (offset, record_len, used) in zip(spans, table, strict=True):
        if used == Codec.RAW and left_out:
            record = blob[offset : offset + RECORD_HEADER_SIZE] + data[start:end]
        else:
            record = blob[offset : offset + record_len]
        assert record == kernels.encode_record(RecordKind.CHUNK, id32, data[start:end], 3)


def test_no_spans_make_no_records(kernels):
    """An empty batch is allowed."""
    assert kernels.encode_records(b"abc", [], RecordKind.CHUNK, 3) == (b"", [])


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        (RecordKind.CHUNK, MAX_CHUNK_SIZE),
        (RecordKind.RECIPE_NODE, MAX_RECIPE_RECORD),
        (RecordKind.RECIPE_ROOT, MAX_RECIPE_RECORD),
    ],
)
def test_the_longest_payload_of_each_kind(kernels, kind, limit):
    """The limit itself is accepted, one byte more is not."""
    record = kernels.encode_record(kind, ID, bytes(limit), 3)
    assert (ReadStatus.OK, bytes(limit)) == kernels.decode_record(record, ID)
    with pytest.raises(ValueError, match="longer than a record may be"):
        kernels.encode_record(kind, ID, bytes(limit + 1), 3)


@pytest.mark.parametrize(
    ("spans", "kind", "level"),
    [
        ([(0, 11, ID)], 1, 3),
        ([(-1, 5, ID)], 1, 3),
        ([(5, 4, ID)], 1, 3),
        ([(0, 5, ID[:31])], 1, 3),
        ([(0, 5, ID + b"x")], 1, 3),
        ([(0, 5, ID)], 0, 3),
        ([(0, 5, ID)], 4, 3),
        ([(0, 5, ID)], 1, 23),
        ([(0, 5, ID)], 1, -8),
    ],
)
def test_a_broken_promise_of_the_caller_is_refused(kernels, spans, kind, level):
    """Spans outside the data, odd ids, unknown kinds and levels raise ValueError."""
    with pytest.raises(ValueError, match=r"span|id|kind|level"):
        kernels.encode_records(b"0123456789", spans, kind, level)


def test_log2_is_exact_enough():
    """The integer logarithm is within 1/256 below the true one."""
    for value in [*range(1, 5000), 4096 * 4095, 2**32 - 1]:
        error = math.log2(value) - codec.log2_q8(value) / 256
        assert -1e-3 <= error < 1 / 200
