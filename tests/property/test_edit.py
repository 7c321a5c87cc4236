"""An edit stores what storing the whole new content from scratch would store."""

from __future__ import annotations

import random
import tempfile
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlbfs.limits import KIB, MAX_CHUNK_SIZE, MIN_CHUNK_SIZE, TARGET_CHUNK_SIZE
from mlbfs.store import kernels, recipe
from mlbfs.store.chunkstore import ChunkStore
from mlbfs.store.edit import Edit
from mlbfs.store.fsck import fsck

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.ids import FileId

SPACING = 128 * KIB
RNG = random.Random(5)
NOISE = RNG.randbytes(3_000_000)


class Change(NamedTuple):
    """New bytes at a place, given as a share of the file and a distance from it."""

    place: float
    near: int
    length: int
    texture: int

    def bytes(self) -> bytes:
        """Returns the new bytes: zeros, noise, or bytes of the base from another place."""
        if self.texture == 0:
            return bytes(self.length)
        if self.texture == 1:
            return random.Random(self.length).randbytes(self.length)
        return NOISE[self.texture : self.texture + self.length]


class Bytes:
    """Content in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fills a buffer."""
        assert offset + len(buffer) <= len(self.data)
        buffer[:] = self.data[offset : offset + len(buffer)]


LENGTHS = [1, 4096, MIN_CHUNK_SIZE, TARGET_CHUNK_SIZE, MAX_CHUNK_SIZE - 1, MAX_CHUNK_SIZE + 1]
lengths = st.one_of(st.sampled_from(LENGTHS), st.integers(1, 400_000))
changes = st.builds(
    Change,
    st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0, 1),
    st.integers(-70_000, 70_000) | st.sampled_from([0, -1, 1]),
    lengths,
    st.sampled_from([0, 1, 0, 1, 2_000_000, 700_001]),
)
sizes = st.sampled_from(
    [1, MIN_CHUNK_SIZE, MAX_CHUNK_SIZE, MAX_CHUNK_SIZE + 1, SPACING, 8 * SPACING]
) | st.integers(1, 2_500_000)
resizes = st.sampled_from([0, 1, -1, SPACING, MIN_CHUNK_SIZE]) | st.integers(-2_500_000, 900_000)


@contextmanager
def small_recipes(max_entries: int = 5) -> Iterator[None]:
    """Lets a file of some MB have several levels of nodes, and midstates on any processor."""
    names = ("MIN_ENTRIES", "FAN_OUT", "MAX_ENTRIES", "MIDSTATE_SPACING", "MAX_MIDSTATES")
    saved = {name: getattr(recipe, name) for name in names}
    is_fast = kernels.sha256_is_fast
    values = (2, 4, max_entries, SPACING, 8)
    try:
        for name, value in zip(names, values, strict=True):
            setattr(recipe, name, value)
        if kernels.IMPLEMENTATION == "native":
            kernels.sha256_is_fast = lambda: True
        yield
    finally:
        kernels.sha256_is_fast = is_fast
        for name, value in saved.items():
            setattr(recipe, name, value)


def base_content(size: int, *, dull: bool) -> bytes:
    """Returns noise, or noise with a long run of zeros in it, where cuts are forced."""
    if not dull:
        return NOISE[:size]
    return (NOISE[: size // 3] + bytes(size // 2) + NOISE)[:size]


def edited(base: bytes, grown: int, made: list[Change]) -> tuple[bytes, list[tuple[int, int]]]:
    """Returns the new content and the ranges that were written."""
    size = max(0, len(base) + grown)
    data = bytearray(base[:size].ljust(size, b"\0"))
    ranges = [(min(len(base), size), size)]
    for change in made:
        start = min(max(0, int(change.place * size) + change.near), size)
        stop = min(size, start + change.length)
        data[start:stop] = change.bytes()[: stop - start].ljust(stop - start, b"\1")
        ranges.append((start, stop))
    return bytes(data), merged(ranges)


def merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Returns ranges sorted, without overlap; those that touch stay apart."""
    out: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        start = max(start, out[-1][1] if out else 0)
        if start < stop:
            out.append((start, stop))
    return out


def stored(folder: Path, data: bytes) -> tuple[FileId, recipe.RecipeList]:
    """Stores content from scratch, in a store of its own; returns its id and root."""
    with ChunkStore.create(folder) as store:
        with store.writer() as writer:
            file_id, _ = writer.put_stream(BytesIO(data))
            writer.commit()
        return file_id, store.open_file(file_id).root


def check(base: bytes, grown: int, made: list[Change]) -> None:
    """Compares an edit with storing the new content from scratch."""
    new, ranges = edited(base, grown, made)
    with tempfile.TemporaryDirectory(prefix="mlbfs-edit-") as name:
        folder = Path(name)
        expected = stored(folder / "scratch", new)
        with ChunkStore.create(folder / "store") as store:
            with store.writer() as writer:
                base_id, _ = writer.put_stream(BytesIO(base))
                writer.commit()
            edit = Edit(store.open_file(base_id), len(new), ranges, Bytes(new))
            with store.writer() as writer:
                assert (expected[0], len(new)) == writer.put_edit(edit)
                writer.commit()
            reader = store.open_file(expected[0])
            assert expected[1] == reader.root
            assert new == reader.read(0, len(new))
            assert not list(fsck(store))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    size=sizes,
    dull=st.booleans(),
    grown=resizes,
    made=st.lists(changes, max_size=6),
    max_entries=st.sampled_from([3, 5, 512]),
)
@example(size=8 * SPACING, dull=False, grown=0, made=[], max_entries=5)
@example(size=8 * SPACING, dull=False, grown=SPACING, made=[], max_entries=5)
@example(size=2_000_000, dull=False, grown=-SPACING * 8, made=[], max_entries=3)
@example(size=2_000_000, dull=True, grown=0, made=[Change(0.0, 0, 1, 1)], max_entries=3)
@example(size=2_000_000, dull=True, grown=0, made=[Change(1.0, -1, 1, 1)], max_entries=3)
@example(size=2_000_000, dull=False, grown=0, made=[Change(0.5, 0, 9, 1)], max_entries=5)
@example(size=2_000_000, dull=False, grown=1000, made=[Change(0.1, 0, 270_000, 1)], max_entries=5)
@example(size=2_400_000, dull=False, grown=-2_200_000, made=[], max_entries=5)
@example(size=2_400_000, dull=False, grown=-1_500_000, made=[Change(0.0, 9, 1, 1)], max_entries=3)
def test_an_edit_equals_storing_from_scratch(
    size: int, dull: bool, grown: int, made: list[Change], max_entries: int
) -> None:
    """The same file id, the same recipe to the last node, the same midstates, the same bytes."""
    with small_recipes(max_entries):
        check(base_content(size, dull=dull), grown, made)
