"""How a request is run: inline or in a thread, and what becomes of its errors.

Owns: the limits on threads and the last `except` of the file system.
Layer: mount. Imports pyfuse3 and trio.

Concurrency: the trio loop must never wait for the disk, because every other request would wait
with it. A thread costs two hand-overs, about as much as a whole request, so what is known to be in
memory is answered on the loop.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar, cast

import pyfuse3
import trio

from mlbfs.mount.errno_map import has_a_line, report

R = TypeVar("R")
Handler = TypeVar("Handler", bound=Callable[..., Coroutine[Any, Any, Any]])

READ_THREADS = 8
"""Reads that wait for the disk at once; each holds a decompressed megabyte at most."""

CHANGE_THREADS = 16
"""Other operations in threads at once. Apart from reads, so that a long fsync delays no read."""


class Threads:
    """The two pools of worker threads."""

    def __init__(self) -> None:
        self._reads = trio.CapacityLimiter(READ_THREADS)
        self._changes = trio.CapacityLimiter(CHANGE_THREADS)

    async def read(self, function: Callable[..., R], *args: object) -> R:
        """Runs a read in a thread. **Checkpoint:** always."""
        return await trio.to_thread.run_sync(function, *args, limiter=self._reads)

    async def run(self, function: Callable[..., R], *args: object) -> R:
        """Runs any other operation in a thread. **Checkpoint:** always."""
        return await trio.to_thread.run_sync(function, *args, limiter=self._changes)


class Served(Protocol):
    """What has handlers."""

    async def path_of(self, inode: int) -> bytes | None:
        """Returns a path that leads to an inode, for the log; None if none is known."""


def handler(method: Handler) -> Handler:
    """Makes every error of a request handler an errno for the caller, and a log line if it matters.

    The first argument of a handler is the inode or handle that the log line names, with its path.
    pyfuse3 ends the file system on any exception but its own, so nothing else may leave a handler.
    """
    name = method.__name__

    @functools.wraps(method)
    async def wrapper(self: Served, inode: int, *args: object, **kwargs: object) -> object:
        try:
            return await method(self, inode, *args, **kwargs)
        except pyfuse3.FUSEError:
            raise
        except Exception as err:
            path = await self.path_of(inode) if has_a_line(err) else None
            raise pyfuse3.FUSEError(report(err, name, inode, path)) from err

    return cast("Handler", wrapper)
