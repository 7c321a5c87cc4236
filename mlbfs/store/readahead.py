"""Reading one content from an offset to its end, some steps ahead of whoever uses it.

A thread that reads and decodes a chunk at a time waits for the disk at each of them; two reads
under way at once are more than twice as fast from a cold disk.

Owns: how far reading is ahead, and the buffers for that.
Layer: store. Imports limits.

Concurrency: the content is read by threads of the pool; the generator belongs to one thread.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import cycle
from typing import TYPE_CHECKING, Any, Protocol

from mlbfs.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

STEP = 2 * MIB
AHEAD = 3
"""Buffers: the one that is used, and two that are being filled."""


class Content(Protocol):
    """Bytes of a known length; safe from several threads."""

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fills a buffer with the bytes from an offset on, which are all there."""


def read_ahead(
    pool: ThreadPoolExecutor, content: Content, start: int, stop: int
) -> Generator[memoryview, None, None]:
    """Yields content in order; a part may be used until the next one is asked for.

    To be closed before the content is: threads may be reading it until then.
    """
    offsets = range(start, stop, STEP)
    size = min(STEP, stop - start)
    buffers = cycle([memoryview(bytearray(size)) for _ in range(min(AHEAD, len(offsets)))])
    waiting: deque[Future[memoryview]] = deque()

    def read(offset: int, buffer: memoryview) -> memoryview:
        content.read_into(offset, buffer)
        return buffer

    try:
        for offset in offsets:
            if len(waiting) == AHEAD:
                yield waiting.popleft().result()
            waiting.append(pool.submit(read, offset, next(buffers)[: stop - offset]))
        while waiting:
            yield waiting.popleft().result()
    finally:
        settle(waiting)


def settle(futures: Iterable[Future[Any]]) -> None:
    """Returns when no thread works on any of these, and none will begin to.

    `wait` alone would not return for what was cancelled by the end of its pool: nobody tells it.
    """
    wait([future for future in futures if not future.cancel()])
