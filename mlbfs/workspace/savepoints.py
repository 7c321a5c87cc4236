"""Savepoints: uncommitted work recorded as hidden commits, so that it can be brought back.

A savepoint is a commit on top of the base commit, under `refs/mlbfs/wip/<workspace>/<number>`. Its
content lies in the same stores as that of any commit; the next commit does not store it again.
Ignored files are not in it, as they are in no commit.

Owns: the refs of savepoints, their order, and which of them are kept.
Layer: workspace.

Invariants:
  V1. A savepoint never moves the branch nor the base, and leaves every change a change.
  V2. Programs never wait for one that is made by itself: a write to a large file that is being
      recorded goes on, and the savepoint comes to nothing.
  V3. The last savepoint of a workspace is never removed to make room for rules: content that was
      brought back from an older one is in it.

Concurrency: one recording of a workspace at a time, as with commits.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbfs.errors import ErrorKind, NotFoundError, StoreFullError
from mlbfs.git.commits import Identity, Signature
from mlbfs.git.identity import IdentityUnknownError, signed_now
from mlbfs.workspace.recording import GaveWayError, NothingToCommitError, Recording

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlbfs.git.commits import Commit
    from mlbfs.git.repository import GitRepository
    from mlbfs.ids import ObjectId
    from mlbfs.workspace.core import Core

PREFIX = "refs/mlbfs/wip/"

SAVED = "saved"
"""Setting of the overlay: the last generation that a savepoint has."""

QUIET = 30
"""Seconds without a change after which a savepoint is made: a pause in somebody's work."""

KEEP = 50
"""Savepoints of one workspace that are kept."""

DAYS = 30
"""Days that a savepoint is kept, as long as Git keeps what only a reflog remembers."""

PATIENCE = 60.0
"""Seconds that a savepoint may take that is made by itself: a file with a hole of a terabyte takes
minutes to read, and `umount` waits for it. The work is in the workspace in any case."""

_DAY = 24 * 3600
_NOBODY = Identity("mlbfs", "mlbfs@localhost")


@dataclass(frozen=True, slots=True)
class Rules:
    """When savepoints are made by themselves and how long they are kept.

    Attributes:
        quiet: Seconds without a change after which one is made; 0 for never.
        keep: How many of one workspace are kept, 1 at least.
        days: How many days, 0 for without end.
    """

    quiet: int = QUIET
    keep: int = KEEP
    days: int = DAYS


def read_rules(git: GitRepository) -> Rules:
    """Returns what the Git configuration says: `mlbfs.savepointQuiet`, `...Keep`, `...Days`."""
    return Rules(
        max(0, git.config_int("mlbfs.savepointQuiet", default=QUIET)),
        max(1, git.config_int("mlbfs.savepointKeep", default=KEEP)),
        max(0, git.config_int("mlbfs.savepointDays", default=DAYS)),
    )


@dataclass(frozen=True, slots=True)
class Savepoint:
    """One savepoint.

    Attributes:
        number: Counts up in the life of a workspace; what people type.
        commit: What it holds; its parent is the commit that the work stood on.
    """

    number: int
    commit: Commit


def list_savepoints(git: GitRepository, workspace: str) -> list[Savepoint]:
    """Returns the savepoints of a workspace, by the name of its folder, newest first."""
    prefix = f"{PREFIX}{workspace}/"
    found = [
        Savepoint(int(name.removeprefix(prefix)), git.read_commit(commit_id))
        for name, commit_id in git.refs.iter(prefix)
        if name.removeprefix(prefix).isdecimal()
    ]
    return sorted(found, key=lambda savepoint: -savepoint.number)


def find_savepoint(found: list[Savepoint], text: str) -> Savepoint:
    """Returns a savepoint by its number, or by the beginning of its commit's id.

    Raises:
        NotFoundError: There is none.
    """
    for savepoint in found:
        if str(savepoint.number) == text:
            return savepoint
    short = [point for point in found if len(text) >= 4 and point.commit.id.hex().startswith(text)]
    if len(short) == 1:
        return short[0]
    raise NotFoundError(
        f"there is no savepoint {text!r}",
        kind=ErrorKind.REF_NOT_FOUND,
        hint="'mlbfs undo' lists them",
    )


