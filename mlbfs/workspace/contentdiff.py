"""Compares two versions of one file: text by lines, everything else by chunks.

Owns: what counts as text for a person, and how two binary files are compared.
Layer: workspace.

Concurrency: any thread; memory is bounded by `TEXT_LIMIT` and by the ids of a file's chunks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from blake3 import blake3

from mlbfs.git.textdiff import unified_hunks
from mlbfs.limits import MIB
from mlbfs.store import kernels
from mlbfs.store.filereader import FileReader

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT_LIMIT = 4 * MIB
"""Longest file that is compared by lines."""

PIECE = 8 * MIB


class Readable(Protocol):
    """Bytes of a known length."""

    @property
    def size(self) -> int:
        """Length of the file."""

    def read(self, offset: int, length: int, /) -> bytes:
        """Returns bytes; short only at the end of the file."""


@dataclass(frozen=True, slots=True)
class TextDifference:
    """Hunks of a unified diff."""

    hunks: bytes


@dataclass(frozen=True, slots=True)
class ChunkDifference:
    """Distinct chunks of both versions, and how many they share."""

    old_chunks: int
    new_chunks: int
    shared: int


def compare(old: Readable | None, new: Readable | None) -> TextDifference | ChunkDifference:
    """Returns how two versions of a file differ; None stands for no file."""
    if all(side is None or side.size <= TEXT_LIMIT for side in (old, new)):
        before, after = _content(old), _content(new)
        if is_text(before) and is_text(after):
            return TextDifference(unified_hunks(before, after))
    left, right = _chunk_ids(old), _chunk_ids(new)
    return ChunkDifference(len(left), len(right), len(left & right))


def is_text(data: bytes) -> bool:
    """Returns whether bytes are valid UTF-8 without a NUL."""
    if b"\0" in data:
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _content(side: Readable | None) -> bytes:
    return side.read(0, side.size) if side is not None else b""


def _chunk_ids(side: Readable | None) -> set[bytes]:
    if side is None:
        return set()
    if isinstance(side, FileReader):
        return {chunk_id for chunk_id, _ in side.chunks()}
    return {blake3(chunk).digest() for chunk in _chunks(side)}


def _chunks(side: Readable) -> Iterator[bytes]:
    """Cuts content that is not in the store as an import would cut it."""
    rest, offset = b"", 0
    while True:
        piece = side.read(offset, PIECE)
        offset += len(piece)
        data = rest + piece
        start = 0
        for end in kernels.cut_points(data, not piece):
            yield data[start:end]
            start = end
        rest = data[start:]
        if not piece:
            return
