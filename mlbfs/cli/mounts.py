"""What commands ask about live mounts: which there are, and the one that a folder means.

Owns: how a command gets from a folder or a branch to the daemon that serves it.
Layer: cli. Imports only the light part of mount/.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbfs.cli.context import here, mount_around
from mlbfs.cli.params import RefPath, relative_tree_path
from mlbfs.errors import ErrorKind, InvalidInputError, NotFoundError
from mlbfs.mount.control import request
from mlbfs.mount.mountinfo import read_mountinfo
from mlbfs.mount.registry import find_mounts, run_directory, socket_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlbfs.mount.registry import FoundMount, MountRecord
    from mlbfs.workspace.importer import ImportSource


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


def default_place() -> RefPath:
    """Returns the ref and path that the working folder means: of its mount, else `HEAD`."""
    place = here()
    entry = mount_around(place)
    if entry is None or entry.git_dir is None:
        return RefPath("HEAD", b"")
    record = mount_at_path(place)
    path = relative_tree_path(Path(os.path.realpath(place)), entry.point)
    if record.kind == "all":  # branches/..., tags/... and commits/... are not paths of one tree
        return RefPath("HEAD", b"")
    return RefPath(record.ref, path)


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


def ask(record: MountRecord, command: str, **arguments: object) -> tuple[Any, list[Any]]:
    """Sends one command to the daemon of a mount and returns its result and items."""
    path = socket_path(run_directory(Path(record.git_dir)), record.id)
    return request(path, command, arguments)


def refuse_mounted_sources(sources: Iterable[ImportSource]) -> None:
    """Refuses to import out of, or across, a mount of ours: the branch has those files already.

    Raises:
        InvalidInputError: Names the source and the mount.
    """
    points = [entry.point for entry in read_mountinfo() if entry.is_mlbfs]
    for source in sources:
        real = Path(os.path.realpath(source.host))
        for point in points:
            if real.is_relative_to(point) or point.is_relative_to(real):
                raise InvalidInputError(
                    f"source {str(source.host)!r} overlaps the mount at {str(point)!r}",
                    kind=ErrorKind.INVALID_PATH,
                    hint="commit the work of a mount with 'mlbfs commit'; "
                    "take files out of a ref with 'mlbfs export'",
                )
