"""Finds live mounts: those of a repository, and the one that a folder lies in.

Owns: how one gets from a folder or a branch to the daemon that serves it.
Layer: api. Imports only the light part of mount/.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbfs.errors import ErrorKind, InvalidInputError, NotFoundError
from mlbfs.mount import asking
from mlbfs.mount.asking import check_answers
from mlbfs.mount.places import mount_around, place_of
from mlbfs.mount.registry import find_mounts, run_directory

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlbfs.mount.registry import FoundMount, MountRecord

__all__ = [
    "ask",
    "check_answers",
    "mount_around",
    "mount_at_path",
    "mounts_of",
    "path_in_mount",
    "place_of",
]


def mounts_of(git_dir: Path, branch: str | None = None) -> list[FoundMount]:
    """Returns the live mounts of a repository; with `branch`, only the writable one of it."""
    found = [mount for mount in find_mounts(run_directory(git_dir)) if mount.is_alive]
    if branch is None:
        return found
    return [
        mount
        for mount in found
        if (mount.record.kind, mount.record.ref) == ("branch", branch)
        and not mount.record.read_only
    ]


def mount_at_path(path: Path) -> MountRecord:
    """Returns the record of the live mount that `path` lies in.

    Raises:
        NotFoundError: It lies in none, or the daemon of that mount has died.
    """
    entry = mount_around(path)
    if entry is None or entry.git_dir is None:
        raise NotFoundError(
            f"{str(path)!r} is not inside a mount",
            kind=ErrorKind.MOUNT_NOT_FOUND,
            hint="name a folder inside a mount, or a branch with --branch ('mlbfs mounts' lists)",
        )
    for mount in mounts_of(entry.git_dir):
        if mount.record.directory == str(entry.point):
            return mount.record
    raise NotFoundError(
        f"the mount at {str(entry.point)!r} has no living daemon",
        kind=ErrorKind.MOUNT_STALE,
        hint=f"run 'mlbfs umount {entry.point}' and mount it again; unsaved work is kept",
    )


def path_in_mount(path: Path, point: Path) -> bytes:
    """Returns where in the tree of the mount at `point` a host path lies; it need not exist.

    Links on the way to the mount are followed, those in it are not: a link is a path, too.

    Raises:
        InvalidInputError: It lies outside.
    """
    seen = os.path.abspath(path)  # noqa: PTH100 - a deleted path has a name, too
    for place in (seen, place_of(Path(seen))):
        relative = os.path.relpath(place, point)
        if relative == ".":
            return b""
        if not relative.startswith("../") and relative != "..":
            return os.fsencode(relative)
    raise InvalidInputError(
        f"{str(path)!r} lies outside of the mount at {str(point)!r}",
        kind=ErrorKind.INVALID_PATH,
        hint="name paths of one mount",
    )


@dataclass(frozen=True, slots=True)
class Switched:
    """What came of a switch.

    Attributes:
        branch: The branch that the mount shows now.
        commit: The commit that it stands on.
        carried: Paths of changes that came along.
    """

    branch: str
    commit: str
    carried: list[bytes]


def switch_mount(record: MountRecord, branch: str) -> Switched:
    """Has a mount go to another branch, with its changes.

    Raises:
        NotFoundError: There is no such branch.
        ConflictError: A change is in the way (CHANGES_IN_THE_WAY), or another mount has the
            branch; nothing changed.
        ReadOnlyError: The mount is not written to.
    """
    found, _ = ask(record, "switch", branch=branch)
    carried = [path.encode("utf-8", "surrogateescape") for path in found["carried"]]
    return Switched(found["branch"], found["commit"], carried)


def ask(
    record: MountRecord,
    command: str,
    *,
    can_give_up: bool = False,
    progress: Callable[[int, int], None] | None = None,
    **arguments: object,
) -> tuple[Any, list[Any]]:
    """Sends one command to the daemon of a mount and returns its result and items."""
    return asking.ask(record, command, arguments, can_give_up=can_give_up, progress=progress)
