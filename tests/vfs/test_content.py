"""Bytes of files: written at any place, cut, extended, kept across reopening."""

from __future__ import annotations

import os
import random

import pytest

from mlbfs.workspace.attributes import SetAttr
from mlbfs.workspace.testing import Paths
from mlbfs.workspace.vfs_errors import Invalid, IsDirectory, Stale

BIG = bytes(range(256)) * 8192


def data_blocks(workspace):
    return sum(path.stat().st_blocks for path in (workspace.root / "data").iterdir()) * 512


def test_a_small_change_of_a_large_file_copies_nothing(paths):
    """What was written lies in the overlay, the rest in the snapshot."""
    paths.write(b"big", 1_000_001, b"changed")
    wanted = BIG[:1_000_001] + b"changed" + BIG[1_000_008:]
    assert paths.read(b"big") == wanted
    assert data_blocks(paths.workspace) < 64 * 1024
    assert paths.stat(b"big").size == len(BIG)


def test_random_writes_into_a_large_file_read_as_written(bench, paths):
    """Over reopening, too; truncating down and up gives zeros, never the old bytes."""
    chance = random.Random(5)
    wanted = bytearray(BIG)
    for _ in range(200):
        offset = chance.randrange(len(BIG) + 1000)
        piece = chance.randbytes(chance.choice([1, 100, 4096, 70_000]))
        paths.write(b"big", offset, piece)
        wanted.extend(bytes(max(0, offset + len(piece) - len(wanted))))
        wanted[offset : offset + len(piece)] = piece
        if chance.random() < 0.02:
            size = chance.randrange(len(wanted))
            paths.truncate(b"big", size)
            del wanted[size:]
    size = len(wanted) // 2
    paths.truncate(b"big", size)
    paths.truncate(b"big", size + 5000)
    wanted[size:] = bytes(5000)
    assert paths.read(b"big") == wanted
    paths.workspace.close()
    with bench.open() as workspace:
        assert Paths(workspace).read(b"big") == wanted
        assert workspace.commit("big", author=workspace.base.author).modified == 1
        assert bench.committed(bench.head())[b"big"].data == wanted


def test_writing_beyond_the_end_leaves_a_hole_of_zeros(paths):
    """For new files, small and large files of the snapshot."""
    paths.create(b"new")
    for path, old in ((b"new", b""), (b"a", b"text of a\n"), (b"big", BIG)):
        paths.write(path, len(old) + 100_000, b"end")
        assert paths.read(path) == old + bytes(100_000) + b"end"


def test_truncating_to_nothing_reads_nothing_from_the_snapshot(paths):
    """As opening with O_TRUNC does."""
    paths.truncate(b"big", 0)
    assert paths.read(b"big") == b""
    paths.truncate(b"big", 10)
    assert paths.read(b"big") == bytes(10)
    with pytest.raises(Invalid):
        paths.truncate(b"big", -1)


def test_reads_stop_at_the_end(paths):
    """Also those that begin behind it."""
    ino = paths.inode(b"a")
    assert paths.workspace.read(ino, 5, 100) == b"of a\n"
    assert paths.workspace.read(ino, 500, 10) == b""
    paths.write(b"a", 0, b"T")
    assert paths.workspace.read(ino, 500, 10) == b""
    assert paths.workspace.read_nowait(ino, 0, 4) in (b"Text", None)


def test_directories_have_no_bytes(paths):
    """Read, write and truncate say so."""
    ino = paths.inode(b"d")
    with pytest.raises(IsDirectory):
        paths.workspace.read(ino, 0, 1)
    with pytest.raises(IsDirectory):
        paths.workspace.write(ino, 0, b"x")
    with pytest.raises(IsDirectory):
        paths.workspace.setattr(ino, SetAttr(size=0))


def test_unknown_inodes_are_stale(paths):
    """A number that was never given out is an answer, not a crash."""
    for ino in (0, 99, 1 << 40, (1 << 62) | 12_345):
        with pytest.raises(Stale):
            paths.workspace.getattr(ino)


def test_writing_sets_times_and_utimes_keeps_them(bench, paths):
    """The times of a file survive reopening to the nanosecond."""
    paths.create(b"new", b"x")
    first = paths.stat(b"new").mtime_ns
    paths.workspace.setattr(paths.inode(b"new"), SetAttr(mtime_ns=first - 10**15 + 7))
    paths.workspace.close()
    with bench.open() as workspace:
        assert Paths(workspace).stat(b"new").mtime_ns == first - 10**15 + 7


def test_a_file_of_more_than_4_gib_is_sparse(paths):
    """Offsets beyond 2^32 are real."""
    paths.create(b"huge")
    paths.write(b"huge", 5 << 30, b"far")
    assert paths.stat(b"huge").size == (5 << 30) + 3
    assert paths.workspace.read(paths.inode(b"huge"), 5 << 30, 10) == b"far"
    assert data_blocks(paths.workspace) < 1 << 20


def test_more_files_than_descriptors(paths):
    """Data files are closed and opened again as needed."""
    names = [b"file-%03d" % number for number in range(600)]
    for name in names:
        paths.create(name, name)
    assert len(os.listdir("/proc/self/fd")) < 400
    assert all(paths.read(name) == name for name in names)
