"""The control socket: messages, limits, errors and lost partners; no mount is needed."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from mlbfs.errors import (
    ConflictError,
    ErrorKind,
    InternalError,
    NotFoundError,
    StorageError,
    UnsupportedError,
)
from mlbfs.git.commits import Signature
from mlbfs.mount import control, control_server
from mlbfs.mount.control import ControlError, encode_line, encode_request, parse_line, request
from mlbfs.mount.control_server import ControlServer, bind_socket
from mlbfs.mount.messages import (
    decode_path,
    decode_signature,
    decode_status,
    encode_path,
    encode_signature,
    encode_status,
)
from mlbfs.mount.wire import decode_error, encode_error
from mlbfs.store.dirindex import DirectoryEntry, EntryKind
from mlbfs.workspace.diff import Change, ChangeKind
from mlbfs.workspace.report import Status
from mlbfs.workspace.vfs_errors import NoSpace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _conflict(arguments: dict, send: object) -> None:
    raise ConflictError("someone else won", kind=ErrorKind.REF_MOVED, hint="try again")


def _bug(arguments: dict, send: object) -> None:
    raise ZeroDivisionError("a bug")


def _count(arguments: dict, send) -> int:
    for number in range(arguments["to"]):
        send(number)
    return arguments["to"]


class Server:
    """A control server in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.finish = threading.Event()
        self.commands = {
            "count": _count,
            "conflict": _conflict,
            "bug": _bug,
            "wait": lambda _arguments, _send: self.finish.wait(30),
            "endless": self._endless,
        }
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,))

    def _endless(self, _arguments: dict, send) -> None:
        while not self.finish.wait(0.01):
            send.check()

    async def _run(self) -> None:
        with contextlib.closing(bind_socket(self.path)) as listener:
            server = ControlServer(listener, self.commands)
            with trio.CancelScope() as self.scope:
                self._token = trio.lowlevel.current_trio_token()
                self._ready.set()
                await server.serve()

    def __enter__(self) -> Server:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *exc: object) -> None:
        self.finish.set()
        trio.from_thread.run_sync(self.scope.cancel, trio_token=self._token)
        self._thread.join(30)
        assert not self._thread.is_alive()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server behind a path longer than a socket address."""
    folder = tmp_path / ("x" * 150)
    folder.mkdir()
    with Server(folder / "a.sock") as made:
        yield made


def test_answer_with_items(server: Server) -> None:
    """Items come in order, then the result."""
    assert request(server.path, "count", {"to": 3}) == (3, [0, 1, 2])


def test_a_client_that_gives_up_is_told_what_came_of_it(server: Server) -> None:
    """The end of what it writes stops the command; the answer still arrives."""
    with contextlib.closing(control._connect(server.path)) as connection:
        connection.sendall(encode_request("endless", {}))
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as stream:
            last = parse_line(list(stream)[-1])
    assert decode_error(last["error"]).kind is ErrorKind.INTERRUPTED


def test_error_arrives_as_it_was_raised(server: Server) -> None:
    """Class, kind, message and hint of an error go over the socket."""
    with pytest.raises(ConflictError) as caught:
        request(server.path, "conflict")
    assert caught.value.message == "someone else won"
    assert (caught.value.kind, caught.value.hint) == (ErrorKind.REF_MOVED, "try again")


def test_bug_is_an_internal_error(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """A bug in a command is told as one, and the server goes on."""
    with pytest.raises(InternalError, match="ZeroDivisionError"):
        request(server.path, "bug")
    assert "Traceback" in caplog.text
    assert request(server.path, "count", {"to": 0}) == (0, [])


def test_unknown_command(server: Server) -> None:
    """A command that the daemon does not have is refused by name."""
    with pytest.raises(UnsupportedError, match="frobnicate"):
        request(server.path, "frobnicate")


@pytest.mark.parametrize(
    "line", [b"\n", b"nonsense\n", b"[]\n", b'{"version":1,"command":["a"]}\n']
)
def test_nonsense_is_refused(server: Server, line: bytes) -> None:
    """Bytes that are no request get an error and do no harm."""
    with _connected(server.path) as connection:
        connection.sendall(line)
        assert "error" in parse_line(connection.makefile("rb").readline())
    assert request(server.path, "count", {"to": 0}) == (0, [])


def test_other_version_is_refused(server: Server) -> None:
    """A command of another version is told which one the daemon speaks."""
    with _connected(server.path) as connection:
        connection.sendall(encode_line({"version": 99, "command": "count"}))
        reply = parse_line(connection.makefile("rb").readline())
    error = decode_error(reply["error"])
    assert isinstance(error, UnsupportedError)
    assert "version 1" in error.message


def test_request_that_is_too_long(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless request is cut off."""
    monkeypatch.setattr(control_server, "REQUEST_LIMIT", 1000)
    with _connected(server.path) as connection:
        connection.sendall(b"x" * 2000)
        assert "error" in parse_line(connection.makefile("rb").readline())


