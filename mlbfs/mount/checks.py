"""What must be true before a mount is tried, each with an error that says what to do.

Owns: the questions asked of the machine and of the mount point, and their order.
Layer: mount. Imports mountinfo and errors, so that commands start quickly.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from mlbfs.errors import (
    AlreadyExistsError,
    ConflictError,
    ErrorKind,
    InvalidInputError,
    NotFoundError,
    UnsupportedError,
    storage_error,
)
from mlbfs.mount.mountinfo import MountEntry, mount_at, read_mountinfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

log = logging.getLogger(__name__)

FUSE_DEVICE = Path("/dev/fuse")
_FUSE_NUMBERS = (10, 229)
"""Major and minor number of the device, fixed by the kernel (Documentation/admin-guide/devices)."""

_STATUS = Path("/proc/self/status")
_CAP_SYS_ADMIN = 21
"""Number of the capability that mount(2) asks for."""

_FUSE_CONF = Path("/etc/fuse.conf")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where system programs are looked for; the caller's environment is not read."""

DEAD_ERRORS = (errno.ENOTCONN, errno.ECONNABORTED)
"""What the kernel answers on a FUSE mount whose daemon is gone."""


def find_helper(name: str) -> str | None:
    """Returns the path of a system program; looked for in the system's folders only."""
    for folder in SYSTEM_PATH.split(":"):
        path = os.path.join(folder, name)  # noqa: PTH118 - text, as subprocess wants it
        if os.access(path, os.X_OK):
            return path
    return None


