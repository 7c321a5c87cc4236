"""The mounts that there are: found by path, by repository, waited for and cleaned up.

Owns: how the registry and the kernel's table are put together, and how the end of a daemon is
awaited.
Layer: mount. Imports the light modules of this layer only.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlbfs.errors import ErrorKind, NotFoundError, StorageError
from mlbfs.mount.asking import ask as request
from mlbfs.mount.asking import find_record
from mlbfs.mount.detach import detach
from mlbfs.mount.mountinfo import MountEntry, mount_at, read_mountinfo
from mlbfs.mount.places import mount_around
from mlbfs.mount.registry import MountRecord, find_mounts, remove_record, run_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "LiveMount",
    "clean_up_stale",
    "find_mount",
    "find_record",
    "is_shown",
    "kill",
    "list_mounts",
    "request",
    "wait_for_end",
]

END_LIMIT = 60.0
"""Seconds that a daemon may take to end after its mount is gone; a running commit is waited for."""


@dataclass(frozen=True, slots=True)
class LiveMount:
    """A mount of a repository as the registry and the kernel see it.

    Attributes:
        record: What its daemon registered.
        is_alive: Whether the daemon lives.
        is_mounted: Whether the kernel shows it at its place.
    """

    record: MountRecord
    is_alive: bool
    is_mounted: bool


def find_mount(path: Path) -> MountEntry:
    """Returns the mlbfs mount that `path` is in.

    Raises:
        NotFoundError: It is in none.
    """
    entry = mount_around(path)
    if entry is None:
        raise NotFoundError(
            f"{str(path)!r} is not in an mlbfs mount",
            kind=ErrorKind.MOUNT_NOT_FOUND,
            hint="'mlbfs mounts' lists them",
        )
    return entry


def list_mounts(git_dir: Path) -> list[LiveMount]:
    """Returns the mounts of a repository, those that a crash has left too."""
    entries = read_mountinfo()
    return [
        LiveMount(found.record, found.is_alive, is_shown(found.record, entries))
        for found in find_mounts(run_directory(git_dir))
    ]


def is_shown(record: MountRecord, entries: list[MountEntry]) -> bool:
    """Returns whether the kernel shows a mount at its place; not after a lazy unmount."""
    entry = mount_at(entries, Path(record.directory))
    return entry is not None and entry.is_mlbfs and entry.device == record.device


def clean_up_stale(git_dir: Path) -> list[MountRecord]:
    """Unmounts what daemons that ended without unmounting have left; returns what it cleaned."""
    cleaned = []
    for live in list_mounts(git_dir):
        if not live.is_alive:
            if live.is_mounted:
                detach(Path(live.record.directory), lazy=True)
            remove_record(run_directory(git_dir), live.record)
            cleaned.append(live.record)
    return cleaned


# Daemons


@contextlib.contextmanager
def _process(record: MountRecord) -> Iterator[int | None]:
    """Yields a descriptor of a daemon's process, which no other process can come to mean."""
    try:
        process = os.pidfd_open(record.pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield process
    finally:
        os.close(process)


def wait_for_end(record: MountRecord) -> None:
    """Waits until the process of a mount is gone, so that the next one finds its locks free."""
    with _process(record) as process:
        if process is None:
            return
        poller = select.poll()
        poller.register(process, select.POLLIN)
        if not poller.poll(END_LIMIT * 1000):
            raise StorageError(
                f"the mount daemon {record.pid} has not ended after {END_LIMIT:.0f} s",
                kind=ErrorKind.MOUNT_FAILED,
                hint=f"look at its log, or end it with 'kill {record.pid}'",
            )


def kill(record: MountRecord) -> None:
    """Kills a daemon that does not answer; what was written is in its workspace."""
    with _process(record) as process:
        if process is not None and _is_alive(record):
            signal.pidfd_send_signal(process, signal.SIGKILL)
    wait_for_end(record)
    remove_record(run_directory(Path(record.git_dir)), record)


def _is_alive(record: MountRecord) -> bool:
    """Returns whether the daemon still holds its record's lock, so that its pid is its own."""
    run = run_directory(Path(record.git_dir))
    return any(m.is_alive for m in find_mounts(run) if m.record.id == record.id)
