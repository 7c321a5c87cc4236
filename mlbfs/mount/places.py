"""Where a path of the host leads, found out without asking a mount of ours anything.

Owns: the way through symbolic links up to a mount, and not into it: a daemon that is stopped, or
that the caller is about to end, does not answer, and who has asked the kernel cannot give up.
Layer: mount. Imports mountinfo only, so that commands start quickly.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from mlbfs.mount.mountinfo import MountEntry, mount_of, read_mountinfo

if TYPE_CHECKING:
    from collections.abc import Collection

_LINKS_LIMIT = 40
"""Links that the kernel follows in one path; a longer way is a circle."""


def place_of(path: Path, entries: Collection[MountEntry] | None = None) -> Path:
    """Returns `path` without links, but for those that lie in a mount of ours.

    Args:
        path: Any path; it need not exist.
        entries: What is mounted; asked of the kernel by default.
    """
    if entries is None:
        entries = read_mountinfo()
    points = {entry.point for entry in entries if entry.is_mlbfs}
    done, links = Path("/"), 0
    todo = list(reversed(path.absolute().parts[1:]))
    while todo:
        name = todo.pop()
        if name in ("", "."):
            continue
        if name == "..":
            done = done.parent
            continue
        step = done / name
        target = None if _is_within(step, points) else _target(step)
        if target is None or links == _LINKS_LIMIT:
            done = step
            continue
        links += 1
        if target.startswith("/"):
            done = Path("/")
        todo.extend(reversed(target.split("/")))
    return done


def mount_around(path: Path) -> MountEntry | None:
    """Returns the mount of ours that `path` lies in, or None; the path is not touched."""
    entries = read_mountinfo()
    found = mount_of(entries, place_of(path, entries))
    return found if found is not None and found.is_mlbfs else None


def _is_within(path: Path, points: Collection[Path]) -> bool:
    return any(path == point or point in path.parents for point in points)


def _target(path: Path) -> str | None:
    try:
        return os.fspath(path.readlink())
    except OSError:  # no link, or nothing at all; whoever opens it is told
        return None
