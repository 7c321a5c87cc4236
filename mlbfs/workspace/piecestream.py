"""A content that comes in pieces, read as a stream.

Owns: taking its front before it is known what the rest is for.
Layer: workspace.

Concurrency: one thread at a time; pieces are taken from the one that reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class PieceStream:
    """Reads from an iterator of bytes; what was only looked at is read again."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._held = memoryview(b"")

    def look(self, length: int) -> bytes:
        """Returns the next bytes, at most `length` and fewer only at the end, and keeps them."""
        parts, found = [bytes(self._held)], len(self._held)
        while found < length:
            piece = next(self._pieces, None)
            if piece is None:
                break
            parts.append(piece)
            found += len(piece)
        data = b"".join(parts)
        self._held = memoryview(data)
        return data if len(data) <= length else data[:length]

    def readinto(self, buffer: memoryview, /) -> int:
        """Fills the front of a buffer with the next bytes; 0 at the end."""
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._held = memoryview(piece)
        count = min(len(buffer), len(self._held))
        buffer[:count] = self._held[:count]
        self._held = self._held[count:]
        return count

    def rest(self) -> Iterator[bytes]:
        """Yields everything that is left."""
        held, self._held = bytes(self._held), memoryview(b"")
        if held:
            yield held
        yield from self._pieces
