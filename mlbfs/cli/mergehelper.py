"""A process that merges files for one process of Git, with everything imported beforehand.

It merges one file after the other, as the command would: each call opens the repository anew, as
HEAD and attributes may have changed since, and closes it again. The process of the drivers stays,
as it does in `mlbfs merge`.

Owns: the life of this process.
Layer: cli.

Invariants:
  B1. It ends when Git does, also in the middle of a file, and after `IDLE` seconds without one.
  B2. It ends after every error: the next call starts from nothing.
  B3. Between two files it has nothing of a caller: whoever reads Git's standard error to its end
      waits for nobody else.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress

from mlbfs.cli.context import Context
from mlbfs.cli.main import main as run
from mlbfs.cli.mergeclient import ENDED, TAKEN, is_mine, socket_name
from mlbfs.workspace.gitparent import git_above

IDLE = 10.0
"""Seconds; an editor with the message of the merge may be open for hours."""

_MAY_GO_ON = (0, 1)
"""Exit codes of a call that was merged, or has conflicts."""

_PROGRAM = "import sys; from mlbfs.cli.mergehelper import main; main(*map(int, sys.argv[1:]))"


def leave_helper() -> None:
    """Starts a helper for the Git above this process, unless there is one."""
    git = git_above(os.getppid())
    name = None if git is None else socket_name(git.pid)
    if git is None or name is None:
        return
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(name)
        except OSError:  # there is one; or somebody else has the name, and it goes without
            return
        listener.listen()
        subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, str(listener.fileno()), str(git.pid)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # B3
            pass_fds=(listener.fileno(),),
            start_new_session=True,
            cwd="/",
        )


def main(listener: int, pid: int) -> None:
    """Serves until Git ends or is silent.

    Args:
        listener: Descriptor of the socket.
        pid: The process of Git.
    """
    with (
        socket.socket(fileno=listener) as server,
        suppress(ProcessLookupError, KeyboardInterrupt),
    ):
        git = os.pidfd_open(pid)
        if socket_name(pid) == server.getsockname():  # else it is another process by now
            threading.Thread(target=_end_with, args=(git,), daemon=True).start()
            _serve(server)


def _end_with(git: int) -> None:
    """Interrupts this process when Git ends, whatever it is doing (B1)."""
    select.select([git], [], [])
    os.kill(os.getpid(), signal.SIGINT)


def _serve(server: socket.socket) -> None:
    # Imported while the next call waits already, and not before the first one has ended.
    import mlbfs.cli.commands.merge_driver
    import mlbfs.cli.merging
    import mlbfs.workspace.adopting
    import mlbfs.workspace.filemerge  # noqa: F401 - to have it
    from mlbfs.workspace.driverprocess import DriverProcess
    from mlbfs.workspace.driverrun import DEFAULT_TIMEOUT

    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    process = DriverProcess(DEFAULT_TIMEOUT)
    try:
        while select.select([server], [], [], IDLE)[0]:
            connection, _ = server.accept()
            with connection:
                if not is_mine(connection):
                    continue
                connection.sendall(TAKEN)
                context = Context(driver_process=process)
                code = _merge(connection, context)
                os.dup2(nowhere, 2)  # B3
                os.chdir("/")
                connection.sendall(b"%d" % code)
            if context.has_failed or code not in _MAY_GO_ON:  # B2
                return
    finally:
        process.close()


def _merge(connection: socket.socket, context: Context) -> int:
    """Runs the command as the caller would, with its folder, environment and standard error."""
    front, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
    for descriptor in descriptors:
        os.dup2(descriptor, 2)
        os.close(descriptor)
    request = json.loads(_rest(connection)) if front == b"\n" else None
    if request is None:
        return ENDED
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    context.environment = dict(os.environ)
    code = run(["merge-driver", *request["arguments"]], context)
    sys.stderr.flush()
    return code


def _rest(connection: socket.socket) -> bytes:
    data = bytearray()
    while piece := connection.recv(1 << 16):
        data += piece
    return bytes(data)
