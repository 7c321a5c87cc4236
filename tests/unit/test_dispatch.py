"""What becomes of the errors of request handlers, and what runs where."""

from __future__ import annotations

import errno
import threading

import pyfuse3
import pytest
import trio

from mlbfs.errors import CorruptionError
from mlbfs.mount.dispatch import Threads, handler
from mlbfs.workspace.vfs_errors import NotEmpty


class Handlers:
    """Handlers that fail in each way."""

    async def path_of(self, inode: int) -> bytes | None:
        return b"d/file" if inode == 7 else None

    @handler
    async def answer(self, inode: int, error: Exception | None) -> int:
        if error is not None:
            raise error
        return inode


def _errno(error: Exception) -> int:
    with pytest.raises(pyfuse3.FUSEError) as caught:
        trio.run(Handlers().answer, 7, error)
    return caught.value.errno


def test_result_passes() -> None:
    """A handler that succeeds is not touched."""
    assert trio.run(Handlers().answer, 7, None) == 7


def test_errors_become_numbers(caplog: pytest.LogCaptureFixture) -> None:
    """Answers, damage, bugs and errors of the binding each become an errno; nothing else leaves."""
    assert _errno(NotEmpty(b"x")) == errno.ENOTEMPTY
    assert _errno(pyfuse3.FUSEError(errno.ENOSYS)) == errno.ENOSYS
    assert caplog.records == []
    assert _errno(CorruptionError("pack abc is damaged")) == errno.EIO
    assert "answer of inode 0x7 ('d/file'): pack abc" in caplog.text
    assert _errno(KeyError("a bug")) == errno.EIO
    assert "Traceback" in caplog.text


def test_cancellation_passes() -> None:
    """Cancellation is the loop's business and is never caught."""

    class Slow:
        @handler
        async def wait(self, inode: int) -> None:
            await trio.sleep_forever()

    async def main() -> bool:
        with trio.CancelScope() as scope:
            scope.cancel()
            await Slow().wait(1)
        return scope.cancelled_caught

    assert trio.run(main)


def test_threads_are_not_the_loop() -> None:
    """Both pools run work beside the loop, and errors come back from there."""

    async def main() -> set[int]:
        threads = Threads()
        with pytest.raises(NotEmpty):
            await threads.run(_raise, NotEmpty(b"x"))
        return {await threads.read(threading.get_ident), await threads.run(threading.get_ident)}

    assert threading.get_ident() not in trio.run(main)


def test_reads_have_threads_of_their_own() -> None:
    """Changes that take all their threads delay no read."""

    async def main() -> bytes:
        threads, release = Threads(), threading.Event()
        async with trio.open_nursery() as nursery:
            for _ in range(40):
                nursery.start_soon(threads.run, release.wait, 30)
            data = await threads.read(bytes, 3)
            release.set()
        return data

    assert trio.run(main) == b"\0\0\0"


def _raise(error: Exception) -> None:
    raise error
