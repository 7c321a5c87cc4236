"""Messages between a merge and the process that runs its drivers.

A message is two lengths of 8 bytes, a JSON object, and bytes that belong to it. Nothing is ever
unpickled: whoever sends can at worst say what is not true.

Owns: that framing, and how long a message may be.
Layer: merge.

Concurrency: one thread at each end.
"""

from __future__ import annotations

import json
import select
import struct
import time
from typing import TYPE_CHECKING, Any

from mlbfs.errors import MlbfsError
from mlbfs.limits import MIB

if TYPE_CHECKING:
    import socket

_LONGEST_POLL_MS = 10**9
"""The system takes no longer ones than 2**31 milliseconds."""

Message = dict[str, Any]

_LENGTHS = struct.Struct("<QQ")

MAX_HEADER = 256 * MIB
"""Longest JSON of a message: some million pieces of a file, or conflicts."""

MAX_BYTES = 128 * MIB
"""Most bytes that go with a message; whatever is longer lies in a file of the scratch folder."""


class ChannelClosedError(MlbfsError):
    """The other end is gone."""


class BadMessageError(MlbfsError):
    """What came is no message, or a message says what cannot be."""


class Channel:
    """One end of a channel.

    Args:
        end: A connected socket, which is this object's from now on.
        peer: Descriptor of the process at the other end, if that is to be watched: it may end
            while a child of it holds its end open.

    Attributes:
        deadline: When to give up, by the monotonic clock; None for never.
    """

    def __init__(self, end: socket.socket, peer: int | None = None) -> None:
        self._end = end
        self._peer = peer
        self.deadline: float | None = None

    def close(self) -> None:
        """Closes this end."""
        self._end.close()

    def send(self, message: Message, data: bytes = b"") -> None:
        """Sends a message.

        Args:
            message: A JSON object.
            data: What belongs to it.

        Raises:
            ChannelClosedError: The other end is gone.
            BadMessageError: It is too long, or no JSON; nothing was sent.
            TimeoutError: The other end takes nothing.
        """
        try:
            text = json.dumps(message).encode()
        except (TypeError, ValueError, RecursionError) as err:
            raise BadMessageError(f"it cannot be sent: {err}") from err
        if len(text) > MAX_HEADER or len(data) > MAX_BYTES:
            raise BadMessageError(f"{len(text) + len(data)} bytes are too long for a message")
        left = self._left()
        try:
            self._end.settimeout(left)
            self._end.sendall(_LENGTHS.pack(len(text), len(data)) + text)
            if data:
                self._end.sendall(data)
        except TimeoutError:
            raise
        except OSError as err:
            raise ChannelClosedError(f"the channel does not take a message: {err}") from err

    def receive(self) -> tuple[Message, bytes]:
        """Returns the next message and the bytes that belong to it.

        Raises:
            ChannelClosedError: The other end is gone.
            BadMessageError: What came is no message.
            TimeoutError: None came in time.
        """
        length, more = _LENGTHS.unpack(self._exactly(_LENGTHS.size))
        if length > MAX_HEADER or more > MAX_BYTES:
            raise BadMessageError(f"{length + more} bytes are too long for a message")
        text, data = self._exactly(length), self._exactly(more)
        try:
            message = json.loads(text)
        except (ValueError, RecursionError) as err:
            raise BadMessageError(f"a message is not JSON: {err}") from err
        if not isinstance(message, dict):
            raise BadMessageError("a message is not a JSON object")
        return message, data

    def _exactly(self, length: int) -> bytes:
        found = bytearray(length)
        left = memoryview(found)
        while left:
            self._wait()
            try:
                self._end.settimeout(None)
                count = self._end.recv_into(left)
            except OSError as err:
                raise ChannelClosedError(f"the channel gives no message: {err}") from err
            if not count:
                raise ChannelClosedError("the other end of the channel is closed")
            left = left[count:]
        return bytes(found)

    def _wait(self) -> None:
        """Waits until something can be received.

        Raises:
            ChannelClosedError: The process at the other end has ended.
            TimeoutError: The deadline has come.
        """
        if self._peer is None:
            return  # receiving waits
        poll = select.poll()
        poll.register(self._end, select.POLLIN)
        poll.register(self._peer, select.POLLIN)
        ready = set[int]()
        while not ready:
            left = self._left()
            wait = None if left is None else min(left * 1000, _LONGEST_POLL_MS)
            ready = {number for number, _ in poll.poll(wait)}
        if self._end.fileno() not in ready:
            raise ChannelClosedError("the process at the other end has ended")

    def _left(self) -> float | None:
        """Returns the seconds until the deadline; None if there is none.

        Raises:
            TimeoutError: It has come.
        """
        if self.deadline is None:
            return None
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left
