"""SHA-256 with its state in hand is SHA-256, in every variant, in any pieces, from any midstate."""

from __future__ import annotations

import hashlib
import importlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbfs.store import kernels, recipe, sha256, twin
from mlbfs.store.sha256twin import INITIAL

BOTH = [pytest.param("mlbfs._native", marks=pytest.mark.native), "mlbfs.store.twin"]
NOISE = random.Random(3).randbytes(70_000)


@pytest.fixture(params=BOTH)
def kernel(request):
    return importlib.import_module(request.param).sha256_blocks


@pytest.mark.native
@given(state=st.binary(min_size=32, max_size=32), seed=st.integers(0, 99), blocks=st.integers(0, 9))
def test_every_variant_equals_the_reference(state, seed, blocks):
    """From any state over any blocks: with instructions of the processor, without, in Python."""
    native = importlib.import_module("mlbfs._native")
    data = random.Random(seed).randbytes(64 * blocks)
    expected = twin.sha256_blocks(state, data)
    assert {expected} == {native.sha256_blocks(state, data), *native.sha256_variants(state, data)}


@pytest.mark.parametrize("length", [0, 1, 55, 56, 63, 64, 119, 120, 1000])
def test_blocks_with_padding_are_a_digest(kernel, length):
    """Padded as the standard says, whatever is left over."""
    data = NOISE[:length]
    padding = b"\x80" + bytes((55 - length) % 64) + (8 * length).to_bytes(8, "big")
    assert hashlib.sha256(data).digest() == kernel(INITIAL, data + padding)


@pytest.mark.parametrize(
    ("state", "data"),
    [(bytes(31), b""), (bytes(33), b""), (b"", b""), (bytes(32), b"1"), (bytes(32), bytes(65))],
)
def test_other_lengths_are_refused(kernel, state, data):
    """A state has 32 bytes, and blocks have 64."""
    with pytest.raises(ValueError, match="bytes"):
        kernel(state, data)


def test_what_has_no_bytes_is_refused(kernel):
    """An object without the buffer protocol is an error, not a crash."""
    with pytest.raises(TypeError):
        kernel(INITIAL, 5)


@pytest.mark.native
@settings(deadline=None)
@given(
    length=st.integers(0, len(NOISE)),
    spacing=st.sampled_from([64, 128, 4096]),
    cuts=st.lists(st.integers(0, len(NOISE)), max_size=6),
    resume=st.integers(0, 2000),
)
def test_a_hash_equals_hashlib_and_goes_on_from_its_states(length, spacing, cuts, resume):
    """In any pieces; and a hash that is given some of the states comes to the same end."""
    data = NOISE[:length]
    whole = sha256.StatefulHash(spacing)
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), length], strict=True):
        whole.update(memoryview(data)[start:stop])
    assert hashlib.sha256(data).digest() == whole.digest()
    saved = recipe.MIDSTATE_SPACING
    recipe.MIDSTATE_SPACING = spacing
    try:
        states = whole.midstates()
        kept = [states[at : at + 32] for at in range(0, len(states), 32)]
        assert length // spacing == len(kept)
        kept = kept[: resume % (len(kept) + 1)]
        again = sha256.StatefulHash(spacing, kept)
        again.update(data[len(kept) * spacing :])
        assert (whole.digest(), states) == (again.digest(), again.midstates())
    finally:
        recipe.MIDSTATE_SPACING = saved


def test_a_new_file_is_hashed_by_hashlib_where_that_is_faster(monkeypatch):
    """No states are kept then."""
    monkeypatch.setattr(kernels, "sha256_is_fast", lambda: False)
    state = sha256.new_hash()
    state.update(NOISE)
    assert (hashlib.sha256(NOISE).digest(), b"") == (state.digest(), state.midstates())


def test_without_the_kernel_a_changed_file_is_hashed_from_its_first_byte(monkeypatch):
    """By hashlib, whatever states there are."""
    monkeypatch.setattr(kernels, "IMPLEMENTATION", "python")
    state, start = sha256.hash_after(64, [INITIAL])
    state.update(NOISE)
    assert start == 0
    assert (hashlib.sha256(NOISE).digest(), b"") == (state.digest(), state.midstates())
