"""Git's protocol for a filter that serves many files in one process.

Owns: the handshake, what a request is, and how it is answered. Layer: git.
Format: gitattributes(5) of Git, "Long Running Filter Process", version 2.

What a filter does with content is not known here: it is handed over, piece by piece, and it
answers with pieces. All of a request is read before the first byte is answered, because Git writes
all of it before it reads: two processes that both write would wait for each other for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mlbfs.errors import FormatError, MlbfsError, UnsupportedError, storage_error
from mlbfs.git.pktline import PacketError, PacketReader, PacketWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mlbfs.git.pktline import Input, Output

VERSION = b"version=2"
_CAPABILITIES = (b"capability=clean", b"capability=smudge")


class Filter(Protocol):
    """What is done with the content of files.

    Both methods read what they are given to its end before they return; what they return may be
    made while it is sent.
    """

    def clean(self, path: bytes, content: Iterable[bytes]) -> Iterable[bytes]:
        """Returns what Git keeps of the content of a file."""

    def smudge(self, path: bytes, content: Iterable[bytes]) -> Iterable[bytes]:
        """Returns the content of a file from what Git keeps."""


@dataclass(frozen=True, slots=True)
class _Request:
    command: bytes
    path: bytes


class FilterServer:
    """Serves one Git process until it closes the stream.

    Args:
        source: Where Git's requests come from.
        target: Where the answers go.
        report: Is told why a file was refused: its path and the error.
    """

    def __init__(
        self, source: Input, target: Output, report: Callable[[bytes, MlbfsError], None]
    ) -> None:
        self._reader = PacketReader(source)
        self._writer = PacketWriter(target)
        self._report = report

    def serve(self, work: Filter) -> None:
        """Answers requests.

        Raises:
            FormatError: What comes is not this protocol (PacketError: are not even packets).
            UnsupportedError: Git speaks another version of it, or cannot do what is needed.
        """
        self._shake_hands()
        while True:
            try:
                lines = self._reader.read_list()
            except EOFError:
                return
            self._answer(_parse_request(lines), work)

    def _shake_hands(self) -> None:
        try:
            welcome = self._reader.read_list()
            if welcome[:1] != [b"git-filter-client"]:
                raise FormatError(
                    "this is not Git that asks",
                    hint="Git starts this command by itself, once 'mlbfs install' was run",
                )
            if VERSION not in welcome:
                raise UnsupportedError("this Git speaks another version of the filter protocol")
            self._writer.write_list([b"git-filter-server", VERSION])
            offered = self._reader.read_list()
        except EOFError as err:
            raise FormatError("the stream ended before both sides had met") from err
        self._writer.write_list([one for one in _CAPABILITIES if one in offered])

    def _answer(self, request: _Request, work: Filter) -> None:
        content = self._reader.read_content()
        called = {b"clean": work.clean, b"smudge": work.smudge}.get(request.command)
        try:
            if called is None:
                raise UnsupportedError(f"Git asks for {request.command!r}, which is unknown")
            pieces = iter(called(request.path, content))
            first = next(pieces, b"")
        except PacketError:
            raise
        except (MlbfsError, OSError) as err:
            self._skip(content)
            self._report(request.path, _as_ours(err))
            self._writer.write_list([b"status=error"])
            return
        self._skip(content)
        self._writer.write_list([b"status=success"])
        self._send(request.path, first, pieces)

    def _skip(self, content: Iterator[bytes]) -> None:
        """Reads what a filter has left of a content."""
        for _ in content:
            pass

    def _send(self, path: bytes, first: bytes, pieces: Iterator[bytes]) -> None:
        """Sends a content; when it turns out damaged on the way, Git is told behind it."""
        verdict: list[bytes] = []
        try:
            self._writer.write_content(first)
            while (piece := next(pieces, None)) is not None:
                self._writer.write_content(piece)
        except MlbfsError as err:
            self._report(path, err)
            verdict = [b"status=error"]
        self._writer.flush()
        self._writer.write_list(verdict)


def _parse_request(lines: list[bytes]) -> _Request:
    found: dict[bytes, bytes] = {}
    for line in lines:
        key, equals, value = line.partition(b"=")
        if not equals or key in found:
            raise FormatError(f"{line[:100]!r} does not belong into a request")
        found[key] = value
    if b"command" not in found or not found.get(b"pathname"):
        raise FormatError("a request names no command or no path")
    return _Request(found[b"command"], found[b"pathname"])


def _as_ours(err: MlbfsError | OSError) -> MlbfsError:
    return storage_error(err, "filtering") if isinstance(err, OSError) else err
