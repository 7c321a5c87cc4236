"""The cut rule at its edges, for both implementations."""

from __future__ import annotations

import importlib
from itertools import pairwise

import pytest

from mlbfs.limits import MAX_CHUNK_SIZE, MIN_CHUNK_SIZE, TARGET_CHUNK_SIZE
from mlbfs.store import chunker

STRICT = bytes.fromhex(
    "a3919e839d34d30d5b1df186420ebd4ae6e718fd6d7f06066d6443d191d5a266"
    "58fab089cb02dc410e0cbd2b329b20434ca5a7ba0bd4e447b3770006df5c41bb"
)
LOOSE = bytes.fromhex(
    "36326a7b8fe602962d3982dab8028c054216fa9d159788b29e2cd1fab1988e16"
    "317597707904eeeb392ca01d370bdb8c8801e584519a43d96aa667f25b6012c9"
)


@pytest.fixture(
    params=[pytest.param("mlbfs._native", marks=pytest.mark.native), "mlbfs.store.twin"]
)
def kernels(request):
    return importlib.import_module(request.param)


def hash_of(window: bytes) -> int:
    value = 0
    for byte in window:
        value = (2 * value + chunker.GEAR[byte]) % 2**64
    return value


def with_window(window: bytes, end: int, length: int) -> bytes:
    """Returns zeros in which `window` ends at `end`."""
    data = bytearray(length)
    data[end - len(window) : end] = window
    return bytes(data)


def test_the_windows_of_these_tests_are_what_they_claim():
    """One window is a strict cut, the other a loose one only, and zeros are neither."""
    assert hash_of(STRICT) < chunker.STRICT_LIMIT
    assert chunker.STRICT_LIMIT <= hash_of(LOOSE) < chunker.LOOSE_LIMIT
    assert hash_of(bytes(64)) >= chunker.LOOSE_LIMIT


def test_empty_data_has_no_chunks(kernels):
    """No bytes, no cut, final or not."""
    assert kernels.cut_points(b"", True) == []
    assert kernels.cut_points(b"", False) == []


@pytest.mark.parametrize("length", [1, 63, 64, MIN_CHUNK_SIZE - 1, MIN_CHUNK_SIZE, 100_000])
def test_data_without_a_cut_is_one_chunk(kernels, length):
    """A last piece is reported when the data is final, and only then."""
    assert [length] == kernels.cut_points(bytes(length), True)
    assert kernels.cut_points(bytes(length), False) == []


def test_a_cut_is_forced_at_the_maximum(kernels):
    """Zeros are cut every MAX bytes, whether or not more follows."""
    data = bytes(2 * MAX_CHUNK_SIZE + 5)
    cuts = [MAX_CHUNK_SIZE, 2 * MAX_CHUNK_SIZE]
    assert cuts == kernels.cut_points(data, False)
    assert [*cuts, len(data)] == kernels.cut_points(data, True)


@pytest.mark.parametrize(
    ("window", "end", "is_cut"),
    [
        (STRICT, MIN_CHUNK_SIZE - 1, False),
        (STRICT, MIN_CHUNK_SIZE, True),
        (STRICT, MIN_CHUNK_SIZE + 1, True),
        (STRICT, TARGET_CHUNK_SIZE - 1, True),
        (LOOSE, MIN_CHUNK_SIZE, False),
        (LOOSE, TARGET_CHUNK_SIZE - 1, False),
        (LOOSE, TARGET_CHUNK_SIZE, True),
        (LOOSE, MAX_CHUNK_SIZE - 1, True),
        (STRICT, MAX_CHUNK_SIZE, True),
    ],
)
def test_which_hash_cuts_where(kernels, window, end, is_cut):
    """Strict hashes cut from MIN on, loose ones from TARGET on."""
    expected = end if is_cut else MAX_CHUNK_SIZE
    data = with_window(window, end, MAX_CHUNK_SIZE)
    assert expected == kernels.cut_points(data, True)[0]
    assert kernels.cut_points(data, False)[0] == expected


def test_a_cut_at_the_very_end_is_determined(kernels):
    """A cut at the last byte is reported although more may follow."""
    data = with_window(STRICT, 20_000, 20_000)
    assert kernels.cut_points(data, False) == [20_000]
    assert kernels.cut_points(data, True) == [20_000]


@pytest.mark.parametrize("position", range(MIN_CHUNK_SIZE + 8150, MIN_CHUNK_SIZE + 8240, 13))
def test_a_cut_is_found_at_the_edge_of_a_lane(kernels, position):
    """The scan works in blocks of lanes; a cut beside an edge is found all the same."""
    data = with_window(STRICT, position, position + 9000)
    assert position == kernels.cut_points(data, True)[0]


def test_the_first_of_two_cuts_in_one_block_wins(kernels):
    """A later lane may see its cut first, but the earlier position counts."""
    data = bytearray(with_window(STRICT, MIN_CHUNK_SIZE + 2100, 60_000))
    data[MIN_CHUNK_SIZE + 1900 : MIN_CHUNK_SIZE + 1964] = STRICT
    assert kernels.cut_points(bytes(data), True)[0] == MIN_CHUNK_SIZE + 1964


def test_any_buffer_is_accepted(kernels):
    """Bytes, bytearray and memoryview are cut alike."""
    data = with_window(STRICT, 30_000, 70_000)
    cuts = kernels.cut_points(data, True)
    assert cuts == kernels.cut_points(bytearray(data), True)
    assert cuts == kernels.cut_points(memoryview(data), True)


def test_chunks_keep_the_limits(kernels):
    """Every chunk but the last is within [MIN, MAX]."""
    data = b"".join(i.to_bytes(3, "big") * 5 for i in range(60_000))[:800_000]
    cuts = kernels.cut_points(data, True)
    sizes = [end - start for start, end in pairwise([0, *cuts])]
    assert len(data) == cuts[-1]
    assert all(MIN_CHUNK_SIZE <= size <= MAX_CHUNK_SIZE for size in sizes[:-1])
