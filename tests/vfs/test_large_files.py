"""Changing long committed files in a workspace: what it costs, and what a commit makes of it."""

from __future__ import annotations

import hashlib
import random

import pytest

from mlbfs.limits import KIB, MAX_CHUNK_SIZE, MIB
from mlbfs.store.filereader import FileReader
from mlbfs.store.rebuild import mark_row
from mlbfs.workspace.snapshot import Snapshot
from mlbfs.workspace.status import UNKNOWN_CONTENT
from mlbfs.workspace.testing import SIGNATURE, file

LONG = random.Random(9).randbytes(6 * MIB)
TEXT = b"a line of text\n" * 200_000


@pytest.fixture
def paths(bench, paths):
    """The workspace with two long files, one of them text."""
    paths.create(b"long", LONG)
    paths.create(b"text", TEXT)
    commit(paths.workspace)
    return paths


def commit(workspace):
    return workspace.commit("change", author=SIGNATURE)


def data_blocks(workspace):
    return sum(path.stat().st_blocks for path in (workspace.root / "data").iterdir()) * 512


@pytest.fixture
def base_reads(monkeypatch):
    """The ranges that are read of committed files."""
    reads = []
    read = FileReader.read

    def counted(self, offset, length):
        reads.append((offset, length))
        return read(self, offset, length)

    monkeypatch.setattr(FileReader, "read", counted)
    return reads


