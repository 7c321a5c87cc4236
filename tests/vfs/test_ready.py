"""A view says when an answer would have to wait."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlbfs.workspace.testing import Bench


def test_not_ready_while_another_thread_has_the_lock(bench: Bench) -> None:
    """The question itself never waits for the lock, and the bytes of a snapshot need none."""
    with bench.open() as workspace:
        found = workspace.lookup(workspace.root_inode, b"a")
        taken, done = threading.Event(), threading.Event()

        def hold() -> None:
            with workspace._core.lock:
                taken.set()
                assert done.wait(30)

        assert workspace.is_ready(found.ino)
        thread = threading.Thread(target=hold)
        thread.start()
        assert taken.wait(30)
        assert not workspace.is_ready(found.ino)
        assert workspace.read(found.ino, 0, 100) == b"text of a\n"
        done.set()
        thread.join(30)
        assert workspace.is_ready(found.ino)
