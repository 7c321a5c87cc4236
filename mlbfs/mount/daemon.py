"""The process behind one mount: assembles it, serves it, and takes it down again.

Owns: the order of start and end.
Layer: mount. Imports everything below; is itself imported in the daemon process only.

Start: open the repository -> open the view (a workspace takes its lock) -> mount -> listen on the
control socket -> register -> report readiness -> serve.
End, whatever began it (umount, a signal, an error): stop serving -> unmount if still mounted ->
let running commands end -> close the view -> remove the record -> end.

Concurrency: one trio loop. Requests of the kernel, the control socket and signals are tasks on it;
what may wait for the disk runs in threads (docs/concurrency.md).
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import time
from typing import TYPE_CHECKING

import pyfuse3
import trio

from mlbfs.errors import ErrorKind, MlbfsError, StorageError, UnsupportedError
from mlbfs.mount.assemble import Assembly, assemble
from mlbfs.mount.checks import is_user_allow_other
from mlbfs.mount.commands import Commands
from mlbfs.mount.control_server import ControlServer, bind_socket
from mlbfs.mount.daemon_log import start_log
from mlbfs.mount.detach import detach
from mlbfs.mount.following import Follower, Place
from mlbfs.mount.git_operations import GitOperations
from mlbfs.mount.git_view import GitView
from mlbfs.mount.invalidation import Invalidations
from mlbfs.mount.mountinfo import SUBTYPE, MountEntry, encode_source, mount_at, read_mountinfo
from mlbfs.mount.operations import Operations
from mlbfs.mount.registry import (
    MountRecord,
    Registration,
    log_path,
    remove_old_logs,
    run_directory,
    socket_path,
)
from mlbfs.mount.tuning import raise_limits

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mlbfs.mount.launch import MountRequest

log = logging.getLogger(__name__)

_DRAIN_LIMIT = 10.0
"""Seconds that the last answers of the control socket may take at the end."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def run_daemon(
    request: MountRequest, on_ready: Callable[[MountRecord], None], *, is_foreground: bool = False
) -> None:
    """Mounts and serves until the mount ends.

    Args:
        request: What to mount where.
        on_ready: Called once it is mounted and registered, just before it is served; a probe of
            the mount that it starts is answered after it returns.
        is_foreground: The log goes to the terminal instead of a file.

    Raises:
        MlbfsError: It could not be mounted.
    """
    run = run_directory(request.git_dir)
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    start_log(run, request, is_foreground=is_foreground)
    faulthandler.enable()
    remove_old_logs(run)
    try:
        with contextlib.closing(assemble(request)) as assembly:
            _mount_and_serve(request, assembly, run, on_ready)
    except MlbfsError as err:
        log.error("the mount ends: %s", err.message)
        raise
    except Exception:
        log.exception("the mount ends for an unexpected error")
        raise
    log.info("unmounted %s", request.directory)


def _mount_and_serve(
    request: MountRequest,
    assembly: Assembly,
    run: Path,
    on_ready: Callable[[MountRecord], None],
) -> None:
    operations = _operations(assembly)
    with _mounted(request, assembly, operations) as entry:
        raise_limits(entry.device)
        record = _record(request, assembly, entry)
        with (
            contextlib.closing(bind_socket(socket_path(run, record.id))) as listener,
            contextlib.closing(Registration(run, record)) as registration,
        ):
            log.info("mounted %s at %s", request.ref or "all refs", request.directory)
            place = Place(assembly, registration, Invalidations())
            on_ready(record)
            commands = Commands(assembly, place)
            trio.run(_serve, listener, assembly, commands, place, request.directory)
            if commands.savepoints is not None:
                commands.savepoints.finish()
        socket_path(run, record.id).unlink(missing_ok=True)


def _operations(assembly: Assembly) -> Operations:
    view, workspace, is_stable = assembly.view, assembly.workspace, assembly.is_stable
    if isinstance(view, GitView):
        return GitOperations(view, workspace, is_stable=is_stable)
    return Operations(view, workspace, is_stable=is_stable)


