"""Reading one file: from an offset to the chunks that hold it.

Owns: nothing but a few parsed recipe nodes.
Layer: store. Imports the leaves, recipe and chunkreader.

Concurrency: any thread. A reader holds no descriptor and no transaction, so it needs no close.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from typing import TYPE_CHECKING

from mlbfs.errors import CorruptionError, ErrorKind, negative_span
from mlbfs.ids import ChunkId, FileId, short_hex
from mlbfs.store import recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.store.chunkreader import ChunkReader
    from mlbfs.store.recipe import RecipeList

MAX_PARSED_NODES = 16
"""Parsed nodes kept per reader: three levels for a sequential reader and some random ones."""


class _WouldBlockError(Exception):
    """The disk would have to be waited for; never leaves this module."""


class FileReader:
    """Reads the content of one file.

    Attributes:
        file_id: Id of the file.
        size: Length of the file.
    """

    __slots__ = ("_chunks", "_lock", "_nodes", "_root", "file_id", "size")

    def __init__(self, file_id: FileId, root: RecipeList, chunks: ChunkReader) -> None:
        self.file_id = file_id
        self.size = root.size
        self._root = root
        self._chunks = chunks
        self._nodes: OrderedDict[bytes, RecipeList] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, offset: int, length: int) -> bytes:
        """Returns `length` bytes from `offset` on; fewer only at the end of the file.

        Raises:
            CorruptionError: A chunk is missing or damaged; the message names the pack file.
            StorageError: The device failed.
        """
        return self._read(offset, length, nowait=False)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fills a buffer with the bytes from an offset on, which are all there.

        Raises:
            CorruptionError: A chunk is missing or damaged; the message names the pack file.
            StorageError: The device failed.
        """
        buffer[:] = self._read(offset, len(buffer), nowait=False)

    def read_nowait(self, offset: int, length: int) -> bytes | None:
        """Returns what `read` does, or None if the disk would have to be waited for.

        Raises:
            CorruptionError: A chunk is missing or damaged; the message names the pack file.
            StorageError: The device failed.
        """
        try:
            return self._read(offset, length, nowait=True)
        except _WouldBlockError:
            return None

    def chunks(self) -> Iterator[tuple[ChunkId, int]]:
        """Yields the chunks of the file in order, with their lengths.

        Raises:
            CorruptionError: A recipe node is missing or damaged.
            StorageError: The device failed.
        """
        for chunk_id, _, length in self._walk(self._root, 0, 0, self.size, nowait=False):
            yield chunk_id, length

    def nodes(self) -> Iterator[ChunkId]:
        """Yields the ids of all recipe nodes of the file.

        Raises:
            CorruptionError: A recipe node is missing or damaged.
            StorageError: The device failed.
        """
        yield from self._walk_nodes(self._root)

    @property
    def root(self) -> RecipeList:
        """The recipe root of the file."""
        return self._root

    def node(self, parent: RecipeList, at: int) -> RecipeList:
        """Returns the node that an entry of the root, or of a node of this file, stands for.

        Raises:
            CorruptionError: The node is missing or damaged.
            StorageError: The device failed.
        """
        length = parent.ends[at] - (parent.ends[at - 1] if at else 0)
        return self._node(parent, at, length, nowait=False)

    def chunk_bounds(self, offset: int) -> tuple[int, int]:
        """Returns where the chunk begins and ends that holds the byte at an offset.

        Raises:
            CorruptionError: A recipe node is missing or damaged.
            StorageError: The device failed.
        """
        assert 0 <= offset < self.size, "the offset is inside the file"
        walk = self._walk(self._root, 0, offset, offset + 1, nowait=False)
        _, start, length = next(walk)
        return start, start + length

    def _read(self, offset: int, length: int, *, nowait: bool) -> bytes:
        end = min(offset + length, self.size)
        if offset < 0 or end <= offset:
            if offset < 0 or length < 0:
                raise negative_span(offset, length)
            return b""
        parts = []
        for chunk_id, start, chunk_len in self._walk(self._root, 0, offset, end, nowait=nowait):
            plain = self._record(chunk_id, nowait=nowait)
            if len(plain) != chunk_len:
                raise self._damaged(f"chunk {short_hex(chunk_id)} has {len(plain)} bytes")
            if start < offset or start + chunk_len > end:
                plain = plain[max(0, offset - start) : end - start]
            parts.append(plain)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _walk(
        self, listed: RecipeList, base: int, offset: int, end: int, *, nowait: bool
    ) -> Iterator[tuple[ChunkId, int, int]]:
        """Yields (chunk, where it begins in the file, length) for the span offset..end."""
        ends = listed.ends
        at = bisect_right(ends, offset - base)
        start = base + (ends[at - 1] if at else 0)
        while start < end and at < len(ends):
            length = base + ends[at] - start
            if listed.depth == 0:
                yield listed.ids[at], start, length
            else:
                node = self._node(listed, at, length, nowait=nowait)
                yield from self._walk(node, start, max(offset, start), end, nowait=nowait)
            start += length
            at += 1

    def _walk_nodes(self, listed: RecipeList) -> Iterator[ChunkId]:
        if listed.depth == 0:
            return
        start = 0
        for at, node_id in enumerate(listed.ids):
            yield node_id
            yield from self._walk_nodes(
                self._node(listed, at, listed.ends[at] - start, nowait=False)
            )
            start = listed.ends[at]

    def _node(self, parent: RecipeList, at: int, length: int, *, nowait: bool) -> RecipeList:
        node_id = parent.ids[at]
        with self._lock:
            node = self._nodes.get(node_id)
            if node is not None:
                self._nodes.move_to_end(node_id)
        if node is None:
            node = recipe.parse_node(self._record(node_id, nowait=nowait))
            with self._lock:
                self._nodes[node_id] = node
                if len(self._nodes) > MAX_PARSED_NODES:
                    self._nodes.popitem(last=False)
        if node.size != length or node.depth != parent.depth - 1:
            raise self._damaged(f"recipe node {short_hex(node_id)} does not fit its place")
        return node

    def _record(self, record_id: bytes, *, nowait: bool) -> bytes:
        plain = self._chunks.read(record_id, nowait=nowait)
        if plain is None:
            raise _WouldBlockError
        return plain

    def _damaged(self, what: str) -> CorruptionError:
        return CorruptionError(
            f"file {short_hex(self.file_id)}: {what}",
            kind=ErrorKind.CORRUPT_RECIPE,
            hint="run 'mlbfs fsck'",
        )
