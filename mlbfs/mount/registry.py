"""The live mounts of a repository: one record per daemon in `.git/mlbfs/run/`.

    <id>.json   what is mounted where; the daemon holds a lock (flock) on it for life
    <id>.sock   control socket
    <id>.log    log of the daemon

Owns: the record format and the rule by which a record is stale: nobody holds its lock. The lock is
the kernel's and ends with the process, however it ended, so no process id is ever trusted.
Layer: mount. Imports errors and the standard library, so that commands start quickly.

Concurrency: a record is written to another name, locked, and then renamed, so whoever sees it sees
all of it and sees the lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from mlbfs.errors import storage_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECORD_VERSION = 1
KEPT_LOGS = 20
"""Logs of ended daemons that are kept; the oldest beyond this go at the next mount."""


@dataclass(frozen=True, slots=True)
class MountRecord:
    """What one daemon has mounted.

    Attributes:
        id: Random name of the mount; the stem of its files in the run directory.
        pid: Process id of the daemon, to show and to signal.
        git_dir: Common Git directory of the repository.
        directory: Mount point.
        ref: What is mounted: a branch, tag or commit, or "" for all of them.
        kind: "branch", "tag", "commit" or "all".
        commit: Hex id of the commit that it stands on, "" for all.
        read_only: Whether the kernel refuses writes.
        device: `major:minor` of the mount, which tells it from a later one at the same place.
        started: When it was mounted, in seconds since 1970.
        recovery: What was found of a mount before it that was not unmounted (recovered.py).
        version: Version of the record format.
        workspace: Name of the workspace, "" without one.
        followed: When it came to stand on another commit by itself, in seconds since 1970; 0 if it
            never did.
        behind: Its branch has moved on, and changes keep it from following.
    """

    id: str
    pid: int
    git_dir: str
    directory: str
    ref: str
    kind: str
    commit: str
    read_only: bool
    device: str
    started: float
    recovery: dict[str, Any] | None = None
    version: int = RECORD_VERSION
    workspace: str = ""
    followed: float = 0.0
    behind: bool = False


@dataclass(frozen=True, slots=True)
class FoundMount:
    """A record found in the run directory, and whether its daemon lives."""

    record: MountRecord
    is_alive: bool


def run_directory(git_dir: Path) -> Path:
    """Returns the folder of live mounts of a repository."""
    return git_dir / "mlbfs" / "run"


def new_mount_id() -> str:
    """Returns a name for a mount that no other mount has."""
    return os.urandom(6).hex()


def socket_path(run: Path, mount_id: str) -> Path:
    """Returns where the control socket of a mount is."""
    return run / f"{mount_id}.sock"


def log_path(run: Path, mount_id: str) -> Path:
    """Returns where the log of a mount is."""
    return run / f"{mount_id}.log"


class Registration:
    """A record of this process, locked until `close` or the end of the process."""

    def __init__(self, run: Path, record: MountRecord) -> None:
        self.record = record
        self._run = run
        self._path = run / f"{record.id}.json"
        try:
            self._file = _write_locked(run, self._path, record)
        except OSError as err:
            raise storage_error(err, f"cannot register the mount in {str(run)!r}") from err

    def update(self, record: MountRecord) -> None:
        """Puts another record in the place of this one; whoever looks sees one or the other.

        Raises:
            StorageError: The device refused; the old one stays.
        """
        try:
            file = _write_locked(self._run, self._path, record)
        except OSError as err:
            raise storage_error(err, f"cannot register the mount in {str(self._run)!r}") from err
        self.record = record
        os.close(self._file)  # who has opened the old one sees that another is in its place
        self._file = file

    def close(self) -> None:
        """Removes the record and then lets go of its lock."""
        self._path.unlink(missing_ok=True)
        os.close(self._file)


def find_mounts(run: Path) -> list[FoundMount]:
    """Returns every record, oldest first; files that are not records are passed over."""
    found = [_inspect(path) for path in sorted(run.glob("*.json"))]
    return sorted((item for item in found if item is not None), key=lambda m: m.record.started)


def remove_record(run: Path, record: MountRecord) -> None:
    """Removes the files of a daemon that has ended, except its log."""
    socket_path(run, record.id).unlink(missing_ok=True)
    (run / f"{record.id}.json").unlink(missing_ok=True)


def remove_old_logs(run: Path, *, kept: int = KEPT_LOGS) -> None:
    """Removes the oldest logs that belong to no record."""
    logs = [path for path in run.glob("*.log*") if not _has_record(run, path)]
    logs.sort(key=_modified, reverse=True)
    for path in logs[kept:]:
        path.unlink(missing_ok=True)


def _has_record(run: Path, log: Path) -> bool:
    return (run / f"{log.name.partition('.')[0]}.json").exists()


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another process tidied up at the same time
        return 0.0


def _write_locked(run: Path, path: Path, record: MountRecord) -> int:
    temporary = run / f"tmp-{record.id}"
    file = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(file, json.dumps(asdict(record)).encode() + b"\n")
        temporary.rename(path)
    except OSError:
        os.close(file)
        temporary.unlink(missing_ok=True)
        raise
    return file


def _inspect(path: Path) -> FoundMount | None:
    while True:
        with _opened(path) as file:
            if file is None or not stat.S_ISREG(os.fstat(file).st_mode):
                return None
            record = _parse_record(os.read(file, 65536))
            if record is None:
                return None
            if _is_locked(file):
                return FoundMount(record, is_alive=True)
            if _is_at(path, file):
                return FoundMount(record, is_alive=False)
        # The daemon put another record in its place just now, and let go of this one.


def _is_at(path: Path, file: int) -> bool:
    """Returns whether an open file is the one that lies at a path."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:  # gone meanwhile, or another user's: not a record for us
        yield None
        return
    try:
        yield file
    finally:
        os.close(file)


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _parse_record(data: bytes) -> MountRecord | None:
    """Returns the record, or None for bytes of another kind; unknown fields are passed over."""
    try:
        value: Any = json.loads(data)
        known = {f.name for f in fields(MountRecord)}
        return MountRecord(**{name: found for name, found in value.items() if name in known})
    except (ValueError, AttributeError, TypeError):
        return None