def check_fuse() -> None:
    """Checks that this machine and user may mount FUSE file systems.

    Raises:
        UnsupportedError: They may not; the hint says what is missing.
    """
    try:
        # libfuse opens it as the user too, before it asks fusermount3.
        device = os.open(FUSE_DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError as err:
        raise UnsupportedError(
            "this machine has no /dev/fuse",
            kind=ErrorKind.FUSE_UNAVAILABLE,
            hint="load it with 'modprobe fuse'; in a container, pass '--device /dev/fuse"
            " --cap-add SYS_ADMIN'",
        ) from err
    except OSError as err:
        raise UnsupportedError(
            f"/dev/fuse cannot be opened: {err.strerror}",
            kind=ErrorKind.FUSE_UNAVAILABLE,
            hint="it should have mode 0666: 'chmod 666 /dev/fuse' as root; in a container, pass"
            " '--device /dev/fuse --cap-add SYS_ADMIN'",
        ) from err
    with os.fdopen(device, "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
    if not stat.S_ISCHR(status.st_mode) or status.st_rdev != os.makedev(*_FUSE_NUMBERS):
        raise UnsupportedError(
            "/dev/fuse is not the FUSE device",
            kind=ErrorKind.FUSE_UNAVAILABLE,
            hint="make it anew as root: 'rm /dev/fuse && mknod -m 666 /dev/fuse c 10 229'; in a"
            " container, pass '--device /dev/fuse'",
        )
    if os.geteuid() != 0:
        _check_helper()
    check_privileges(_STATUS.read_text(), is_root=os.geteuid() == 0)


def check_privileges(status: str, *, is_root: bool) -> None:
    """Checks that the kernel lets this process mount: root by itself, others with fusermount3.

    Args:
        status: Text of `/proc/self/status`.
        is_root: Whether the process mounts by itself.

    Raises:
        UnsupportedError: The capability to mount was taken away, as containers do.
    """
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    if not int(fields["CapEff" if is_root else "CapBnd"], 16) >> _CAP_SYS_ADMIN & 1:
        raise UnsupportedError(
            "mounting is not allowed here: the capability SYS_ADMIN was taken away",
            kind=ErrorKind.FUSE_UNAVAILABLE,
            hint="in a container, pass '--device /dev/fuse --cap-add SYS_ADMIN'",
        )
    if not is_root and fields.get("NoNewPrivs", "0").strip() == "1":
        raise UnsupportedError(
            "mounting is not allowed here: fusermount3 gets no privileges (no_new_privs)",
            kind=ErrorKind.FUSE_UNAVAILABLE,
            hint="in a container, leave out '--security-opt no-new-privileges'; in a service of"
            " systemd, set NoNewPrivileges=no",
        )


def _check_helper() -> None:
    helper = find_helper("fusermount3")
    if helper is None:
        raise UnsupportedError(
            "fusermount3 is not installed, and only root can mount without it",
            kind=ErrorKind.FUSE_UNAVAILABLE,
            hint="install it with 'apt install fuse3'",
        )
    if not Path(helper).stat().st_mode & stat.S_ISUID:
        raise UnsupportedError(
            f"{helper} may not mount: it has lost its set-user-id bit",
            kind=ErrorKind.FUSE_UNAVAILABLE,
            hint=f"restore it with 'chmod u+s {helper}' as root, or mount as root",
        )


def is_user_allow_other() -> bool:
    """Returns whether other users may be let in: always by root, else if /etc/fuse.conf says so."""
    if os.geteuid() == 0:
        return True
    try:
        lines = _FUSE_CONF.read_text(errors="replace").splitlines()
    except OSError:
        return False
    return any(line.strip() == "user_allow_other" for line in lines)


def is_dead(directory: Path) -> bool:
    """Returns whether `directory` is the mount point of a FUSE file system that has ended."""
    try:
        directory.stat()
    except OSError as err:
        return err.errno in DEAD_ERRORS
    return False


def check_repository(directory: Path) -> None:
    """Checks that a mount can keep its log, its socket and what is written to it.

    Raises:
        UnsupportedError: This user may not write to our folder of the repository.
    """
    if not os.access(directory, os.W_OK | os.X_OK):
        raise UnsupportedError(
            f"you may not write to {str(directory)!r}, which a mount has to",
            kind=ErrorKind.PERMISSION_DENIED,
            hint="mount it as the user that it belongs to",
        )


def check_mount_point(directory: Path, git_dir: Path) -> None:
    """Checks that `directory`, absolute and without links, can be mounted over.

    Raises:
        NotFoundError: It does not exist.
        InvalidInputError: It is not a folder, or the repository itself would be covered.
        AlreadyExistsError: Something is mounted there.
        ConflictError: It is not empty.
        UnsupportedError: This user may not mount there.
    """
    check_not_in_repository(directory, git_dir)
    # Before anything touches the folder: what is mounted there may not answer.
    check_not_mounted(directory, read_mountinfo())
    status = _status(directory)
    if not stat.S_ISDIR(status.st_mode):
        raise InvalidInputError(f"{str(directory)!r} is not a folder", kind=ErrorKind.INVALID_PATH)
    _check_permission(directory, status)
    _check_empty(directory)


def check_not_in_repository(directory: Path, git_dir: Path) -> None:
    """Refuses a mount point that lies in the Git directory or would cover it.

    Every read of such a mount would need the files under it: the kernel would wait for itself.
    """
    inside = directory == git_dir or git_dir in directory.parents
    if inside or directory in git_dir.parents:
        what = "lies in" if inside else "would cover"
        raise InvalidInputError(
            f"the mount point {str(directory)!r} {what} the repository {str(git_dir)!r}",
            kind=ErrorKind.INVALID_PATH,
            hint="choose an empty folder beside the repository",
        )


def check_not_mounted(directory: Path, entries: Iterable[MountEntry]) -> None:
    """Refuses a folder that is a mount point already."""
    entry = mount_at(entries, directory)
    if entry is None:
        return
    what = "an mlbfs mount" if entry.is_mlbfs else f"a mount of {entry.source}"
    raise AlreadyExistsError(
        f"{str(directory)!r} is {what} already",
        kind=ErrorKind.ALREADY_MOUNTED,
        hint=f"run 'mlbfs umount {directory}' first" if entry.is_mlbfs else None,
    )


@contextlib.contextmanager
def mount_point_reserved(directory: Path) -> Iterator[None]:
    """Keeps others of us from mounting at the same folder between our checks and our mount.

    Raises:
        ConflictError: Somebody else is about to mount there.
        AlreadyExistsError: Somebody else just has.
    """
    try:
        file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as err:
        raise storage_error(err, f"cannot open {str(directory)!r}") from err
    try:
        _lock_mount_point(file, directory)
        check_not_mounted(directory, read_mountinfo())
        yield
    finally:
        os.close(file)


def _lock_mount_point(file: int, directory: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as err:
        raise ConflictError(
            f"another mount at {str(directory)!r} is under way",
            kind=ErrorKind.ALREADY_MOUNTED,
            hint="choose another folder",
        ) from err
    except OSError as err:  # a file system that locks no folders; the mount itself is fine there
        log.debug("cannot lock %s: %s", directory, err)


def _status(directory: Path) -> os.stat_result:
    try:
        return directory.stat()
    except FileNotFoundError as err:
        raise NotFoundError(
            f"the mount point {str(directory)!r} does not exist",
            kind=ErrorKind.PATH_NOT_FOUND,
            hint=f"make it with 'mkdir -p {directory}'",
        ) from err
    except NotADirectoryError as err:
        raise InvalidInputError(
            f"{str(directory)!r} is not a folder", kind=ErrorKind.INVALID_PATH
        ) from err
    except OSError as err:
        if err.errno in DEAD_ERRORS:
            raise AlreadyExistsError(
                f"{str(directory)!r} is the mount point of a file system whose program has ended",
                kind=ErrorKind.MOUNT_STALE,
                hint=f"run 'umount -l {directory}' or 'fusermount3 -u -z {directory}'",
            ) from err
        raise storage_error(err, f"cannot look at {str(directory)!r}") from err


def _check_permission(directory: Path, status: os.stat_result) -> None:
    if os.geteuid() == 0:
        return
    # The rule of fusermount3: the user must be able to write there, and own it if it is sticky.
    sticky = status.st_mode & stat.S_ISVTX and status.st_uid != os.geteuid()
    if sticky or not os.access(directory, os.W_OK):
        raise UnsupportedError(
            f"you may not mount at {str(directory)!r}: the folder is not yours to write",
            kind=ErrorKind.PERMISSION_DENIED,
            hint="choose a folder of your own",
        )


def _check_empty(directory: Path) -> None:
    try:
        with os.scandir(directory) as entries:
            first = next(entries, None)
    except OSError as err:
        raise storage_error(err, f"cannot list {str(directory)!r}") from err
    if first is not None:
        raise ConflictError(
            f"{str(directory)!r} is not empty: it holds {first.name!r}",
            kind=ErrorKind.NOT_EMPTY,
            hint="mount at an empty folder; what lies under a mount cannot be seen",
        )
