"""The process of a merge's drivers, seen from the merge: started, asked, limited and ended.

Owns: the life of that process, and what is said of a driver that breaks it.
Layer: workspace.

Invariants:
  P1. When this is closed, nothing is left of the process or of its process group, whatever a driver
      did: the end is always SIGKILL, to the group, before the process is waited for, so that no
      other process can have its number.
  P2. A driver has no descriptor of the repository: it inherits a socket and a piece of memory.

Concurrency: one thread. The process ends with the thread that started it.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from mlbfs.errors import MlbfsError, storage_error
from mlbfs.merge.answers import NonsenseError, decode_result, encode_call
from mlbfs.merge.channel import BadMessageError, Channel, ChannelClosedError
from mlbfs.merge.driver import DriverError
from mlbfs.merge.failures import decode_failure, trace_of
from mlbfs.merge.folders import decode_alignment, encode_folder_call
from mlbfs.merge.registry import BUILT_IN
from mlbfs.merge.worker import WINDOW
from mlbfs.workspace.readserver import ReadServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlbfs.merge.channel import Message
    from mlbfs.merge.driver import MergeCall, MergeResult
    from mlbfs.merge.folders import Alignment, FolderCall

    _Call = MergeCall | FolderCall

_Answer = TypeVar("_Answer")

_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    " from mlbfs.merge.worker import main; main(*map(int, sys.argv[2:]))"
)
"""What the process runs. It looks for modules where this one does, so it finds the same drivers."""

_DEATH_WAIT_MS = 2000
"""How long a process may take to end after it has closed the channel; then it is ended."""

_HINT = "choose another one: --strategy-for PATTERN=DRIVER"


class DriverProcess:
    """A process that runs drivers, one call at a time.

    Attributes:
        timeout: Seconds that one call may take; None for any time.

    Raises:
        StorageError: The system does not start it.
    """

    def __init__(self, timeout: float | None) -> None:
        self.timeout = timeout
        try:
            self._start()
        except OSError as err:
            raise storage_error(err, "starting a process for merge drivers") from err

    def _start(self) -> None:
        memory = _make_memory()
        try:
            self._window = mmap.mmap(memory, WINDOW)
            end, theirs = socket.socketpair()
            with theirs:
                self._process = _spawn(theirs.fileno(), memory)
        finally:
            os.close(memory)
        self._peer = os.pidfd_open(self._process.pid)
        self._channel = Channel(end, self._peer)

    def close(self) -> None:
        """Ends the process and all that it has started in its group (P1); twice is fine."""
        if self._peer < 0:
            return
        self._channel.close()
        self._kill()
        self._process.wait()
        os.close(self._peer)
        self._peer = -1

    def _kill(self) -> None:
        if self._process.returncode is not None:
            return  # it was waited for, and its number may be another's (P1)
        for kill in (os.killpg, os.kill):
            with suppress(ProcessLookupError):  # a driver may have left the group
                kill(self._process.pid, signal.SIGKILL)

    def run(self, call: MergeCall) -> MergeResult:
        """Runs the driver of a call. After an error of the driver's the process is of no use.

        Raises:
            DriverError: The driver raised an error, ended its process, took too long or answered
                nonsense.
            MlbfsError: What it read could not be read, or a driver of ours refuses its options.
        """
        return self._ask(
            call,
            encode_call(call),
            lambda value, data: decode_result(value, data, call),
        )

    def align(self, call: FolderCall) -> Alignment:
        """Runs the driver of a call for a folder.

        Raises:
            DriverError: As for `run`.
            MlbfsError: As for `run`.
        """
        return self._ask(
            call, encode_folder_call(call), lambda value, _: decode_alignment(value, call.path)
        )

    def _ask(
        self,
        call: _Call,
        question: Message,
        decode: Callable[[Any, bytes], _Answer],
    ) -> _Answer:
        limit = self.timeout
        self._channel.deadline = None if limit is None else time.monotonic() + limit
        server = ReadServer(call.inputs, self._window)
        try:
            self._channel.send(question)
            while True:
                message, data = self._channel.receive()
                match message.get("do"):
                    case "answer":
                        return decode(message.get("result"), data)
                    case "failed":
                        _raise_failure(call, message.get("error"), server.error)
                self._channel.send(server.reply(message))
        except TimeoutError as err:
            self._kill()
            raise _too_long(call, self.timeout) from err
        except ChannelClosedError as err:
            raise driver_failed(call, self._death()) from err
        except (BadMessageError, NonsenseError) as err:
            raise driver_failed(call, err.message) from err

    def _death(self) -> str:
        """Returns how the process ended, which has closed its end of the channel."""
        poll = select.poll()
        poll.register(self._peer, select.POLLIN)
        if not poll.poll(_DEATH_WAIT_MS):
            return "it closed its connection to the merge"
        self._kill()  # P1: its children, while its number is still its own
        status = self._process.wait()
        if status >= 0:
            return f"it ended its process with exit code {status}"
        return f"its process was ended by {_signal_name(-status)}"


def driver_failed(call: _Call, why: str, *, hint: str | None = None) -> DriverError:
    """Returns the error for a driver that cannot do its work; it names driver and path."""
    return DriverError(
        f"{_named(call)} failed on {_shown(call)}: {why}".replace("\n", " "), hint=hint or _HINT
    )


def _too_long(call: _Call, timeout: float | None) -> DriverError:
    return DriverError(
        f"{_named(call)} took longer than {timeout:g} s for {_shown(call)} and was ended",
        hint="--driver-timeout SECONDS gives it more time, 0 any; or " + _HINT,
    )


def _named(call: _Call) -> str:
    return f"merge driver {call.choice.name!r}"


def _shown(call: _Call) -> str:
    return repr(call.path.decode(errors="backslashreplace"))


def _raise_failure(call: _Call, value: Any, reading: MlbfsError | None) -> NoReturn:  # noqa: ANN401
    """Raises what a driver's call failed with.

    What could not be read is raised as it was, and errors of our own drivers as they are. Those of
    others get the names of driver and path, whatever they say.
    """
    failure = decode_failure(value)
    cause = trace_of(value)
    if isinstance(failure, str):
        raise driver_failed(call, failure) from cause
    if reading is not None and failure.message == reading.message:
        raise reading from cause
    if call.choice.name in BUILT_IN:
        raise failure from cause
    raise driver_failed(call, failure.message, hint=failure.hint) from cause


def _make_memory() -> int:
    """Returns a descriptor of memory that both processes map, and neither can make shorter."""
    memory = os.memfd_create("mlbfs-merge", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(memory, WINDOW)
    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, seals)
    return memory


def _spawn(channel: int, memory: int) -> subprocess.Popen[bytes]:
    """Starts the process, in a group of its own: Ctrl-C is for the merge, which ends it.

    What drivers print goes to standard error: standard output is for what the command tells.
    """
    words = [json.dumps(sys.path), channel, memory, os.getpid()]
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _PROGRAM, *map(str, words)],
        stdin=subprocess.DEVNULL,
        stdout=_standard_error(),
        pass_fds=(channel, memory),
        process_group=0,
    )


def _standard_error() -> int:
    """Returns the descriptor of standard error, or of nothing if that is closed."""
    try:
        os.fstat(2)
    except OSError:
        return subprocess.DEVNULL
    return 2


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
