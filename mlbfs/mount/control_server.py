"""The control socket of a mount: the server, a task beside the file system.

Owns: the socket and the tasks that answer it.
Layer: mount. Imports control, wire and trio.

Concurrency: commands are synchronous functions. Each runs in a worker thread of its own limiter, so
that requests of the file system are served meanwhile, and the number at once is bounded.
Only the user who mounted, and root, are answered.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import trio

from mlbfs.errors import InterruptedByUserError, MlbfsError, UnsupportedError
from mlbfs.mount.control import (
    HEARTBEAT,
    PROTOCOL_VERSION,
    REPLY_LIMIT,
    REQUEST_LIMIT,
    ControlError,
    encode_line,
    parse_line,
    socket_address,
)
from mlbfs.mount.wire import encode_error

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

Arguments = dict[str, Any]


class Send(Protocol):
    """What a command has of its client: where items of a long answer go, and whether it waits."""

    def __call__(self, item: Any, /) -> None:  # noqa: ANN401 - any JSON value
        """Passes on one item of a long answer."""

    def progress(self, done: int, total: int) -> None:
        """Notes how much of the work is done, to be told with the next sign of life."""

    def check(self) -> None:
        """Checks that the client has not given up.

        Raises:
            InterruptedByUserError: It has.
        """


Command = Callable[[Arguments, Send], Any]
"""Answers one request in a worker thread."""

_READ_SIZE = 65536
_REQUEST_TIME = 10.0
_AT_ONCE = 4
_BACKLOG = 16
_PROGRESS_PAUSE = 0.25
"""Seconds between two looks at how far a command is: as smooth as a bar needs."""
_CREDENTIALS = struct.Struct("3i")


def bind_socket(path: Path) -> socket.socket:
    """Returns a socket that listens at `path`, which only this user may connect to."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(0o177)
    try:
        path.unlink(missing_ok=True)
        with socket_address(path) as address:
            listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as err:
        listener.close()
        raise ControlError(f"cannot make the control socket: {err.strerror or err}") from err
    finally:
        os.umask(previous)
    return listener


class ControlServer:
    """Answers requests on a listening socket, as tasks beside the file system.

    **Cancellation:** a command that is at work is waited for; its answer may not be sent any more.
    """

    def __init__(self, listener: socket.socket, commands: dict[str, Command]) -> None:
        self._listener = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
        self._commands = commands
        self._limiter = trio.CapacityLimiter(_AT_ONCE)
        self._conversations = 0
        self._idle = trio.Condition()

    async def serve(self) -> None:
        """Answers requests until it is cancelled. **Checkpoint:** always."""
        await trio.serve_listeners(self._converse, [self._listener])

    async def drain(self, limit: float) -> None:
        """Waits until nobody is being answered, for `limit` seconds at most."""
        with trio.move_on_after(limit):
            async with self._idle:
                while self._conversations:
                    await self._idle.wait()

    async def _converse(self, stream: trio.SocketStream) -> None:
        self._conversations += 1
        try:
            async with stream:
                if _is_permitted(stream):
                    await _answer(stream, self._commands, self._limiter)
        except trio.BrokenResourceError:
            log.info("a control client went away before it had its answer")
        except Exception:
            # One broken conversation must not end the file system beside it.
            log.exception("a control conversation failed")
        finally:
            self._conversations -= 1
            with trio.CancelScope(shield=True):
                async with self._idle:
                    self._idle.notify_all()


def _is_permitted(stream: trio.SocketStream) -> bool:
    raw = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid = _CREDENTIALS.unpack(raw)[1]
    if uid in (0, os.geteuid()):
        return True
    log.warning("refused a control connection of user %d", uid)
    return False


async def _answer(
    stream: trio.SocketStream, commands: dict[str, Command], limiter: trio.CapacityLimiter
) -> None:
    try:
        with trio.fail_after(_REQUEST_TIME):
            line = await _receive_line(stream)
        if line is None:
            return
        command, arguments = _parse_request(line, commands)
    except trio.TooSlowError:
        reply = {"error": encode_error(ControlError("the request did not arrive in time"))}
    except MlbfsError as err:
        reply = {"error": encode_error(err)}
    else:
        reply = await _run(stream, partial(command, arguments), limiter)
    await stream.send_all(_bounded(reply))


