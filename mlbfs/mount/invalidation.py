"""Tells the kernel what is not true any more, when a mount changes behind its back.

Names, attributes and pages may be kept by the kernel without end, because every change goes through
it. What does not (following a branch, switching, restoring) is told here, and by difference: what
did not change stays in its caches.

Owns: the queue of notices and the only calls that notify the kernel.
Layer: mount. Imports pyfuse3 and trio.

Rules:
  K1. The kernel is never notified from a request handler, nor under a lock that one needs: it holds
      the folder or the page that the notice is about until that request is answered. Notices are
      queued from anywhere; a task of the loop has them told in a thread of their own, where a
      notice may wait while requests go on being answered.
  K2. A notice is queued after the change that it is about can be seen. A lookup that began before
      holds its folder, so the notice waits until the kernel has the old answer, and takes it away;
      one that begins later finds what is new.
  K3. A file that comes to show other bytes gets another inode number, so that programs keep what
      they have open and mapped; where that cannot be, its pages are dropped.
  K4. Nothing is told once the connection ends.

Concurrency: `add` and `flush` are for worker threads, `run` is the task.
"""

from __future__ import annotations

import errno
import logging
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pyfuse3
import trio

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger(__name__)

FLUSH_LIMIT = 30.0
"""Seconds that somebody waits until the kernel was told."""

_BATCH = 1000
"""Notices for each turn of the thread, about 10 ms; between two turns the task can be cancelled."""

_GONE = (errno.ENOTCONN, errno.ENODEV, errno.EBADF)
"""What a connection answers that has ended."""


class Notice(Protocol):
    """One thing that the kernel has to forget."""

    def tell(self) -> None:
        """Tells the kernel; may wait for requests that are under way."""


@dataclass(frozen=True, slots=True)
class StaleName:
    """A name of a folder means something else, or came, or went."""

    folder: int
    name: bytes

    def tell(self) -> None:
        """Has the kernel forget the name, and what it knew below."""
        pyfuse3.invalidate_entry(self.folder, self.name)


@dataclass(frozen=True, slots=True)
class StaleAttributes:
    """The attributes of an inode are others; its bytes are as they were."""

    inode: int

    def tell(self) -> None:
        """Has the kernel ask again."""
        pyfuse3.invalidate_inode(self.inode, attr_only=True)


@dataclass(frozen=True, slots=True)
class StalePages:
    """The bytes of an inode are others (K3). The notice waits for reads that are under way."""

    inode: int

    def tell(self) -> None:
        """Has the kernel drop its pages, and ask for the attributes again."""
        pyfuse3.invalidate_inode(self.inode)


class Invalidations:
    """The notices of one mount.

    Attributes:
        told: How many notices the kernel was given.
    """

    def __init__(self) -> None:
        self.told = 0
        self._lock = threading.Lock()
        self._done = threading.Condition(self._lock)
        self._queue: deque[Notice] = deque()
        self._added = 0
        self._finished = 0
        self._is_closed = False
        self._token: trio.lowlevel.TrioToken | None = None
        self._wake: trio.Event | None = None

    def add(self, notices: Iterable[Notice]) -> None:
        """Queues notices; call it after the change can be seen (K2)."""
        with self._lock:
            if self._is_closed:
                return  # K4
            before = len(self._queue)
            self._queue.extend(notices)
            self._added += len(self._queue) - before
            token = self._token
        if token is not None:
            token.run_sync_soon(self._set, idempotent=True)

    def flush(self, limit: float = FLUSH_LIMIT) -> bool:
        """Waits until the kernel was told of all that was added before.

        Must not be called by a request handler, on the loop, or under the lock of a view (K1).

        Returns:
            Whether it was told in time; the rest is told later all the same.
        """
        with self._done:
            wanted = self._added
            return self._done.wait_for(lambda: self._is_closed or self._finished >= wanted, limit)

    async def run(self) -> None:
        """Tells the kernel, until it is cancelled. **Checkpoint:** always."""
        limiter = trio.CapacityLimiter(1)
        self._wake = trio.Event()
        with self._lock:
            self._token = trio.lowlevel.current_trio_token()
            waiting = bool(self._queue)
        try:
            while True:
                if not waiting:
                    await self._wake.wait()
                self._wake = trio.Event()
                waiting = await trio.to_thread.run_sync(self._tell_some, limiter=limiter)
        finally:
            self.close()

    def close(self) -> None:
        """Drops what was not told yet (K4), and lets go of those who wait."""
        with self._done:
            self._is_closed = True
            self._queue.clear()
            self._done.notify_all()

    def _set(self) -> None:
        if self._wake is not None:
            self._wake.set()

    def _tell_some(self) -> bool:
        """Tells some notices; returns whether more are waiting."""
        with self._lock:
            batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
        for notice in batch:
            if self._is_closed:
                break
            self._tell(notice)
        with self._done:
            self._finished += len(batch)
            self._done.notify_all()
            return bool(self._queue)

    def _tell(self, notice: Notice) -> None:
        try:
            notice.tell()
        except FileNotFoundError:  # the kernel does not know it, so it has nothing to forget
            return
        except OSError as err:
            if err.errno in _GONE:
                log.debug("the connection has ended: %s", notice)
            else:
                log.warning("the kernel does not take %s: %s", notice, err)
            return
        self.told += 1
