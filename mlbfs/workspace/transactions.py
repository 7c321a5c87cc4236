"""The workspace's lock, and operations that happen whole or not at all.

Owns: the lock; the transaction of an operation, and the steps that take back what it did outside
the database; the reserve for operations that give space back.
Layer: workspace.

Concurrency: the lock is held in `reading`, `changing` and `freeing`. It is not held while the
snapshot is read for a read, nor while bytes of a data file are read or written.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlbfs.workspace.overlay import DatabaseError, Overlay, from_database_error
from mlbfs.workspace.vfs_errors import VfsError, from_os_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    from mlbfs.workspace.reserve import Reserve

    R = TypeVar("R")

log = logging.getLogger(__name__)


class _Reading:
    """Holds the lock; there is one for all, as it has no state of its own."""

    __slots__ = ("_lock", "_overlay")

    def __init__(self, lock: threading.RLock, overlay: Overlay) -> None:
        self._lock = lock
        self._overlay = overlay

    def __enter__(self) -> None:
        self._lock.acquire()
        try:
            self._overlay.restore()
        except DatabaseError as err:
            self._lock.release()
            raise from_database_error(err) from err

    def __exit__(self, kind: object, err: BaseException | None, trace: object) -> None:
        self._lock.release()
        if isinstance(err, DatabaseError):
            raise from_database_error(err) from err
        if isinstance(err, OSError):
            raise from_os_error(err) from err


class Transactions(ABC):
    """Makes operations of one workspace, one at a time."""

    def __init__(self, overlay: Overlay, reserve: Reserve) -> None:
        self.overlay = overlay
        self._reserve = reserve
        self.lock = threading.RLock()
        self.idle = threading.Condition(self.lock)
        self._undo: list[Callable[[], object]] = []
        self._after: list[Callable[[], object]] = []
        self._reading = _Reading(self.lock, overlay)

    @abstractmethod
    def forget_nodes(self) -> None:
        """Drops the cached rows; they are read again when they are needed."""

    def reading(self) -> _Reading:
        """Holds the lock; errors of the database and of the system become answers."""
        return self._reading

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Holds the lock and makes one transaction; on any error all is as before."""
        overlay = self.overlay
        with self.lock:
            if overlay.in_transaction:
                yield
                return
            before = overlay.changes
            try:
                self._after.clear()
                overlay.start()
                try:
                    yield
                except BaseException:
                    overlay.abandon()
                    raise
                overlay.finish()
            except BaseException as err:
                self._take_back(err, before)
                if isinstance(err, DatabaseError):
                    raise from_database_error(err) from err
                if isinstance(err, OSError):
                    raise from_os_error(err) from err
                raise
            finally:
                self._undo.clear()
            while self._after:
                self._after.pop()()

    def _take_back(self, err: BaseException, before: int) -> None:
        """Undoes what an operation did beside the database."""
        while self._undo:
            step = self._undo.pop()
            try:
                step()
            except OSError as refusal:  # a data file that no row names: the next opening removes it
                log.warning("what a failed operation left is not taken back: %s", refusal)
        # An answer that was given before anything changed is everyday: no need to forget.
        answer = isinstance(err, VfsError) and err.__cause__ is None
        if not answer or self.overlay.changes != before:
            self.forget_nodes()

    def undo(self, step: Callable[[], object]) -> None:
        """Has a step done if the transaction comes to nothing; the last one goes first."""
        self._undo.append(step)

    def after(self, step: Callable[[], object]) -> None:
        """Has a step done once the transaction has been made."""
        self._after.append(step)

    def note(self, group: set[int], ino: int) -> None:
        """Adds an inode to one of the groups, unless the transaction comes to nothing."""
        group.add(ino)
        self.undo(lambda: group.discard(ino))

    def freeing(self, operation: Callable[[], R]) -> R:
        """Runs an operation that gives space back, which works on a full device too.

        Args:
            operation: Does all or nothing.
        """
        with self.lock:
            if self.overlay.in_transaction:
                return operation()
            return self._reserve.spend(self.overlay, operation)
