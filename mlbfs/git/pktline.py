"""Git's pkt-line framing: four hex digits of length, then the bytes.

Owns: that framing, and the limits of it. Layer: git. Pure but for the streams that it is given.
Format: gitprotocol-common(5) of Git.

    0000        flush: the end of a list or of a content
    0001..0003  have no meaning here
    0004        a packet without bytes, which nobody may send
    0005..fff0  a packet of 1 to 65516 bytes

Whatever comes in is checked before it is believed: a length that cannot be, or a stream that ends
inside a packet, is an error. No more than one packet is in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mlbfs.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_DATA = 65516
"""Bytes of one packet at most."""

_HEADER = 4
_HEX = frozenset(b"0123456789abcdefABCDEF")
_FLUSH = b"0000"


class PacketError(FormatError):
    """What comes is no packet, or ends inside one; the stream is of no use any more."""


class Input(Protocol):
    """Where packets come from."""

    def read(self, size: int, /) -> bytes:
        """Returns as many bytes as were asked for, fewer only at the end."""


class Output(Protocol):
    """Where packets go."""

    def write(self, data: bytes, /) -> object:
        """Takes bytes."""

    def flush(self) -> object:
        """Hands over what was taken."""


class PacketReader:
    """Reads packets from a stream."""

    def __init__(self, stream: Input) -> None:
        self._stream = stream

    def read(self) -> bytes | None:
        """Returns the bytes of the next packet, or None for a flush.

        Raises:
            EOFError: The stream ended where a packet might begin.
            PacketError: What comes is no packet, or ends inside one.
        """
        header = self._stream.read(_HEADER)
        if not header:
            raise EOFError
        length = _parse_length(header)
        if length == 0:
            return None
        data = self._stream.read(length - _HEADER)
        if len(data) != length - _HEADER:
            raise PacketError("the stream of packets ends inside a packet")
        return data

    def read_list(self) -> list[bytes]:
        """Returns the lines up to the next flush, without their newlines.

        Raises:
            EOFError: The stream ended before the first of them.
            PacketError: It ended after that, or what comes is no packet.
        """
        lines: list[bytes] = []
        while True:
            try:
                line = self.read()
            except EOFError as err:
                if lines:
                    raise PacketError("the stream of packets ends inside a list") from err
                raise
            if line is None:
                return lines
            lines.append(line.removesuffix(b"\n"))

    def read_content(self) -> Iterator[bytes]:
        """Yields the bytes up to the next flush, packet by packet.

        Raises:
            PacketError: The stream ended before, or what comes is no packet.
        """
        while True:
            try:
                data = self.read()
            except EOFError as err:
                raise PacketError("the stream of packets ends inside a content") from err
            if data is None:
                return
            yield data


def _parse_length(header: bytes) -> int:
    """Returns the length that a header tells, itself included; 0 for a flush."""
    if len(header) != _HEADER or not _HEX.issuperset(header):
        raise PacketError(f"{header!r} is not the length of a packet")
    length = int(header, 16)
    if length and not _HEADER < length <= MAX_DATA + _HEADER:
        raise PacketError(f"a packet cannot have the length {length}")
    return length


class PacketWriter:
    """Writes packets to a stream."""

    def __init__(self, stream: Output) -> None:
        self._stream = stream

    def write_line(self, line: bytes) -> None:
        """Writes one line; its newline is added."""
        self._write(line + b"\n")

    def write_list(self, lines: Iterable[bytes]) -> None:
        """Writes lines and a flush, and hands them over."""
        for line in lines:
            self.write_line(line)
        self.flush()

    def write_content(self, data: bytes) -> None:
        """Writes bytes of a content, in as many packets as they need."""
        view = memoryview(data)
        for start in range(0, len(view), MAX_DATA):
            self._write(bytes(view[start : start + MAX_DATA]))

    def flush(self) -> None:
        """Writes a flush and hands over everything."""
        self._stream.write(_FLUSH)
        self._stream.flush()

    def _write(self, data: bytes) -> None:
        assert 0 < len(data) <= MAX_DATA, "a packet is neither empty nor too long"
        self._stream.write(b"%04x" % (len(data) + _HEADER))
        self._stream.write(data)
