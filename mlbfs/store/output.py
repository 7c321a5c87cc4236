"""A new file that is appended to: whole blocks go past the page cache, from a thread of their own.

Why past the page cache: an import of 100 GB would otherwise push out what a training run has there,
and filling fresh page cache was a third of the processor time of an import. Why a thread: neither
the caller nor the device then waits for the other while there is a free block.

Owns: the blocks, and the switch of a descriptor from direct to buffered writing for its tail.
Layer: store. Imports the leaves and files.

Concurrency: an Output belongs to one thread at a time; its writes run in order in another.
Durability: none before the descriptor that `finish` returns is synced.
"""

from __future__ import annotations

import mmap
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from mlbfs.limits import MIB

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.store.files import Files

BLOCK_SIZE = 4 * MIB
"""Bytes of a write: long enough for the device, and a multiple of what direct writing asks for."""
MAX_BLOCKS = 4
"""Blocks of one file: one that is filled, one that is written, and two for uneven moments."""


class Output:
    """Appends bytes to a new file."""

    def __init__(self, path: Path, files: Files) -> None:
        """Creates the file.

        Raises:
            OSError: The device refused.
        """
        self._files = files
        self._fd = files.create_direct(path)
        self._writer: ThreadPoolExecutor | None = None
        self._writing: deque[tuple[mmap.mmap, Future[None]]] = deque()
        self._block = mmap.mmap(-1, BLOCK_SIZE)  # Aligned to a page, as direct writing asks for.
        self._blocks = 1
        self._filled = 0

    def write(self, data: bytes | memoryview) -> None:
        """Takes bytes; they are copied.

        Raises:
            OSError: The device refused these bytes or earlier ones.
        """
        view = memoryview(data)
        while view:
            end = min(BLOCK_SIZE, self._filled + len(view))
            taken = end - self._filled
            self._block[self._filled : end] = view[:taken]
            self._filled = end
            view = view[taken:]
            if self._filled == BLOCK_SIZE:
                self._hand_over()

    def _hand_over(self) -> None:
        """Gives the full block to the thread and takes an empty one."""
        if self._writer is None:
            self._writer = ThreadPoolExecutor(1, "mlbfs-write")
        future = self._writer.submit(self._files.write_all, self._fd, self._block)
        self._writing.append((self._block, future))
        self._filled = 0
        if self._blocks < MAX_BLOCKS:
            self._block = mmap.mmap(-1, BLOCK_SIZE)
            self._blocks += 1
        else:
            self._block = self._take_back()

    def _take_back(self) -> mmap.mmap:
        block, future = self._writing.popleft()
        future.result()
        return block

    def finish(self) -> int:
        """Writes the tail and returns the descriptor, which is the caller's from then on.

        Raises:
            OSError: The device refused; `close` is still due.
        """
        while self._writing:
            self._take_back()
        self._end_thread()
        self._files.end_direct(self._fd)
        self._files.write_all(self._fd, memoryview(self._block)[: self._filled])
        fd, self._fd = self._fd, -1
        return fd

    def close(self) -> None:
        """Closes the file unless it was finished; doing it twice is fine."""
        self._end_thread()
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._files.close(fd)

    def _end_thread(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.shutdown(wait=True)
