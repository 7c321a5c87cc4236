"""Has a mounted branch go along when its branch moves, and tells where it stands.

Owns: watching the ref, and the record of the mount.
Layer: mount. Imports trio.

A ref is a file of its own or a line of `packed-refs`, and each is replaced by another file when it
changes; so two calls of stat, four times a second, see every move. Once in a while the ref is read
all the same, for file systems whose times are coarse.

Concurrency: `Place` may be used from any thread. `follow` is a task; what waits for the workspace
or the disk runs in a thread of its own, so that a long commit keeps no request waiting.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from mlbfs.errors import MlbfsError
from mlbfs.ids import short_hex
from mlbfs.mount.invalidation import StaleAttributes, StaleName

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlbfs.mount.assemble import Assembly
    from mlbfs.mount.invalidation import Invalidations, Notice
    from mlbfs.mount.registry import MountRecord, Registration
    from mlbfs.workspace.checkout import Stale
    from mlbfs.workspace.workspace import Workspace

log = logging.getLogger(__name__)

LOOK_EVERY = 0.25
"""Seconds between two looks at the ref; a mount follows within one second."""

READ_EVERY = 15.0
"""Seconds after which the ref is read even if nothing seems to have changed."""

TRY_AGAIN = 2.0
"""Seconds after which a workspace that stayed behind is looked at again, or 20 times as long as it
took, if that is more: it may have become clean."""


class Place:
    """Where one mount stands, for its record and for the kernel."""

    def __init__(
        self, assembly: Assembly, registration: Registration, notices: Invalidations
    ) -> None:
        self.notices = notices
        self._workspace = assembly.workspace
        self._registration = registration
        self._lock = threading.Lock()
        if self._workspace is not None:
            self._workspace.on_stale = self._tell

    @property
    def record(self) -> MountRecord:
        """What is registered of the mount."""
        return self._registration.record

    def note(self, *, followed: bool = False) -> None:
        """Registers where the workspace stands now, if that is not registered yet."""
        workspace = self._workspace
        if workspace is None:
            return
        with self._lock:
            record = replace(
                self.record,
                ref=workspace.branch,
                commit=workspace.base.id.hex(),
                behind=workspace.behind,
            )
            if followed:
                record = replace(record, followed=time.time())
            if record == self.record:
                return
            try:
                self._registration.update(record)
            except MlbfsError as err:
                log.warning("%s", err.message)

    def _tell(self, stale: Stale) -> None:
        self.notices.add(_notices(stale))


def _notices(stale: Stale) -> Iterator[Notice]:
    for folder, name in stale.names:
        yield StaleName(folder, name)
    for inode in stale.attributes:
        yield StaleAttributes(inode)


class Follower:
    """Watches the branch of a workspace."""

    def __init__(self, workspace: Workspace, common_dir: Path, place: Place) -> None:
        self._workspace = workspace
        self._common_dir = common_dir
        self._place = place
        self._seen: object = None
        self._due = 0.0

    async def run(self) -> None:
        """Follows until it is cancelled. **Checkpoint:** always."""
        limiter = trio.CapacityLimiter(1)
        while True:
            await trio.to_thread.run_sync(self.look, limiter=limiter)
            await trio.sleep(LOOK_EVERY)

    def look(self) -> None:
        """Goes along with the branch if it has moved; never raises."""
        seen = self._stamps()
        if seen == self._seen and time.monotonic() < self._due:
            return
        began = time.monotonic()
        self._seen, self._due = seen, began + READ_EVERY
        try:
            self._follow()
        except MlbfsError as err:
            log.warning("the mount does not follow its branch: %s", err.message)
        except Exception:
            log.exception("the mount does not follow its branch")
        if self._workspace.behind:
            now = time.monotonic()
            self._due = now + max(TRY_AGAIN, 20 * (now - began))

    def _follow(self) -> None:
        workspace = self._workspace
        was_behind = workspace.behind
        moved = workspace.follow()
        if moved is not None and moved.stale is not None:
            log.info("followed %s to %s", workspace.branch, short_hex(workspace.base.id))
        elif moved is not None and not was_behind:
            log.info("%s has moved on; changes keep the mount where it is", workspace.branch)
        self._place.note(followed=moved is not None and moved.stale is not None)

    def _stamps(self) -> tuple[object, ...]:
        ref = f"refs/heads/{self._workspace.branch}"
        return (ref, _stamp(self._common_dir / ref), _stamp(self._common_dir / "packed-refs"))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Returns what a file cannot change without; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size)
