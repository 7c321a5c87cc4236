"""The process that merge drivers run in: takes calls, runs drivers, and asks for what they read.

Owns: this end of the channel. A driver may crash, hang or end this process: the merge, which is at
the other end, goes on living and says so.
Layer: merge. Imports little: it starts while somebody waits.

Invariants:
  K1. Nothing of the repository is open here; what is read comes through the channel.
  K2. The process ends with the merge: when that closes the channel, or is killed.

Concurrency: calls come one at a time; a driver may read from several threads.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn, cast

from mlbfs.errors import negative_span
from mlbfs.limits import MIB
from mlbfs.merge.answers import (
    NonsenseError,
    decode_call,
    decode_version,
    encode_result,
    encode_version,
)
from mlbfs.merge.channel import BadMessageError, Channel, ChannelClosedError
from mlbfs.merge.driver import Data, FileAt, FileSpan, MergeResult, Pieces
from mlbfs.merge.failures import decode_failure, encode_failure
from mlbfs.merge.folders import FolderEntry, decode_folder_call, encode_alignment
from mlbfs.merge.registry import load_driver

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from mlbfs.merge.channel import Message
    from mlbfs.merge.conflicts import Conflict
    from mlbfs.merge.driver import Content, MergeCall, MergeDriver, Piece
    from mlbfs.merge.folders import FolderDriver
    from mlbfs.merge.versions import Side, Version

WINDOW = 4 * MIB
"""Bytes of the memory that both ends share, through which content is read."""

MAX_SENT = 16 * MIB
"""Most bytes that are sent; more are written to a file of the scratch folder."""

MAX_SHOWN = 16 * MIB
"""Most characters of values that conflicts show; with escapes they are six times as many bytes."""

_PR_SET_PDEATHSIG = 1


def main(channel: int, memory: int, parent: int) -> NoReturn:
    """Serves calls until the channel is closed.

    Args:
        channel: Descriptor of a socket.
        memory: Descriptor of `WINDOW` bytes that the other end writes to.
        parent: Process at the other end.
    """
    status = 1
    try:
        _die_with(parent)
        window = mmap.mmap(memory, WINDOW, prot=mmap.PROT_READ)
        os.close(memory)
        Worker(Channel(socket.socket(fileno=channel)), window).serve()
    except ChannelClosedError:
        status = 0
    finally:
        os._exit(status)  # past whatever drivers have left to be done at exit


def _die_with(parent: int) -> None:
    """Has the kernel kill this process when its parent ends, however that does (K2)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        os._exit(1)


class Worker:
    """Runs the drivers that the other end names."""

    def __init__(self, channel: Channel, window: mmap.mmap) -> None:
        self._channel = channel
        self._window = window
        self._drivers: dict[str, MergeDriver] = {}

    def serve(self) -> NoReturn:
        """Takes calls.

        Raises:
            ChannelClosedError: The merge is over.
        """
        while True:
            message, _ = self._channel.receive()
            try:
                self._channel.send(*self._run(message))
            except ChannelClosedError:
                raise
            except (NonsenseError, BadMessageError) as err:
                self._fail({"class": None, "message": err.message})
            except BaseException as err:
                self._fail(encode_failure(err))

    def _fail(self, failure: Message) -> None:
        self._channel.send({"do": "failed", "error": failure})

    def _run(self, message: Message) -> tuple[Message, bytes]:
        inputs = RemoteInputs(self._channel, self._window)
        if message["do"] == "align":
            folder = decode_folder_call(message, inputs)
            aligner = cast("FolderDriver", self._driver(folder.choice.name))
            return {"do": "answer", "result": encode_alignment(aligner.align(folder))}, b""
        call = decode_call(message, inputs)
        result = self._driver(call.choice.name).merge(call)
        encode_result(result, call)  # what is no result is told of before anything is written
        value, data = encode_result(_shortened(result, call), call)
        return {"do": "answer", "result": value}, b"".join(data)

    def _driver(self, name: str) -> MergeDriver:
        driver = self._drivers.get(name)
        if driver is None:
            driver = self._drivers[name] = load_driver(name)
        return driver


def _shortened(result: MergeResult, call: MergeCall) -> MergeResult:
    """Returns a result of which what is too long to send lies in files, or is shown shorter."""
    beside = {path: _short(content, call) for path, content in result.beside.items()}
    content, conflicts = _short(result.content, call), _fitting(result.conflicts)
    return replace(result, content=content, conflicts=conflicts, beside=beside)