@contextlib.contextmanager
def _mounted(
    request: MountRequest, assembly: Assembly, operations: Operations
) -> Iterator[MountEntry]:
    """Mounts; unmounts at the end unless somebody has done so already."""
    options = _options(request, assembly)
    try:
        pyfuse3.init(operations, os.fspath(request.directory), options)
    except RuntimeError as err:
        raise StorageError(
            f"the mount at {str(request.directory)!r} was refused{_reason(request)}",
            kind=ErrorKind.MOUNT_FAILED,
            hint="'mlbfs doctor' says what is missing; in a container, AppArmor may forbid it, too:"
            " '--security-opt apparmor=unconfined'",
        ) from err
    entry = None
    try:
        entry = mount_at(read_mountinfo(), request.directory)
        if entry is None or entry.source != encode_source(request.git_dir):
            raise StorageError(
                f"the mount at {str(request.directory)!r} cannot be seen",
                kind=ErrorKind.MOUNT_FAILED,
            )
        yield entry
    finally:
        # Somebody may have unmounted it, and even mounted something else there since.
        now = mount_at(read_mountinfo(), request.directory)
        ours = now is not None and entry is not None and now.mount_id == entry.mount_id
        pyfuse3.close(unmount=ours)


def _reason(request: MountRequest) -> str:
    """Returns what libfuse has just written to the log; it tells its caller nothing."""
    path = log_path(run_directory(request.git_dir), request.mount_id)
    if not path.exists():  # in the foreground the terminal has it
        return ""
    lines = path.read_text(errors="replace").splitlines()
    said = [line.partition(": ")[2] for line in lines if line.startswith(("fuse: ", "fusermount"))]
    return f": {said[-1]}" if said else ""


def _options(request: MountRequest, assembly: Assembly) -> set[str]:
    options = {
        f"fsname={encode_source(request.git_dir)}",
        f"subtype={SUBTYPE}",
        "default_permissions",
    }
    if assembly.workspace is None:
        options.add("ro")
    if _lets_others_in(request, assembly):
        options.add("allow_other")
    return options


def _lets_others_in(request: MountRequest, assembly: Assembly) -> bool:
    """Decides whether other users see the mount: root's are seen, others' if configured."""
    wanted = request.allow_other
    if wanted is None:
        wanted = assembly.source.git.config_bool("mlbfs.allowOther", default=os.geteuid() == 0)
    if wanted and not is_user_allow_other():
        raise UnsupportedError(
            "only root may let other users into a mount on this machine",
            kind=ErrorKind.PERMISSION_DENIED,
            hint="add the line 'user_allow_other' to /etc/fuse.conf, or unset mlbfs.allowOther",
        )
    return wanted


def _record(request: MountRequest, assembly: Assembly, entry: MountEntry) -> MountRecord:
    return MountRecord(
        id=request.mount_id,
        pid=os.getpid(),
        git_dir=str(request.git_dir),
        directory=str(request.directory),
        ref=assembly.ref,
        kind=assembly.kind,
        commit="" if assembly.commit is None else assembly.commit.id.hex(),
        read_only=assembly.workspace is None,
        device=entry.device,
        started=time.time(),
        workspace="" if assembly.workspace is None else assembly.workspace.name,
        behind=assembly.workspace is not None and assembly.workspace.behind,
        recovery=assembly.recovery,
    )


async def _serve(
    listener: socket.socket,
    assembly: Assembly,
    commands: Commands,
    place: Place,
    directory: Path,
) -> None:
    """Serves until the kernel ends the connection or a signal asks for the end."""
    server = ControlServer(listener, commands.table())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve)
        nursery.start_soon(place.notices.run)
        if commands.savepoints is not None:
            nursery.start_soon(commands.savepoints.run)
        if assembly.workspace is not None:
            common_dir = assembly.source.git.common_dir
            nursery.start_soon(Follower(assembly.workspace, common_dir, place).run)
        nursery.start_soon(_unmount_on_signal, directory)
        await pyfuse3.main()
        place.notices.close()
        await server.drain(_DRAIN_LIMIT)
        nursery.cancel_scope.cancel()


async def _unmount_on_signal(directory: Path) -> None:
    """Unmounts on the first signal, out of sight if it is in use; a second one ends at once."""
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        async for number in signals:
            log.info("unmounting on %s", signal.Signals(number).name)
            try:
                await trio.to_thread.run_sync(lambda: detach(directory, lazy=True))
            except MlbfsError as err:
                log.warning("%s", err.message)
            pyfuse3.terminate()