CHANGES = {
    "append": [("write", len(LONG), b"more")],
    "append-twice": [("write", len(LONG), b"more"), ("write", len(LONG) + 4, bytes(100_000))],
    "front": [("write", 0, b"front")],
    "middle": [("write", 3_000_001, b"x" * 5000)],
    "last-byte": [("write", len(LONG) - 1, b"\0")],
    "many": [("write", at, b"\xffpiece") for at in range(500_000, 6_000_000, 333_333)],
    "cut": [("truncate", 2_000_000)],
    "cut-and-grown": [("truncate", 2_000_000), ("truncate", 5_000_000)],
    "cut-and-written": [("truncate", 2_000_000), ("write", 2_500_000, b"\1end")],
    "grown": [("truncate", len(LONG) + 300_000)],
    "hole": [("write", len(LONG) + 2_000_000, b"far")],
    "across": [("write", len(LONG) - 300_000, LONG[:600_000])],
    "emptied": [("truncate", 0), ("write", 0, LONG[:3_000_000])],
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_file_is_committed_as_it_reads(bench, paths, name):
    """Content, length and id, whatever was done to it; and the second commit finds no change."""
    for step, *arguments in CHANGES[name]:
        getattr(paths, step)(b"long", *arguments)
    wanted = paths.read(b"long")
    assert [change.path for change in paths.workspace.status().changes] == [b"long"]
    result = commit(paths.workspace)
    assert (result.added, result.modified, result.deleted) == (0, 1, 0)
    assert bench.committed(bench.head())[b"long"].data == wanted
    entry = Snapshot(bench.source, bench.head()).get(b"long")
    assert entry is not None
    assert entry.content == hashlib.sha256(wanted).digest()
    assert paths.workspace.status().is_clean
    assert paths.read(b"long") == wanted


def test_a_write_into_a_long_file_takes_its_own_blocks(bench, paths, base_reads):
    """In the middle, over the end and far behind it; no more is read than to fill a block."""
    for offset in (3_000_000, len(LONG) - 10, 4 * 1024 * MIB):
        paths.write(b"long", offset, b"x" * 4096)
    assert data_blocks(paths.workspace) < 64 * KIB
    assert sum(length for _, length in base_reads) <= 3 * 4096
    base_reads.clear()
    paths.write(b"long", 1_000 * 4096, b"x" * 8192)
    assert not base_reads


def test_a_commit_cuts_only_what_changed(bench, paths, base_reads):
    """It stores and reads a few chunks; the rest is read once at most, for its hash."""
    paths.write(b"long", 5_000_000, b"changed")
    assert commit(paths.workspace).new_bytes <= 3 * MAX_CHUNK_SIZE
    assert sum(length for _, length in base_reads) < len(LONG) + 4 * MAX_CHUNK_SIZE


def test_status_reads_what_was_written(bench, paths, base_reads):
    """It compares that with the base, and finds other bytes, or the same ones."""
    at = 700 * 4096
    paths.write(b"long", at, LONG[at : at + 4096])
    assert paths.workspace.status().is_clean
    assert base_reads == [(at, 4096)]
    paths.write(b"long", 3_000_000, b"other")
    (change,) = paths.workspace.status().changes
    assert change.new.content == UNKNOWN_CONTENT
    paths.write(b"long", 3_000_000, LONG[3_000_000:3_000_005])
    assert paths.workspace.status().is_clean


def test_status_of_an_appended_file_reads_nothing(bench, paths, base_reads):
    """Its length tells."""
    paths.write(b"long", len(LONG), b"more")
    assert [change.path for change in paths.workspace.status().changes] == [b"long"]
    assert not base_reads


def test_a_file_cut_and_grown_again_is_compared_with_its_base(bench, paths):
    """Where the base had zeros it is the same; where it had not, it is changed."""
    zeros = bytes(3 * MIB)
    paths.create(b"zeros", zeros)
    commit(paths.workspace)
    for path, clean in ((b"zeros", True), (b"long", False)):
        size = paths.stat(path).size
        paths.truncate(path, size // 2)
        paths.truncate(path, size)
        assert paths.workspace.status().is_clean == clean


def test_a_file_over_another_of_its_length_is_hashed(bench, paths):
    """A change that makes it the one that was there is none."""
    other = LONG[:4_000_000] + b"other" + LONG[4_000_005:]
    paths.create(b"other", other)
    commit(paths.workspace)
    paths.rename(b"other", b"long")
    paths.write(b"long", 4_000_000, b"OTHER")
    assert {c.path for c in paths.workspace.status().changes} == {b"long", b"other"}
    paths.write(b"long", 4_000_000, LONG[4_000_000:4_000_005])
    assert paths.read(b"long") == LONG
    assert {c.path for c in paths.workspace.status().changes} == {b"other"}


def test_a_change_that_was_taken_back_is_no_change(bench, paths):
    """A commit finds the id that was there."""
    paths.write(b"long", 3_000_000, LONG[3_000_000:3_000_100])
    paths.create(b"new", b"so that there is something to commit\n")
    assert (commit(paths.workspace).added, paths.workspace.status().is_clean) == (1, True)
    assert bench.committed(bench.head())[b"long"].data == LONG


def test_long_text_cut_short_goes_to_git(bench, paths):
    """As it would if it had been written anew; what looks like a pointer does not."""
    paths.truncate(b"text", 30)
    commit(paths.workspace)
    entry = Snapshot(bench.source, bench.head()).get(b"text")
    assert entry is not None
    assert (entry.file_id, entry.size) == (None, 30)
    assert bench.committed(bench.head())[b"text"].data == TEXT[:30]


def test_a_base_that_lost_a_chunk_is_stored_whole(bench, paths):
    """Where what is lost was overwritten, the commit succeeds and the file is complete again."""
    bench.commit({b"lost": file(LONG)}, keep=True)
    paths.workspace.close()
    with bench.open() as workspace:
        again = type(paths)(workspace)
        entry = Snapshot(bench.source, bench.head()).get(b"lost")
        assert entry is not None
        assert entry.file_id is not None
        row = bench.store.index.file(entry.file_id)
        assert row is not None
        again.write(b"lost", 0, LONG[::-1])
        with bench.store.index.begin() as txn:
            txn.put_files([(entry.file_id, mark_row(row, lost=True))])
        commit(workspace)
        assert bench.committed(bench.head())[b"lost"].data == LONG[::-1]


def test_a_write_behind_what_is_left_of_the_base_changes_nothing_else(paths):
    """What was cut off and came back as zeros, in the same block, stays zeros."""
    paths.truncate(b"long", 1)
    paths.truncate(b"long", 100)
    paths.write(b"long", 60, b"here")
    assert paths.read(b"long") == LONG[:1] + bytes(59) + b"here" + bytes(36)