def _fitting(conflicts: Sequence[Conflict]) -> tuple[Conflict, ...]:
    """Returns conflicts whose values, as they are shown, can be sent: cut, where they are many."""
    values = [(one.base, one.ours, one.theirs) for one in conflicts]
    if sum(len(text) for found in values for text in found if isinstance(text, str)) <= MAX_SHOWN:
        return tuple(conflicts)
    most = max(16, MAX_SHOWN // (3 * len(conflicts)))
    return tuple(
        replace(one, base=_cut(base, most), ours=_cut(ours, most), theirs=_cut(theirs, most))
        for one, (base, ours, theirs) in zip(conflicts, values, strict=True)
    )


def _cut(text: str | None, most: int) -> str | None:
    if not isinstance(text, str) or len(text) <= most:
        return text  # what is neither text nor None is told of where the answer is read
    return text[: most - 3] + "..."


def _short(content: Content, call: MergeCall) -> Content:
    match content:
        case Data(data) if len(data) > MAX_SENT:
            return FileAt(_written(call, [data]))
        case Pieces(parts) if sum(len(p) for p in parts if isinstance(p, bytes)) > MAX_SENT:
            return Pieces(_in_files(call, parts))
    return content


def _in_files(call: MergeCall, parts: Sequence[Piece]) -> tuple[Piece, ...]:
    """Returns pieces of which the new bytes lie in a file, one behind the other."""
    path = _written(call, (part for part in parts if isinstance(part, bytes)))
    found: list[Piece] = []
    at = 0
    for part in parts:
        if isinstance(part, bytes):
            found.append(FileSpan(path, at, at + len(part)))
            at += len(part)
        else:
            found.append(part)
    return tuple(found)


def _written(call: MergeCall, parts: Iterable[bytes]) -> Path:
    number = 0
    while (path := call.scratch / f"answer-{number}").is_symlink() or path.exists():
        number += 1
    with path.open("xb") as file:
        file.writelines(parts)
    return path


class RemoteInputs:
    """Where a driver reads from: the other end of the channel."""

    def __init__(self, channel: Channel, window: mmap.mmap) -> None:
        self._channel = channel
        self._window = window
        self._lock = threading.Lock()

    def open(self, version: Version) -> RemoteReader:
        """Opens the bytes of a version.

        Raises:
            NotFoundError: The content is not in the repository.
            CorruptionError: It is damaged.
        """
        message = self._ask({"do": "open", "version": encode_version(version)})
        return RemoteReader(self, message["handle"], message["size"])

    def find(self, side: Side, path: bytes) -> Version | None:
        """Returns the file that a side has at another path, or None."""
        found = self._ask({"do": "find", "side": str(side), "path": path.hex()})["version"]
        return None if found is None else decode_version(found)

    def list(self, side: Side, path: bytes) -> dict[bytes, FolderEntry]:
        """Returns the entries of a folder that a side has; none where it has no folder."""
        found = self._ask({"do": "list", "side": str(side), "path": path.hex()})["entries"]
        return {
            bytes.fromhex(name): FolderEntry(is_folder, bytes.fromhex(oid))
            for name, is_folder, oid in found
        }

    def changed_at(self, side: Side, path: bytes) -> int:
        """Returns when a side last changed a path: seconds since the epoch, by its commit."""
        message = {"do": "changed_at", "side": str(side), "path": path.hex()}
        return int(self._ask(message)["time"])

    def read(self, handle: int, offset: int, buffer: memoryview) -> int:
        """Fills the front of a buffer of at most `WINDOW` bytes; returns how far."""
        message = {"do": "read", "handle": handle, "offset": offset, "length": len(buffer)}
        with self._lock:
            count = int(self._reply(message)["length"])
            buffer[:count] = memoryview(self._window)[:count]
        return count

    def _ask(self, message: Message) -> Message:
        with self._lock:
            return self._reply(message)

    def _reply(self, message: Message) -> Message:
        self._channel.send(message)
        reply, _ = self._channel.receive()
        if "error" in reply:
            failure = decode_failure(reply["error"])
            assert not isinstance(failure, str), "the merge raises errors of its own"
            raise failure
        return reply


class RemoteReader:
    """The bytes of one version.

    Attributes:
        size: Length in bytes.
    """

    def __init__(self, inputs: RemoteInputs, handle: int, size: int) -> None:
        self._inputs = inputs
        self._handle = handle
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        """Returns bytes; short only at the end of the file.

        Raises:
            CorruptionError: The content is damaged.
            StorageError: The device failed.
        """
        if offset < 0 or length < 0:
            raise negative_span(offset, length)
        data = bytearray(max(0, min(length, self.size - offset)))
        self.read_front(offset, memoryview(data))
        return bytes(data)

    def read_front(self, offset: int, buffer: memoryview) -> int:
        """Fills the front of a buffer with the bytes from an offset on; returns how far."""
        done = 0
        while done < len(buffer):
            count = self._inputs.read(self._handle, offset + done, buffer[done : done + WINDOW])
            if not count:
                break
            done += count
        return done
