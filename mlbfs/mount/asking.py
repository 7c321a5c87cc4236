"""Asks the daemon of a mount, by its record.

Owns: how long one waits for a daemon that does not answer.
Layer: mount. Imports the standard library and light modules, so that commands start quickly.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbfs.mount import control
from mlbfs.mount.places import mount_around
from mlbfs.mount.registry import find_mounts, run_directory, socket_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlbfs.mount.mountinfo import MountEntry
    from mlbfs.mount.registry import FoundMount, MountRecord

PATIENCE = 10.0
"""Seconds for an answer that costs nothing, before a mount is touched or given up: five signs of
life. Who waits for work to be done is more patient."""


def ask(
    record: MountRecord,
    command: str,
    arguments: dict[str, Any] | None = None,
    *,
    limit: float | None = None,
    can_give_up: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Any, list[Any]]:
    """Asks the daemon of a mount; returns the result and the items before it.

    For `can_give_up` and `progress` see `control.request`.

    Raises:
        NotFoundError: The daemon has ended.
        ControlError: It was silent for `limit` seconds.
        MlbfsError: The daemon refused.
    """
    path = socket_path(run_directory(Path(record.git_dir)), record.id)
    return control.request(
        path,
        command,
        arguments,
        place=record.directory,
        limit=limit,
        can_give_up=can_give_up,
        progress=progress,
    )


def find_record(entry: MountEntry) -> FoundMount | None:
    """Returns the record of a mount, None if nothing is registered for it."""
    if entry.git_dir is None:
        return None
    for found in find_mounts(run_directory(entry.git_dir)):
        if found.record.directory == str(entry.point) and found.record.device == entry.device:
            return found
    return None


def check_answers(path: Path) -> None:
    """Checks that the mount that `path` lies in, if any, answers, before the path is touched.

    A daemon that has ended is no obstacle: the kernel answers for it.

    Raises:
        ControlError: Its daemon is there but silent.
    """
    entry = mount_around(path)
    found = find_record(entry) if entry is not None else None
    if found is not None and found.is_alive:
        ask(found.record, "ping", limit=PATIENCE)
