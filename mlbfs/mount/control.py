"""The control socket of a mount: the messages and the client.

A mounted branch is changed from outside through this socket only. Messages are JSON, one per line:

    request   {"version": 1, "command": "status", "arguments": {...}}
              then the end of what the client writes: it gives up, and is still told what came of it
    replies   {"alive": true}      still at work, zero or more
              {"item": ...}        zero or more: one piece of a long answer
              {"result": ...}      last, or
              {"error": {...}}     last

Signs of life and last replies may have "progress": [done, total], in bytes.

Owns: the protocol version, the size limits and the time limits.
Layer: mount. Imports errors and the standard library, so that commands start quickly; the server is
`control_server`.

Invariants: nobody waits without a limit: the server says that it is alive every few seconds, and a
client that hears nothing for `SILENCE_LIMIT` gives up.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from typing import TYPE_CHECKING, Any, BinaryIO

from mlbfs.errors import (
    ErrorKind,
    InterruptedByUserError,
    MlbfsError,
    NotFoundError,
    StorageError,
)
from mlbfs.limits import MIB
from mlbfs.mount.wire import decode_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROTOCOL_VERSION = 1

REQUEST_LIMIT = 4 * MIB
"""Longest request line; a commit message and some thousands of paths fit."""

REPLY_LIMIT = 16 * MIB
"""Longest line of a reply; long answers come in pieces of `ITEMS_PER_LINE`."""

HEARTBEAT = 2.0
"""Seconds between signs of life while a request is at work."""

SILENCE_LIMIT = 30.0
"""Seconds without any line after which a client gives up; many heartbeats, for a loaded machine."""

_TIMEVAL = struct.Struct("ll")


class ControlError(StorageError):
    """The daemon of a mount did not answer, or not in words that can be understood."""

    default_kind = ErrorKind.CONTROL_FAILED


@contextlib.contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """Yields an address for a socket file whose path may be longer than a socket address.

    The folder is opened and named by its descriptor, because an address holds 108 bytes only.
    """
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def encode_line(message: dict[str, Any]) -> bytes:
    """Returns a message as one line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def parse_line(line: bytes) -> dict[str, Any]:
    """Returns the message of a line.

    Raises:
        ControlError: The line is not a JSON object.
    """
    try:
        message = json.loads(line)
    except ValueError as err:
        raise ControlError("a control message is not JSON") from err
    if not isinstance(message, dict):
        raise ControlError("a control message is not a JSON object")
    return message


def encode_request(command: str, arguments: dict[str, Any]) -> bytes:
    """Returns the line that asks for `command`."""
    line = encode_line(
        {"version": PROTOCOL_VERSION, "command": command, "arguments": arguments},
    )
    if len(line) > REQUEST_LIMIT:
        raise ControlError(f"the request {command!r} is longer than {REQUEST_LIMIT} bytes")
    return line


def request(
    path: Path,
    command: str,
    arguments: dict[str, Any] | None = None,
    *,
    can_give_up: bool = False,
    progress: Callable[[int, int], None] | None = None,
    place: str | None = None,
    limit: float | None = None,
) -> tuple[Any, list[Any]]:
    """Asks the daemon behind the socket `path` and waits for its whole answer.

    Args:
        path: Socket of the mount, as `registry.socket_path` gives it.
        command: Name of the command.
        arguments: JSON values for it.
        can_give_up: The command may still come to nothing when the caller is interrupted: the
            daemon is told, and waited for. A second interrupt waits no longer.
        progress: Called with how much of the work is done, and how much there is, in bytes.
        place: Where it is mounted, for the words of an error.
        limit: Seconds of silence before one gives up; `SILENCE_LIMIT` by default.

    Returns:
        The result, and the items that came before it.

    Raises:
        KeyboardInterrupt: The caller was interrupted; with `can_give_up`, nothing was changed.
        NotFoundError: Nobody listens there: the daemon has ended.
        ControlError: The daemon is silent, or answered nonsense.
        MlbfsError: The daemon refused; the error is the one that it raised there.
    """
    limit = SILENCE_LIMIT if limit is None else limit
    try:
        connection = _connect(path, limit)
    except TimeoutError as err:
        raise _silent(path, place, limit) from err
    with contextlib.closing(connection):
        try:
            connection.sendall(encode_request(command, arguments or {}))
            with connection.makefile("rb") as stream:
                try:
                    return _collect(_iter_messages(stream), progress)
                except KeyboardInterrupt:
                    if not can_give_up:
                        raise
                    connection.shutdown(socket.SHUT_WR)
                    return _collect(_iter_messages(stream))
        except InterruptedByUserError as err:
            raise KeyboardInterrupt from err
        except TimeoutError as err:
            raise _silent(path, place, limit) from err
        except OSError as err:
            raise ControlError("the mount daemon ended before it had answered") from err


def _silent(path: Path, place: str | None, limit: float) -> ControlError:
    of = f" of {place!r}" if place is not None else ""
    return ControlError(
        f"the mount daemon{of} has been silent for {limit:.0f} s",
        hint=f"'mlbfs umount --lazy {place or 'DIR'}' ends it, and what was written is kept;"
        f" its log is {str(path.with_suffix('.log'))!r}",
    )


def _timeval(seconds: float) -> tuple[int, int]:
    return int(seconds), int(seconds % 1 * 1_000_000)


def _connect(path: Path, limit: float = SILENCE_LIMIT) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # A blocking socket waits for a place in the queue of a daemon that many talk to at once; one
    # with Python's own time limit is turned away.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL.pack(*_timeval(limit)))
    try:
        with socket_address(path) as address:
            connection.connect(address)
    except (FileNotFoundError, ConnectionRefusedError) as err:
        connection.close()
        raise NotFoundError(
            "the mount has no living daemon", kind=ErrorKind.MOUNT_NOT_FOUND
        ) from err
    except BlockingIOError as err:
        connection.close()
        raise TimeoutError from err
    except OSError as err:
        connection.close()
        raise ControlError(f"cannot talk to the mount daemon: {err.strerror or err}") from err
    connection.settimeout(limit)
    return connection


def _iter_messages(stream: BinaryIO) -> Iterator[dict[str, Any]]:
    while line := stream.readline(REPLY_LIMIT + 1):
        if len(line) > REPLY_LIMIT:
            raise ControlError(f"the mount daemon sent a line longer than {REPLY_LIMIT} bytes")
        yield parse_line(line)


def _collect(
    messages: Iterator[dict[str, Any]], progress: Callable[[int, int], None] | None = None
) -> tuple[Any, list[Any]]:
    items: list[Any] = []
    for message in messages:
        if progress is not None and "progress" in message:
            progress(*message["progress"])
        if "error" in message:
            error: MlbfsError = decode_error(message["error"])
            raise error
        if "result" in message:
            return message["result"], items
        if "item" in message:
            items.append(message["item"])
    raise ControlError("the mount daemon ended before it had answered")
