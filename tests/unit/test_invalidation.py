"""The queue of what the kernel has to forget."""

from __future__ import annotations

import errno
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from mlbfs.mount.invalidation import Invalidations

if TYPE_CHECKING:
    import pytest


@dataclass
class Told:
    """Notices that note when they are told, or fail."""

    order: list[int] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)

    def notice(self, number: int, error: OSError | None = None) -> Note:
        return Note(self, number, error)


@dataclass
class Note:
    """One notice of `Told`."""

    told: Told
    number: int
    error: OSError | None

    def tell(self) -> None:
        self.told.order.append(self.number)
        self.told.threads.add(threading.get_ident())
        if self.error is not None:
            raise self.error


def _run_beside(notices: Invalidations, work: object) -> None:
    """Runs the task on a loop, `work` in a thread, and ends the task after it."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(notices.run)
            await trio.to_thread.run_sync(work)
            nursery.cancel_scope.cancel()

    trio.run(main)


def test_told_in_order_and_off_the_loop() -> None:
    """All that was added is told once, in order, by another thread than the loop's."""
    notices, told = Invalidations(), Told()
    notices.add([told.notice(0)])  # before there is a loop

    def work() -> None:
        for number in range(1, 2500):
            notices.add([told.notice(number)])
        assert notices.flush()

    _run_beside(notices, work)
    assert told.order == list(range(2500))
    assert threading.get_ident() not in told.threads
    assert notices.told == 2500


def test_what_the_kernel_refuses_holds_nothing_up(caplog: pytest.LogCaptureFixture) -> None:
    """An unknown name is no event, another error a warning, and the rest is told all the same."""
    notices, told = Invalidations(), Told()

    def work() -> None:
        notices.add([told.notice(1, FileNotFoundError(errno.ENOENT, "no"))])
        notices.add([told.notice(2, OSError(errno.EIO, "bad")), told.notice(3)])
        assert notices.flush()

    _run_beside(notices, work)
    assert told.order == [1, 2, 3]
    assert notices.told == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_nothing_is_told_after_the_end() -> None:
    """Once the task has ended nothing is kept, and nobody waits."""
    notices, told = Invalidations(), Told()
    _run_beside(notices, lambda: None)
    notices.add([told.notice(1)])
    assert notices.flush()
    assert told.order == []


def test_waiting_has_a_limit() -> None:
    """Who waits for a kernel that is not told gets an answer all the same."""
    notices = Invalidations()
    notices.add([Told().notice(1)])
    assert not notices.flush(limit=0.01)
