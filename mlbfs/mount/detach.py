"""Takes mounts away: the clean way, the lazy way, and who is in the way.

Owns: how a mount point is unmounted, as root and as another user.
Layer: mount. Imports checks and errors, so that commands start quickly.

Concurrency: a clean unmount may wait for the daemon of the mount, so the daemon calls it from a
worker thread and goes on answering.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mlbfs.errors import ConflictError, ErrorKind, StorageError
from mlbfs.mount.checks import SYSTEM_PATH, find_helper

_MNT_DETACH = 2
_UMOUNT_NOFOLLOW = 8
_TIME_LIMIT = 20.0
_HOLDERS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that uses a mount, and how."""

    pid: int
    name: str
    what: str


def detach(directory: Path, *, lazy: bool = False) -> None:
    """Unmounts the topmost mount at `directory`.

    Args:
        directory: The mount point, absolute and without links.
        lazy: Take it out of sight now, even if it is in use or its daemon is dead.

    Raises:
        ConflictError: It is in use; the message says by whom (MOUNT_BUSY).
        StorageError: The kernel or fusermount3 refused.
    """
    error = (
        _detach_as_root(directory, lazy) if os.geteuid() == 0 else _detach_as_user(directory, lazy)
    )
    if error is None:
        return
    if "busy" in error.lower():
        raise busy_error(directory)
    raise StorageError(f"cannot unmount {str(directory)!r}: {error}", kind=ErrorKind.MOUNT_FAILED)


def busy_error(directory: Path) -> ConflictError:
    """Returns the error that says who uses the mount at `directory`."""
    holders = find_holders(directory)
    names = ", ".join(f"{h.name} ({h.pid}, {h.what})" for h in holders[:_HOLDERS_SHOWN])
    more = len(holders) - _HOLDERS_SHOWN
    by = f" by {names}" if names else ""
    return ConflictError(
        f"{str(directory)!r} is in use{by}" + (f" and {more} more" if more > 0 else ""),
        kind=ErrorKind.MOUNT_BUSY,
        hint="leave it and close its files, or run 'mlbfs umount --lazy'",
    )


def find_holders(directory: Path) -> list[Holder]:
    """Returns the processes that this user may see using the mount at `directory`, best effort."""
    prefix = os.fsencode(directory)
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            what = _use_of(entry.path, prefix)
            if what is not None:
                found.append(Holder(int(entry.name), _process_name(entry.path), what))
    return found


def _use_of(process: str, prefix: bytes) -> str | None:
    for name, what in (("cwd", "working folder"), ("root", "root folder"), ("exe", "program")):
        if _points_below(f"{process}/{name}", prefix):
            return what
    try:
        descriptors = [path.name for path in Path(process, "fd").iterdir()]
    except OSError:  # ended meanwhile, or another user's
        return None
    if any(_points_below(f"{process}/fd/{number}", prefix) for number in descriptors):
        return "open file"
    return None


def _points_below(link: str, prefix: bytes) -> bool:
    try:
        target = os.fsencode(Path(link).readlink())
    except OSError:  # ended meanwhile, or another user's
        return False
    return target == prefix or target.startswith(prefix + b"/")


def _process_name(process: str) -> str:
    try:
        return Path(process, "comm").read_text(errors="replace").strip()
    except OSError:  # ended meanwhile
        return "?"


def _detach_as_root(directory: Path, lazy: bool) -> str | None:
    libc = ctypes.CDLL(None, use_errno=True)
    flags = _UMOUNT_NOFOLLOW | (_MNT_DETACH if lazy else 0)
    if libc.umount2(os.fsencode(directory), flags) == 0:
        return None
    return os.strerror(ctypes.get_errno())


def _detach_as_user(directory: Path, lazy: bool) -> str | None:
    helper = find_helper("fusermount3") or "fusermount3"
    command = [helper, "-u", *(["-z"] if lazy else []), "--", os.fspath(directory)]
    try:
        # The words of its errors are read, so they are asked for in one language.
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=_TIME_LIMIT,
            check=False,
            env={"LC_ALL": "C", "PATH": SYSTEM_PATH},
        )
    except (OSError, subprocess.TimeoutExpired) as err:
        return str(err)
    if done.returncode == 0:
        return None
    return done.stderr.decode(errors="replace").strip().replace("\n", "; ") or "refused"
