"""Has one file merged by the helper of this Git process, if there is one.

Git starts a merge driver for each path, and most of what that takes are imports. So the first one
leaves a helper behind (`mergehelper.py`) that has imported everything, and the next ones ask it.

Owns: the name of the helper's socket, and what is asked.
Layer: cli. Imports next to nothing: that is its purpose.

Security: the socket is in the abstract namespace, where everybody can bind a name; who is at the
other end is asked of the kernel, and nobody but the same user is trusted.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
from contextlib import suppress

from mlbfs.workspace.gitparent import git_above, start_time

ENDED = 129
"""Exit code when the helper ends without an answer: Git takes it that the driver has failed."""

TAKEN = b"taken "
"""What the helper says first: from then on it is at work on the file."""

_PEER = struct.Struct("3i")


def socket_name(pid: int) -> bytes | None:
    """Returns the name of the socket for a process of Git, or None if that has ended."""
    started = start_time(pid)
    return None if started is None else b"\0mlbfs-merge/%d/%d/%d" % (os.getuid(), pid, started)


def is_mine(connection: socket.socket) -> bool:
    """Whether a process of the same user is at the other end."""
    peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    _, user, _ = _PEER.unpack(peer)
    return bool(user == os.getuid())


def ask(arguments: list[str]) -> int | None:
    """Has the helper run `mlbfs merge-driver`.

    Args:
        arguments: Those of the command.

    Returns:
        Its exit code; None if there is no helper, and nothing was done.
    """
    git = git_above(os.getppid())
    name = None if git is None else socket_name(git.pid)
    if name is None:
        return None
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(name)
        except OSError:
            return None
        if not is_mine(connection):
            return None
        answer = _talk(connection, arguments)
    if not answer.startswith(TAKEN):  # it was about to end
        return None
    if answer == TAKEN:
        sys.stderr.write(
            "mlbfs: the helper for merging ended without an answer\n"
            "NOT MERGED, whatever the file holds: abort, and merge again\n"
        )
        return ENDED
    return int(answer.removeprefix(TAKEN))


def _talk(connection: socket.socket, arguments: list[str]) -> bytes:
    request = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}  # noqa: PTH109 - pathlib takes longer to import
    data = json.dumps(request).encode()
    answer = b""
    with suppress(ConnectionError):  # it has ended; what it said before counts
        if _is_open(2):
            socket.send_fds(connection, [b"\n"], [2])
        else:
            connection.sendall(b"\n")
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(16):
            answer += piece
    return answer


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
