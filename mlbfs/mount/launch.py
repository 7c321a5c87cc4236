"""Starts a mount daemon and waits until it is ready or has said why not.

Owns: what a daemon is told (`MountRequest`), how it is detached from the command that starts it,
and the readiness pipe.
Layer: mount. Imports registry and errors; the daemon itself is imported in the child only, because
pyfuse3, trio and the store take longer to import than everything a command does besides.

Why fork before opening: neither LMDB nor SQLite nor libgit2 may be carried across a fork. So the
parent opens nothing, and a process that has loaded any of them, or that runs threads, starts a
fresh interpreter instead (docs/decisions/0003-fork-before-open.md).
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from mlbfs.errors import ErrorKind, StorageError, storage_error
from mlbfs.mount.registry import MountRecord, log_path, run_directory
from mlbfs.mount.wire import decode_error, encode_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START_LIMIT = 60.0
"""Seconds that a daemon may take until it has mounted; a loaded machine is slow, not broken."""

_NOT_ACROSS_FORK = ("lmdb", "apsw", "pygit2", "pyfuse3")
_REPORT_LIMIT = 65536


@dataclass(frozen=True, slots=True)
class MountRequest:
    """What a daemon shall mount. All paths are absolute and without links.

    Attributes:
        mount_id: Name of the mount in the registry.
        git_dir: Common Git directory of the repository.
        ref: Branch, tag or commit; None mounts all of them, by name.
        directory: Mount point.
        read_only: Show a branch as a snapshot.
        new_workspace: Open a workspace of the branch beside those in use.
        workspace: Open the workspace of this name; None takes the one of the branch.
        allow_other: Let other users in; None lets them in when root mounts.
        debug: Write every request to the log.
    """

    mount_id: str
    git_dir: Path
    ref: str | None
    directory: Path
    read_only: bool = False
    new_workspace: bool = False
    workspace: str | None = None
    allow_other: bool | None = None
    debug: bool = False

    def encode(self) -> str:
        """Returns the JSON form, for a fresh interpreter."""
        value = asdict(self) | {"git_dir": str(self.git_dir), "directory": str(self.directory)}
        return json.dumps(value)

    @classmethod
    def parse(cls, text: str) -> MountRequest:
        """Parses what `encode` returned."""
        value: dict[str, Any] = json.loads(text)
        paths = {"git_dir": Path(value["git_dir"]), "directory": Path(value["directory"])}
        return cls(**(value | paths))


def launch(request: MountRequest) -> MountRecord:
    """Starts a daemon and returns what it registered once it has mounted.

    Raises:
        MlbfsError: The daemon could not mount; the error is the one that it met.
        StorageError: The daemon ended, or took too long, without a word (MOUNT_FAILED).
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    with os.fdopen(reader, "rb", buffering=0) as report:
        start = _fork_daemon if _may_fork() else _spawn_daemon
        try:
            start(request, writer)
        except OSError as err:
            raise storage_error(err, "cannot start the mount daemon") from err
        finally:
            os.close(writer)
        return _wait_for_report(report.fileno(), request)


def _may_fork() -> bool:
    loaded = any(name in sys.modules for name in _NOT_ACROSS_FORK)
    return threading.active_count() == 1 and not loaded


def _fork_daemon(request: MountRequest, writer: int) -> None:
    """Forks twice, so that the daemon has no parent to become a zombie of."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _become_daemon(request, writer)
    os.waitpid(pid, 0)


def _spawn_daemon(request: MountRequest, writer: int) -> None:
    package_root = str(Path(__file__).parents[2])
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        " from mlbfs.mount.launch import become_daemon; become_daemon(*sys.argv[2:])"
    )
    subprocess.run(
        [sys.executable, "-c", program, package_root, request.encode(), str(writer)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=(writer,),
        check=False,
    )


def become_daemon(request: str, writer: str) -> NoReturn:
    """Entry of a fresh interpreter that `launch` started."""
    _become_daemon(MountRequest.parse(request), int(writer))


def _become_daemon(request: MountRequest, writer: int) -> NoReturn:
    """Detaches this process from the command, then runs the daemon to its end."""
    status = 1
    try:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        os.chdir("/")
        _replace_streams(request, writer)
        # The command's objects are never freed here: their finalizers are the parent's business.
        gc.freeze()
        status = _run(request, lambda record: _report(writer, {"ready": asdict(record)}))
    except BaseException as err:
        with contextlib.suppress(OSError):  # the command may be gone
            _report(writer, {"error": encode_error(err)})
    finally:
        os._exit(status)


def _run(request: MountRequest, on_ready: Callable[[MountRecord], None]) -> int:
    # Imported here and nowhere above: see the module docstring.
    from mlbfs.mount.daemon import run_daemon

    run_daemon(request, on_ready)
    return 0


def _replace_streams(request: MountRequest, writer: int) -> None:
    """Sends output to the log and closes whatever else the command had open."""
    run = run_directory(request.git_dir)
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    log = os.open(log_path(run, request.mount_id), flags, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    for first, last in _gaps((0, 1, 2, writer)):
        os.closerange(first, last)


def _gaps(kept: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    ends = sorted(kept)
    yield from zip((end + 1 for end in ends), [*ends[1:], os.sysconf("SC_OPEN_MAX")], strict=True)


def _report(writer: int, message: dict[str, Any]) -> None:
    os.write(writer, json.dumps(message).encode())
    os.close(writer)


def _wait_for_report(reader: int, request: MountRequest) -> MountRecord:
    deadline = time.monotonic() + START_LIMIT
    data = b""
    while piece := _read_before(reader, deadline, request):
        data += piece
    if not data:
        raise StorageError(
            "the mount daemon ended without a word",
            kind=ErrorKind.MOUNT_FAILED,
            hint=f"read {str(log_path(run_directory(request.git_dir), request.mount_id))!r}",
        )
    message = json.loads(data)
    if "error" in message:
        raise decode_error(message["error"])
    return MountRecord(**message["ready"])


def _read_before(reader: int, deadline: float, request: MountRequest) -> bytes:
    poller = select.poll()
    poller.register(reader, select.POLLIN)
    if poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
        return os.read(reader, _REPORT_LIMIT)
    raise StorageError(
        f"the mount daemon was not ready after {START_LIMIT:.0f} s",
        kind=ErrorKind.MOUNT_FAILED,
        hint=f"read {str(log_path(run_directory(request.git_dir), request.mount_id))!r}",
    )
