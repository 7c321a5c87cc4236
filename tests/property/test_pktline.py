"""Packets of Git, and the filter protocol above them: whatever comes in, nothing else comes out."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbfs.errors import FormatError, NotFoundError, UnsupportedError
from mlbfs.git.filterprotocol import FilterServer
from mlbfs.git.pktline import MAX_DATA, PacketError, PacketReader, PacketWriter

PACKET = st.binary(min_size=1, max_size=300)
LINE = st.binary(max_size=100).filter(lambda line: not line.endswith(b"\n"))


def _packets(*contents: list[bytes]) -> bytes:
    target = io.BytesIO()
    writer = PacketWriter(target)
    for lines in contents:
        writer.write_list(lines)
    return target.getvalue()


def _content(data: bytes) -> bytes:
    target = io.BytesIO()
    writer = PacketWriter(target)
    writer.write_content(data)
    writer.flush()
    return target.getvalue()


@given(st.lists(st.lists(LINE)))
def test_lists_come_back(lists: list[list[bytes]]) -> None:
    """What was written is read, list by list, and then the end."""
    reader = PacketReader(io.BytesIO(_packets(*lists)))
    assert [reader.read_list() for _ in lists] == lists
    with pytest.raises(EOFError):
        reader.read_list()


@pytest.mark.parametrize("size", [0, 1, MAX_DATA - 1, MAX_DATA, MAX_DATA + 1, 3 * MAX_DATA])
def test_content_comes_back_in_packets(size: int) -> None:
    """A content of any length is cut into packets that Git takes."""
    data = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
    pieces = list(PacketReader(io.BytesIO(_content(data))).read_content())
    assert b"".join(pieces) == data
    assert all(0 < len(piece) <= MAX_DATA for piece in pieces)


@given(st.binary(max_size=200))
def test_noise_is_refused_or_is_packets(noise: bytes) -> None:
    """Random bytes are never believed: what was read as packets spells them again."""
    reader, stream = PacketReader(stream := io.BytesIO(noise)), stream
    read = b""
    while True:
        try:
            data = reader.read()
        except EOFError:
            assert noise.lower() == read.lower()
            return
        except PacketError:
            return
        read += b"0000" if data is None else b"%04x" % (len(data) + 4) + data


@pytest.mark.parametrize(
    "header",
    [b"0001", b"0002", b"0003", b"0004", b"fff1", b"ffff", b"-001", b"+005", b" 005", b"0x05",
     b"00_5", b"00\xd9\xa5", b"000", b"0006a", b"\0\0\0\0"],
)  # fmt: skip
def test_lengths_that_cannot_be(header: bytes) -> None:
    """Every length is checked, and so is that so many bytes come."""
    with pytest.raises(PacketError):
        PacketReader(io.BytesIO(header)).read()


def test_a_list_or_content_that_is_cut_off() -> None:
    """An end in the middle is an error, not a short answer."""
    whole = _packets([b"one", b"two"])
    with pytest.raises(PacketError):
        PacketReader(io.BytesIO(whole[:-4])).read_list()
    with pytest.raises(PacketError):
        list(PacketReader(io.BytesIO(whole[:-4])).read_content())


# The protocol


class _Shout:
    """A filter that can be followed by eye."""

    def clean(self, path, content):
        if path == b"bad":
            raise NotFoundError("no such thing")
        return [b"".join(content).upper()]

    def smudge(self, path, content):
        del content  # not read: the server has to
        if path == b"late":
            return self._late()
        return iter([b"x" * 100_000, b"y"])

    def _late(self):
        yield b"half"
        raise NotFoundError("gone")


HELLO = _packets(
    [b"git-filter-client", b"version=2"],
    [b"capability=clean", b"capability=smudge", b"capability=delay"],
)


def _serve(data: bytes) -> tuple[list[tuple[bytes, str]], PacketReader]:
    told: list[tuple[bytes, str]] = []
    target = io.BytesIO()
    server = FilterServer(
        io.BytesIO(data), target, lambda path, err: told.append((path, err.message))
    )
    server.serve(_Shout())
    target.seek(0)
    reader = PacketReader(target)
    assert reader.read_list() == [b"git-filter-server", b"version=2"]
    assert reader.read_list() == [b"capability=clean", b"capability=smudge"]
    return told, reader


def _request(command: bytes, path: bytes, content: bytes) -> bytes:
    return _packets([b"command=" + command, b"pathname=" + path]) + _content(content)


def test_requests_are_answered_in_turn() -> None:
    """Success, a refusal that costs one file only, an unknown command, and an error on the way."""
    told, reader = _serve(
        HELLO
        + _request(b"clean", b"a", b"hello")
        + _request(b"clean", b"bad", b"z" * 200_000)
        + _request(b"smudge", b"a", b"z" * 200_000)
        + _request(b"dance", b"a", b"")
        + _request(b"smudge", b"late", b"")
        + _request(b"clean", b"empty", b"")
    )
    assert reader.read_list() == [b"status=success"]
    assert list(reader.read_content()) == [b"HELLO"]
    assert reader.read_list() == []
    assert reader.read_list() == [b"status=error"]
    assert reader.read_list() == [b"status=success"]
    assert b"".join(reader.read_content()) == b"x" * 100_000 + b"y"
    assert reader.read_list() == []
    assert reader.read_list() == [b"status=error"]
    assert reader.read_list() == [b"status=success"]
    assert list(reader.read_content()) == [b"half"]
    assert reader.read_list() == [b"status=error"]
    assert reader.read_list() == [b"status=success"]
    assert list(reader.read_content()) == []
    assert reader.read_list() == []
    assert [path for path, _ in told] == [b"bad", b"a", b"late"]


@given(st.binary(max_size=300))
def test_server_refuses_noise(noise: bytes) -> None:
    """Whatever follows the greeting, it ends in order or with an error of ours."""
    try:
        _serve(HELLO + noise)
    except FormatError:
        return
    assert not noise


@given(st.lists(st.one_of(st.just(b""), LINE), max_size=6))
def test_server_refuses_requests_that_are_none(lines: list[bytes]) -> None:
    """A list that names no command and path, or one twice, is not guessed at."""
    with pytest.raises(FormatError):
        _serve(HELLO + _packets(lines))


@pytest.mark.parametrize(
    "hello",
    [
        b"",
        b"hello, world",
        _packets([b"git-filter-client"]),
        _packets([b"other", b"version=2"]),
        _packets([b"git-filter-client", b"version=3"]),
        _packets([b"git-filter-client", b"version=2"]),
    ],
)
def test_server_meets_git_only(hello: bytes) -> None:
    """Another program, another version, or nobody at all."""
    with pytest.raises((FormatError, UnsupportedError)):
        _serve(hello)
