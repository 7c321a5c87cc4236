"""Edits: the recipe of a new version of a file, from that of the old one and what was changed.

Where a chunk ends depends on the bytes of that chunk alone. So every chunk of the base that ends at
or before the first change is a chunk of the new version. From the one with the change on, the new
content is cut until a cut falls on a cut of the base with nothing changed in the chunk behind it;
from there the base's chunks are those of the new version, until the next change. The exception is
the chunk at the end of a file, which ends there for no other reason: it is kept only when both
versions end there.

The same holds one level up: where a recipe node ends depends on its entries alone, and the last one
takes what is left. So whole nodes are kept, without being loaded, where a node begins in both
versions at the same place. The recipe comes out as if the whole new content had been stored.

Owns: what an edit keeps of its base.
Layer: store. Imports the leaves, filereader, recipe, sha256 and stream.

Concurrency: an edit is read by several threads at once; so is its content.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.limits import MAX_CHUNK_SIZE
from mlbfs.store import recipe, sha256
from mlbfs.store.stream import SEGMENT_SIZE, Segment

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from mlbfs.store.filereader import FileReader
    from mlbfs.store.readahead import Content
    from mlbfs.store.recipe import RecipeBuilder, RecipeList
    from mlbfs.store.sha256 import FileHash
    from mlbfs.store.stream import SegmentReader

LOOK_BEHIND = MAX_CHUNK_SIZE
"""Bytes read behind a change at a time: there is a cut in them, and most often one of the base."""


class _Stream:
    """The bytes of a new version from an offset to its end, as a stream."""

    def __init__(self, content: Content, offset: int, size: int) -> None:
        self._content = content
        self._offset = offset
        self._size = size

    def readinto(self, buffer: memoryview, /) -> int:
        """Fills a buffer as far as there are bytes."""
        length = min(len(buffer), self._size - self._offset)
        self._content.read_into(self._offset, buffer[:length])
        self._offset += length
        return length


class Edit:
    """A new version of a stored file.

    Attributes:
        base: The old version.
        size: Length of the new one.
        content: Its bytes.
    """

    def __init__(
        self, base: FileReader, size: int, changes: Sequence[tuple[int, int]], content: Content
    ) -> None:
        """Describes a new version.

        Args:
            base: The old version.
            size: Length of the new one.
            changes: The ranges [start, stop) that may differ from the base, sorted and disjoint;
                everything behind the end of the base is among them.
            content: The bytes of the new version.
        """
        self.base = base
        self.size = size
        self.content = content
        self._starts = [start for start, stop in changes if start < stop]
        self._stops = [stop for start, stop in changes if start < stop]
        ends = [0, *self._stops]
        assert all(map(int.__le__, ends, self._starts)), "changes are sorted and disjoint"
        assert ends[-1] <= size, "changes lie within the file"
        assert size <= base.size or self.next_change(base.size) == base.size, "what is new changed"

    def next_change(self, offset: int) -> int:
        """Returns the first byte from `offset` on that may differ, or the end of the file."""
        at = bisect_right(self._stops, offset)
        return max(offset, self._starts[at]) if at < len(self._starts) else self.size

    def change_end(self, offset: int) -> int:
        """Returns where the change ends that `offset` lies in, or `offset`."""
        at = bisect_right(self._stops, offset)
        inside = at < len(self._starts) and self._starts[at] <= offset
        return self._stops[at] if inside else offset

    def stream(self, offset: int) -> _Stream:
        """Returns the new content from an offset on."""
        return _Stream(self.content, offset, self.size)

    def kept_until(self, offset: int) -> int:
        """Returns where the run of kept chunks ends that begins at `offset`, a cut of the base."""
        if offset >= self.base.size:
            return offset
        same = self.next_change(offset)
        if same == self.size == self.base.size:
            return same
        # Where it is the end of one version only, the last chunk of the base is not kept.
        start, _ = self.base.chunk_bounds(min(same, self.base.size - 1))
        return start

    def is_kept_from(self, offset: int) -> bool:
        """Whether the base has a cut at `offset` and its next chunk is kept."""
        if offset >= self.base.size or self.next_change(offset) == offset:
            return False
        start, _ = self.base.chunk_bounds(offset)
        return start == offset and self.kept_until(offset) > offset


class Kept(NamedTuple):
    """A run of the base's chunks that are chunks of the new version."""

    start: int
    stop: int