def prune_savepoints(git: GitRepository, workspace: str, rules: Rules, now: int) -> None:
    """Removes the savepoints that the rules give up, but never the last one (V3)."""
    for place, savepoint in enumerate(list_savepoints(git, workspace)):
        age = now - savepoint.commit.committer.time
        is_old = bool(rules.days) and age > rules.days * _DAY
        if place and (place >= rules.keep or is_old):
            _remove(git, workspace, savepoint)


def remove_savepoints(git: GitRepository, workspace: str) -> None:
    """Removes all savepoints of a workspace that is gone."""
    for savepoint in list_savepoints(git, workspace):
        _remove(git, workspace, savepoint)


def _remove(git: GitRepository, workspace: str, savepoint: Savepoint) -> None:
    git.refs.compare_and_swap(
        f"{PREFIX}{workspace}/{savepoint.number}",
        savepoint.commit.id,
        None,
        identity=savepoint.commit.committer,
        message="savepoint: given up",
    )


def _deadline() -> Callable[[], None]:
    """Returns a check that raises when a savepoint that nobody asked for has taken too long."""
    end = time.monotonic() + PATIENCE

    def check() -> None:
        if time.monotonic() > end:
            raise GaveWayError(f"it took longer than {PATIENCE:g} seconds")

    return check


class Savepointer:
    """Makes the savepoints of one workspace."""

    def __init__(self, core: Core, root: Path, read_file: Callable[[bytes], bytes | None]) -> None:
        self._core = core
        self._git = core.source.git
        self._root = root
        self._read_file = read_file

    def run(self, base: Commit, *, gives_way: bool) -> Savepoint | None:
        """Records what changed since `base`; returns None if nothing did.

        If the last savepoint holds the same, that one is returned.

        Args:
            base: The commit that the workspace stands on.
            gives_way: Come to nothing rather than let a program wait (V2), rather than take more
                than half of the room that the device has left, and rather than take longer than
                `PATIENCE`.

        Raises:
            GaveWayError: A program wrote to a large file meanwhile, or it took too long.
            StoreFullError: There is little room.
            StorageError: The device refused.
        """
        check = _deadline() if gives_way else lambda: None
        with Recording(
            self._core, base, self._read_file, check=check, gives_way=gives_way
        ) as recording:
            if gives_way:
                self._check_room(recording)
            who = self._signature()
            made: list[Savepoint] = []
            with suppress(NothingToCommitError):
                recording.write(
                    f"savepoint of {base.id.hex()}",
                    who,
                    who,
                    lambda commit_id: made.append(self._publish(commit_id, who)),
                )
            self._note(recording)
        if made:
            prune_savepoints(self._git, self._root.name, read_rules(self._git), who.time)
        return next(iter(made), None)

    def _publish(self, commit_id: ObjectId, who: Signature) -> Savepoint:
        commit = self._git.read_commit(commit_id)
        last = next(iter(list_savepoints(self._git, self._root.name)), None)
        if last is not None and (last.commit.tree, last.commit.parents) == (
            commit.tree,
            commit.parents,
        ):
            return last
        number = 1 if last is None else last.number + 1
        self._git.refs.compare_and_swap(
            f"{PREFIX}{self._root.name}/{number}",
            None,
            commit_id,
            identity=who,
            message="savepoint",
        )
        return Savepoint(number, commit)

    def _note(self, recording: Recording) -> None:
        core = self._core
        with core.changing():
            recording.keep_contents()
            core.overlay.set(SAVED, recording.captured.generation)
        with core.lock:
            core.forget_nodes()

    def _check_room(self, recording: Recording) -> None:
        needed = sum(self._own_bytes(ino) for ino in recording.reads)
        status = os.statvfs(self._root)
        room = status.f_bavail * status.f_frsize
        if needed > room // 2:
            raise StoreFullError(
                f"a savepoint may need {needed:,} bytes, and {room:,} are left",
                hint="free some space",
            )

    def _own_bytes(self, ino: int) -> int:
        """Returns how much of a file lies in the workspace, and so has to be stored."""
        with self._core.reading():
            node = self._core.overlay.node(ino)
            if node is None or not node.data:
                return 0
            return self._core.data.stat((ino, node.data)).st_blocks * 512

    def _signature(self) -> Signature:
        try:
            return self._git.signature("committer")
        except IdentityUnknownError:
            return signed_now(_NOBODY)


def is_due(core: Core) -> bool:
    """Returns whether something changed since the last commit and the last savepoint."""
    with core.reading():
        saved = core.overlay.get_int(SAVED, 0)
        return core.overlay.has_changes(max(saved, core.committed))
