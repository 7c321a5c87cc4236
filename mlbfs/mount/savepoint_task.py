"""Makes savepoints of a mounted workspace when programs pause, and at the end of the mount.

Owns: when a savepoint is made, and what becomes of one that fails: a line in the log.
Layer: mount. Imports workspace and trio.

Concurrency: `run` is a task of the loop; each step is a thread of its own, which takes the locks of
a commit. Programs are never waited for, nor made to wait (V2 of savepoints).
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import trio

from mlbfs.errors import MlbfsError
from mlbfs.workspace.recording import GaveWayError
from mlbfs.workspace.savepoints import Rules, read_rules

if TYPE_CHECKING:
    from mlbfs.workspace.source import SnapshotSource
    from mlbfs.workspace.workspace import Workspace

log = logging.getLogger(__name__)

_LOOKS = 5
"""Looks at the workspace in one quiet period."""

_SHORTEST, _LONGEST = 0.1, 10.0
"""Seconds between two looks; the longest is also how soon a change of the rules is heeded."""


class SavepointTask:
    """The savepoints of one mount."""

    def __init__(self, workspace: Workspace, source: SnapshotSource) -> None:
        self._workspace = workspace
        self._source = source
        self._seen: tuple[int, int] | None = None
        self._since = 0.0
        self._gave_up: tuple[int, int] | None = None

    async def run(self) -> None:
        """Makes savepoints until it is cancelled. **Checkpoint:** always."""
        limiter = trio.CapacityLimiter(1)
        pause = _SHORTEST
        while True:
            await trio.sleep(pause)
            pause = await trio.to_thread.run_sync(self._look, limiter=limiter)

    def finish(self) -> None:
        """Makes a savepoint of what none has yet, unless they are switched off."""
        if self._rules().quiet and self._workspace.activity != self._gave_up:
            self._make()

    def _rules(self) -> Rules:
        try:
            with self._source.git_lock:
                return read_rules(self._source.git)
        except MlbfsError as err:
            log.warning("the rules for savepoints cannot be read: %s", err.message)
            return Rules()

    def _look(self) -> float:
        """Makes a savepoint if it is time for one; returns the seconds until the next look."""
        quiet = self._rules().quiet
        pause = min(_LONGEST, max(_SHORTEST, quiet / _LOOKS)) if quiet else _LONGEST
        seen, now = self._workspace.activity, time.monotonic()
        if seen != self._seen:
            self._seen, self._since = seen, now
        elif quiet and now - self._since >= quiet and seen != self._gave_up:
            self._make()
        return pause

    def _make(self) -> None:
        try:
            if not self._workspace.needs_savepoint:
                return
            made = self._workspace.savepoint(gives_way=True)
            if made is not None:
                log.info("savepoint %d", made.number)
        except GaveWayError as err:
            log.info("no savepoint: %s", err.message)
            self._gave_up = self._workspace.activity
        except MlbfsError as err:
            # The work is in the workspace all the same; the next change tries again.
            log.warning("no savepoint: %s", err.message)
            self._gave_up = self._workspace.activity