def new_pieces(edit: Edit, reader: SegmentReader) -> Iterator[Kept | Segment]:
    """Yields the chunks of the new version in order: kept runs, and segments that are cut anew.

    Raises:
        CorruptionError: A part of the base that is needed is missing or damaged.
        StorageError: The device failed.
    """
    offset = 0
    while offset < edit.size:
        stop = edit.kept_until(offset)
        if stop > offset:
            yield Kept(offset, stop)
        offset = stop
        if offset < edit.size:
            offset = yield from _cut_again(edit, reader, offset)


def _cut_again(edit: Edit, reader: SegmentReader, offset: int) -> Generator[Segment, None, int]:
    """Yields segments from `offset` on until the base can be kept again; returns where."""
    reader.restart(edit.stream(offset))
    seen = offset
    while True:
        wanted = min(SEGMENT_SIZE, edit.change_end(seen) - seen + LOOK_BEHIND)
        segment = reader.read(wanted)
        seen += len(segment.data) - segment.fresh
        for number, cut in enumerate(segment.cuts, 1):
            if edit.is_kept_from(offset + cut):
                yield _front(segment, number)
                return offset + cut
        yield segment
        if segment.last:
            return edit.size
        offset += segment.cuts[-1] if segment.cuts else 0


def _front(segment: Segment, count: int) -> Segment:
    """Returns the first chunks of a segment."""
    cuts = segment.cuts[:count]
    return Segment(segment.data[: cuts[-1]], cuts, segment.fresh, segment.last, segment.buffer)


def keep_entries(base: FileReader, builder: RecipeBuilder, kept: Kept) -> tuple[()]:
    """Appends a run of the base's chunks to a recipe, as whole nodes where that is the same.

    Raises:
        CorruptionError: A recipe node is missing or damaged.
        StorageError: The device failed.
    """
    _keep(base, builder, kept, base.root, 0)
    return ()


def _keep(
    base: FileReader, builder: RecipeBuilder, kept: Kept, listed: RecipeList, origin: int
) -> None:
    """Appends what lies in the run of a list that begins at `origin`."""
    first = bisect_right(listed.ends, kept.start - origin)
    start = origin + (listed.ends[first - 1] if first else 0)
    for at in range(first, len(listed.ids)):
        stop = origin + listed.ends[at]
        if start >= kept.stop:
            return
        if kept.start <= start and stop <= kept.stop and builder.can_take(listed.depth):
            builder.take(listed.depth, listed.ids[at], stop - start)
        else:
            assert listed.depth, "a run is one of whole chunks"
            _keep(base, builder, kept, base.node(listed, at), start)
        start = stop


def resume_hash(base: FileReader, size: int, same: int) -> tuple[FileHash, int]:
    """Returns a hash that goes on from a midstate of the base, and how many bytes are in it.

    Args:
        base: The old version.
        size: Length of the new one.
        same: How many bytes at the front are those of the base.
    """
    spacing = recipe.midstate_spacing(size)
    step, finer = divmod(spacing, recipe.midstate_spacing(base.size))
    # A file that was so much longer that its midstates lie too far apart is hashed anew.
    states = [] if finer else _states(base.root.midstates)[step - 1 :: step]
    return sha256.hash_after(spacing, states[: min(same, base.size) // spacing])


def _states(data: bytes) -> list[bytes]:
    size = recipe.MIDSTATE_SIZE
    return [data[at : at + size] for at in range(0, len(data), size)]
