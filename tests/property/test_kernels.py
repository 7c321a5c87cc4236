"""The native kernels equal their pure-Python twin, and both keep their promises on any input."""

from __future__ import annotations

import errno
import importlib
import os
import random
import socket
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlbfs.limits import MAX_CHUNK_SIZE
from mlbfs.store import twin
from mlbfs.store.filestamp import stamp_of
from mlbfs.store.recordformat import (
    MAX_RECORD_SIZE,
    RECORD_HEADER_SIZE,
    FileStatus,
    ReadStatus,
    RecordKind,
)

ID = bytes(range(32))
BOTH = [pytest.param("mlbfs._native", marks=pytest.mark.native), "mlbfs.store.twin"]


@pytest.fixture(scope="module")
def native():
    return importlib.import_module("mlbfs._native")


@pytest.fixture(params=BOTH)
def kernels(request):
    return importlib.import_module(request.param)


def piece(kind: str, length: int, seed: int) -> bytes:
    """Returns bytes of one texture: noise, a run, a short period, or few symbols."""
    rng = random.Random(seed)
    if kind == "noise":
        return rng.randbytes(length)
    if kind == "run":
        return bytes([seed % 256]) * length
    if kind == "period":
        unit = rng.randbytes(1 + seed % 200)
        return (unit * (length // len(unit) + 1))[:length]
    return bytes(rng.choices(b"0123456789,\n", k=length))


def textures(longest: int, pieces: int) -> st.SearchStrategy[bytes]:
    """Returns data stitched from pieces of different textures."""
    one = st.builds(
        piece,
        st.sampled_from(["noise", "run", "period", "symbols"]),
        st.integers(0, longest),
        st.integers(0, 2**16),
    )
    return st.lists(one, max_size=pieces).map(b"".join)


@pytest.mark.native
@pytest.mark.slow
@settings(max_examples=40)
@given(data=textures(60_000, 5), final=st.booleans())
def test_cut_points_equal_the_reference(native, data, final):
    """Four lanes in C++ cut where the plain loop in Python cuts."""
    assert twin.cut_points(data, final) == native.cut_points(data, final)


@pytest.mark.native
@pytest.mark.slow
@settings(max_examples=100)
@given(data=textures(400_000, 6), windows=st.lists(st.integers(1, 600_000), max_size=8))
def test_windows_do_not_move_cuts(native, data, windows):
    """Cutting window by window, carrying the open piece over, gives the cuts of one call."""
    whole = native.cut_points(data, True)
    cuts: list[int] = []
    start = end = 0
    for window in windows:
        end = min(len(data), end + window)
        cuts += [start + cut for cut in native.cut_points(data[start:end], False)]
        start = cuts[-1] if cuts else 0
    cuts += [start + cut for cut in native.cut_points(data[start:], True)]
    assert whole == cuts


@pytest.mark.native
@settings(max_examples=50)
@given(data=textures(MAX_CHUNK_SIZE // 8, 3))
def test_the_sample_says_the_same(native, data):
    """Both sides choose the same plane width."""
    assert twin.best_width(data) == native.best_width(data)


@pytest.mark.native
@settings(max_examples=40)
@given(
    data=textures(8000, 3), kind=st.sampled_from(RecordKind), level=st.sampled_from([-1, 1, 3, 9])
)
@example(data=b"", kind=RecordKind.CHUNK, level=3)
def test_each_side_reads_the_other(native, data, kind, level):
    """A record written by one is decoded by the other."""
    for writer, reader in ((native, twin), (twin, native)):
        record = writer.encode_record(kind, ID, data, level)
        assert (ReadStatus.OK, data) == reader.decode_record(record, ID)
        assert (ReadStatus.OK, data) == reader.decode_record(record, None)


PLAIN = b"some text that compresses, " * 30
RECORDS = [
    twin.encode_record(RecordKind.CHUNK, ID, plain, 3)
    for plain in (PLAIN, random.Random(5).randbytes(300), b"", bytes(range(0, 250, 2)) * 16)
]


@pytest.mark.native
@settings(max_examples=300)
@given(st.sampled_from(RECORDS), st.integers(0, 8 * RECORD_HEADER_SIZE + 600), st.integers(0, 3))
def test_a_flipped_bit_is_noticed_alike(native, record, bit, extra):
    """Both give the same status for a flipped bit, and it is never OK."""
    bad = bytearray(record)
    bit %= 8 * len(bad)
    bad[bit // 8] ^= 1 << bit % 8
    bad += bytes(extra)
    status, plain = native.decode_record(bad, ID)
    assert (status, plain) == twin.decode_record(bad, ID)
    assert status != ReadStatus.OK
    assert plain == b""


@pytest.mark.native
@settings(max_examples=300)
@given(st.sampled_from(RECORDS), st.integers(0, 2000))
def test_a_cut_record_is_noticed_alike(native, record, length):
    """Every proper prefix of a record is TRUNCATED."""
    prefix = record[: length % len(record)]
    assert native.decode_record(prefix, ID) == (ReadStatus.TRUNCATED, b"")
    assert twin.decode_record(prefix, ID) == (ReadStatus.TRUNCATED, b"")


@pytest.mark.native
@settings(max_examples=200)
@given(
    fields=st.tuples(
        st.sampled_from([0, 1, 2, 3, 4, 255]),
        st.sampled_from([0, 1, 2, 3, 4, 5, 255]),
        st.sampled_from([0, 1]),
        st.sampled_from([0, 1, 27, 64, 2**18, 2**18 + 1, 2**20, 2**20 + 1, 2**32 - 1]),
        st.sampled_from([0, 1, 63, 64, 2**18, 2**32 - 1]),
    ),
    body=st.sampled_from([b"", b"x", RECORDS[0][56:], bytes(64), b"\x50\x2a\x4d\x18" + bytes(60)]),
)
def test_forged_headers_with_good_checksums(native, fields, body):
    """Fields chosen by an attacker, who can compute the checksum, are judged alike by both."""
    kind, codec, zero, plain, stored = fields
    head = b"MREC" + bytes([kind, codec, zero, 0]) + plain.to_bytes(4, "little")
    head += stored.to_bytes(4, "little") + ID
    (checksum, *_) = native.checksums(head, body)
    record = head + checksum.to_bytes(8, "little") + body
    assert twin.decode_record(record, ID) == native.decode_record(record, ID)


@pytest.mark.native
@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes_as_a_frame(native, body):
    """A payload that is no frame, or not the claimed one, is BAD_PAYLOAD on both sides."""
    for stored in (body, b"\x28\xb5\x2f\xfd" + body):
        head = b"MREC\x01\x01\0\0" + (1000).to_bytes(4, "little")
        head += len(stored).to_bytes(4, "little") + ID
        record = head + native.checksums(head, stored)[0].to_bytes(8, "little") + stored
        assert twin.decode_record(record, ID) == native.decode_record(record, ID)


@pytest.fixture
def pack(tmp_path):
    path = tmp_path / "pack"
    path.write_bytes(b"head" + b"".join(RECORDS))
    with path.open("rb") as file:
        yield file.fileno()


@pytest.mark.parametrize("nowait", [False, True])
def test_records_are_read_from_a_file(kernels, pack, nowait):
    """Each record is read at its offset; what was just written is cached, so nothing blocks."""
    offset = 4
    for record in RECORDS:
        expected = twin.decode_record(record, ID)
        assert expected == kernels.read_record(pack, offset, len(record), ID, nowait)
        offset += len(record)


def test_reading_where_there_is_no_record(kernels, pack):
    """Every wrong place or length has its status."""
    first = len(RECORDS[0])
    end = 4 + sum(map(len, RECORDS))
    other = bytes(32)
    expectations = [
        ((4, first, other), ReadStatus.BAD_HEADER),
        ((5, first, ID), ReadStatus.BAD_HEADER),
        ((4, first + 1, ID), ReadStatus.BAD_HEADER),
        ((4, first - 1, ID), ReadStatus.TRUNCATED),
        ((end - 10, first, ID), ReadStatus.TRUNCATED),
        ((2**40, first, ID), ReadStatus.TRUNCATED),
        ((4, RECORD_HEADER_SIZE - 1, ID), ReadStatus.BAD_HEADER),
        ((4, MAX_RECORD_SIZE + 1, ID), ReadStatus.BAD_HEADER),
        ((4, -1, ID), ReadStatus.BAD_HEADER),
        ((-1, first, ID), ReadStatus.BAD_HEADER),
        ((2**63 - 1, first, ID), ReadStatus.BAD_HEADER),
    ]
    for arguments, status in expectations:
        assert (status, b"") == kernels.read_record(pack, *arguments, False)
    assert kernels.read_record(-1, 4, first, ID, False) == (-errno.EBADF, b"")
    with pytest.raises(ValueError, match="32 bytes"):
        kernels.read_record(pack, 4, first, b"short", False)


def test_a_file_system_that_cannot_tell_counts_as_blocking(kernels):
    """Where RWF_NOWAIT is not supported the answer is WOULD_BLOCK, not an error."""
    with open("/proc/self/status", "rb") as file:
        status, _ = kernels.read_record(file.fileno(), 0, 100, ID, True)
    assert status in (ReadStatus.WOULD_BLOCK, ReadStatus.BAD_HEADER)


def test_files_are_read_in_one_batch(kernels, tmp_path):
    """Contents lie one after the other; every odd file has its status and takes no room."""
    directory = os.fsencode(tmp_path)
    contents = {b"a": b"alpha", b"empty": b"", b"z\xff": random.Random(1).randbytes(10_000)}
    for name, content in contents.items():
        Path(os.fsdecode(directory + b"/" + name)).write_bytes(content)
    (tmp_path / "a").chmod(0o755)
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "grown").write_bytes(b"longer than before")
    (tmp_path / "shrunk").write_bytes(b"short")
    os.mkfifo(tmp_path / "fifo")
    requests = [
        (b"a", 5, FileStatus.OK),
        (b"fifo", 0, FileStatus.NOT_REGULAR),
        (b"empty", 0, FileStatus.OK),
        (b"missing", 9, -errno.ENOENT),
        (b"link", 5, -errno.ELOOP),
        (b"", 0, FileStatus.NOT_REGULAR),
        (b"grown", 4, FileStatus.CHANGED),
        (b"shrunk", 400, FileStatus.OK),
        (b"n\0ul", 5, -errno.EINVAL),
        (b"z\xff", 10_000, FileStatus.OK),
    ]
    paths = [directory + b"/" + name for name, _, _ in requests]
    blob, table = kernels.read_files(paths, [size for _, size, _ in requests])
    assert [status for _, _, status in requests] == [row[0] for row in table]
    got = [blob[offset : offset + length] for _, offset, length, _ in table]
    assert [contents[b"a"], b"", b"", b"", b"", b"", b"", b"short", b"", contents[b"z\xff"]] == got
    assert table[0][3] & 0o777 == 0o755
    assert len(blob) == sum(row[2] for row in table)


def test_a_socket_is_not_opened(kernels, tmp_path):
    """A socket cannot be opened; its error is reported."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        _, table = kernels.read_files([os.fsencode(tmp_path / "s")], [0])
    assert table == [(-errno.ENXIO, 0, 0, 0)]


@pytest.mark.parametrize(
    ("paths", "sizes"), [([b"x"], []), ([b"x"], [-1]), ([b"x"], [2**31]), ([b"x"] * 3, [2**29] * 3)]
)
def test_unreasonable_batches_are_refused(kernels, paths, sizes):
    """Sizes must be as many as paths, not negative, and of a bounded sum."""
    with pytest.raises(ValueError, match="sizes"):
        kernels.read_files(paths, sizes)


def test_no_files_are_no_bytes(kernels):
    """An empty batch is allowed."""
    assert kernels.read_files([], []) == (b"", [])


def test_a_folder_is_listed_in_byte_order(kernels, tmp_path):
    """Names, modes and sizes come sorted by byte; links are not followed."""
    folder = os.fsencode(tmp_path)
    for name in (b"b", b"a\xff", b"a", b"B"):
        with open(folder + b"/" + name, "wb") as file:
            file.write(name)
    os.mkdir(folder + b"/a-folder")
    os.symlink(b"missing", folder + b"/link")
    os.mkfifo(folder + b"/fifo")
    expected = [
        (name, status.st_mode, status.st_size, stamp_of(status))
        for name in sorted(os.listdir(folder))
        for status in [os.lstat(folder + b"/" + name)]
    ]
    assert kernels.list_folder(folder) == (0, expected)


@pytest.mark.parametrize(
    ("name", "status"),
    [(b"missing", -errno.ENOENT), (b"file", -errno.ENOTDIR), (b"n\0ul", -errno.EINVAL)],
)
def test_what_is_no_folder_is_not_listed(kernels, tmp_path, name, status):
    """The error is a status, not an exception."""
    (tmp_path / "file").write_bytes(b"")
    assert kernels.list_folder(os.fsencode(tmp_path) + b"/" + name) == (status, [])