def test_signs_of_life_tell_how_far_the_work_is(server: Server) -> None:
    """A command notes its progress, and the client is told of it before the answer."""
    told: list[tuple[int, int]] = []
    arrived = threading.Event()

    def work(_arguments: dict, send) -> bool:
        send.progress(3, 10)
        return arrived.wait(30)

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        arrived.set()

    server.commands["work"] = work
    assert request(server.path, "work", progress=progress) == (True, [])
    assert told == [(3, 10)]


def test_the_last_progress_is_told_with_the_answer(server: Server) -> None:
    """Work that is done before the first sign of life is told of, too."""
    told: list[tuple[int, int]] = []

    def work(_arguments: dict, send) -> bool:
        send.progress(10, 10)
        return True

    server.commands["work"] = work
    request(server.path, "work", progress=lambda done, total: told.append((done, total)))
    assert told == [(10, 10)]


def test_client_that_goes_away(server: Server) -> None:
    """A client that leaves early disturbs nobody."""
    with _connected(server.path):
        pass
    with _connected(server.path) as connection:
        connection.sendall(encode_request("count", {"to": 100_000}))
    assert request(server.path, "count", {"to": 1}) == (1, [0])


def test_signs_of_life(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long command says that it is alive; it may take longer than the silence limit."""
    monkeypatch.setattr(control_server, "HEARTBEAT", 0.01)
    with _connected(server.path) as connection:
        connection.sendall(encode_request("wait", {}))
        stream = connection.makefile("rb")
        assert parse_line(stream.readline()) == {"alive": True}
        assert parse_line(stream.readline()) == {"alive": True}
        server.finish.set()
        while (line := parse_line(stream.readline())) == {"alive": True}:
            pass
        assert line == {"result": True}


def test_silent_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that takes a request and says nothing is given up."""
    monkeypatch.setattr(control, "SILENCE_LIMIT", 0.01)
    with (
        contextlib.closing(bind_socket(tmp_path / "a.sock")),
        pytest.raises(ControlError, match="silent"),
    ):
        request(tmp_path / "a.sock", "ping")


def test_daemon_that_accepts_nobody(tmp_path: Path) -> None:
    """One whose queue is full is given up as one that says nothing, and not sooner."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.closing(bind_socket(tmp_path / "a.sock")))
        for _ in range(control_server._BACKLOG + 1):
            stack.enter_context(_connected(tmp_path / "a.sock"))
        with pytest.raises(ControlError, match="'/mnt' has been silent") as caught:
            request(tmp_path / "a.sock", "ping", place="/mnt", limit=0.01)
        assert "mlbfs umount --lazy /mnt" in (caught.value.hint or "")


def test_nobody_listens(tmp_path: Path) -> None:
    """A missing socket and a dead one both mean that the daemon has ended."""
    for _ in range(2):
        with pytest.raises(NotFoundError) as caught:
            request(tmp_path / "a.sock", "ping")
        assert caught.value.kind is ErrorKind.MOUNT_NOT_FOUND
        bind_socket(tmp_path / "a.sock").close()


def test_socket_is_for_its_user(tmp_path: Path) -> None:
    """Nobody else may connect."""
    with contextlib.closing(bind_socket(tmp_path / "a.sock")):
        assert (tmp_path / "a.sock").stat().st_mode & 0o777 == 0o600


def test_errors_on_the_wire() -> None:
    """Leaves travel as their base, answers of the file system as device errors, unknowns safely."""
    assert isinstance(decode_error(encode_error(ControlError("x"))), StorageError)
    assert decode_error(encode_error(NoSpace("no room"))).message == "NoSpace: no room"
    assert isinstance(decode_error({"class": "Later", "kind": "later"}), InternalError)
    assert isinstance(decode_error("nonsense"), InternalError)


@given(st.binary())
def test_paths_on_the_wire(path: bytes) -> None:
    """Any bytes survive as JSON."""
    line = encode_line({"path": encode_path(path)})
    assert decode_path(parse_line(line)["path"]) == path


def test_status_on_the_wire() -> None:
    """A status survives in pieces."""
    old = DirectoryEntry(b"a\xff", EntryKind.FILE, 5, b"\x01" * 20)
    new = DirectoryEntry(b"a\xff", EntryKind.EXECUTABLE, 7, b"")
    changes = [Change(b"d/a\xff", ChangeKind.MODIFIED, old, new)] * 1001
    changes.append(Change(b"gone", ChangeKind.DELETED, old, None))
    changes[-1] = Change(b"a\xff", ChangeKind.DELETED, old, None)
    status = Status(changes, [b"e\xfe"], [b"fifo"], [b".git"])
    head, pieces = encode_status(status)
    sent = [parse_line(encode_line({"item": piece}))["item"] for piece in pieces]
    assert [len(piece) for piece in sent] == [1000, 2]
    assert decode_status(parse_line(encode_line(head)), sent) == status


def test_signature_on_the_wire() -> None:
    """A person and a moment survive."""
    signature = Signature("Ærø", "a@example.org", 1_700_000_000, -330)
    assert decode_signature(encode_signature(signature)) == signature


@contextlib.contextmanager
def _connected(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(30)
        with control.socket_address(path) as address:
            connection.connect(address)
        yield connection