async def _receive_line(stream: trio.SocketStream) -> bytes | None:
    received = bytearray()
    while not received.endswith(b"\n"):
        data = await stream.receive_some(_READ_SIZE)
        if not data:
            return None
        received += data
        if len(received) > REQUEST_LIMIT:
            raise ControlError(f"a request may have {REQUEST_LIMIT} bytes at most")
    return bytes(received)


def _parse_request(line: bytes, commands: dict[str, Command]) -> tuple[Command, Arguments]:
    message = parse_line(line)
    version = message.get("version")
    if version != PROTOCOL_VERSION:
        raise UnsupportedError(
            f"the mount daemon speaks version {PROTOCOL_VERSION} of the control protocol,"
            f" the command speaks {version}",
            hint="unmount and mount again, so that both are of one version",
        )
    name = message.get("command")
    command = commands.get(name) if isinstance(name, str) else None
    arguments = message.get("arguments", {})
    if command is None or not isinstance(arguments, dict):
        raise UnsupportedError(f"the mount has no command {name!r}")
    return command, arguments


async def _run(
    stream: trio.SocketStream, command: Callable[[Send], Any], limiter: trio.CapacityLimiter
) -> dict[str, Any]:
    """Runs a command in a thread, with signs of life meanwhile, and returns its last reply."""
    client = _Client(stream)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.send_heartbeats)
        nursery.start_soon(client.watch)
        reply = await _reply_of(partial(command, client), limiter)
        async with client.lock:  # never cut a sign of life in two
            nursery.cancel_scope.cancel()
    return reply | client.news()


class _Client:
    """The client of one command at work, as the command's thread sees it."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.lock = trio.Lock()  # one line at a time on the stream
        self._stream = stream
        self._has_given_up = False
        self._progress: tuple[int, int] | None = None
        self._told: tuple[int, int] | None = None

    def __call__(self, item: object, /) -> None:
        trio.from_thread.run(self._send, item)

    async def _send(self, item: object) -> None:
        async with self.lock:
            await self._stream.send_all(_bounded({"item": item}))

    def progress(self, done: int, total: int) -> None:
        self._progress = (done, total)

    def news(self) -> dict[str, Any]:
        """Returns how far the command is, as messages have it; nothing if that was told."""
        if self._progress == self._told:
            return {}
        self._told = self._progress
        return {"progress": self._told}

    def check(self) -> None:
        if self._has_given_up:
            raise InterruptedByUserError("interrupted; nothing was changed")

    async def watch(self) -> None:
        """Waits for the end of what the client writes. **Checkpoint:** always."""
        try:
            while await self._stream.receive_some(_READ_SIZE):
                pass
        except trio.BrokenResourceError:
            log.info("a control client went away while its command was at work")
        self._has_given_up = True

    async def send_heartbeats(self) -> None:
        """Sends signs of life, sooner when there is progress to tell. **Checkpoint:** always."""
        quiet = 0.0
        pause = min(_PROGRESS_PAUSE, HEARTBEAT)
        try:
            while True:
                await trio.sleep(pause)
                quiet += pause
                news = self.news()
                if not news and quiet < HEARTBEAT:
                    continue
                quiet = 0.0
                async with self.lock:
                    await self._stream.send_all(encode_line({"alive": True} | news))
        except trio.BrokenResourceError:
            log.info("a control client went away while its command was at work")


async def _reply_of(command: Callable[[], Any], limiter: trio.CapacityLimiter) -> dict[str, Any]:
    try:
        return {"result": await trio.to_thread.run_sync(command, limiter=limiter)}
    except MlbfsError as err:
        return {"error": encode_error(err)}
    except Exception as err:
        log.exception("a control command failed")
        return {"error": encode_error(err)}


def _bounded(reply: dict[str, Any]) -> bytes:
    line = encode_line(reply)
    if len(line) <= REPLY_LIMIT:
        return line
    return encode_line({"error": encode_error(ControlError("the answer is too long to send"))})


def in_pieces(items: Iterator[Any], size: int = 1000) -> Iterator[list[Any]]:
    """Yields lists of at most `size` items, for answers of unknown length."""
    piece: list[Any] = []
    for item in items:
        piece.append(item)
        if len(piece) == size:
            yield piece
            piece = []
    if piece:
        yield piece
