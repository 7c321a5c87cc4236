"""The small parts of a workspace: ranges, inode numbers, lookup counts, caches, data files."""

from __future__ import annotations

import os
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbfs.ids import ObjectId
from mlbfs.workspace.datafiles import MAX_OPEN_FILES, DataFiles
from mlbfs.workspace.extents import Extents
from mlbfs.workspace.inodes import DirectoryTable, LookupCounts, derive_inode
from mlbfs.workspace.lru import Lru
from mlbfs.workspace.overlay import OFFSET_COUNTER, Overlay
from mlbfs.workspace.vfs_errors import NoEntry, Stale

RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=12)


@given(RANGES, st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_extents_equal_a_set_of_positions(ranges, size, start, stop):
    """Adding, clipping and cutting into pieces, against a plain set."""
    extents, model = Extents(), set()
    for low, high in ranges:
        before = dict(extents)
        edit = extents.add(low, high)
        model |= set(range(low, high))
        for old in edit.removed:
            del before[old]
        before.update(edit.added)
        assert before == dict(extents), "an edit says exactly what changed"
    extents.clip(size)
    model = {position for position in model if position < size}
    spans = list(extents)
    assert {p for low, high in spans for p in range(low, high)} == model
    assert all(end < begin for (_, end), (begin, _) in pairwise(spans))
    pieces = list(extents.pieces(start, stop))
    covered = [(p, own) for low, high, own in pieces for p in range(low, high)]
    assert covered == [(p, p in model) for p in range(start, stop)]


def test_inode_numbers_lead_back_to_their_place():
    """Without any state per file."""
    numbers = iter(range(7, 100))
    table = DirectoryTable(lambda: next(numbers))
    tree = ObjectId(bytes(20))
    number = table.number(1, tree)
    assert table.number(1, tree) == number == 7
    ino = derive_inode(number, 41)
    assert table.locate(ino) == (1, tree, 41)
    assert len(table) == 1
    for unknown in (1, ino + (1 << 24), number << 24):
        with pytest.raises(Stale):
            table.locate(unknown)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=60))
def test_lookup_counts_add_up(steps):
    """Counts of derived and other inodes, never below zero."""
    counts, model = LookupCounts(), {}
    for slot, taken in steps:
        ino = (5 << 24 | slot + 1) if slot % 2 else (9 << 24 | slot)
        if taken:
            model[ino] = max(0, model.get(ino, 0) - taken)
            assert counts.forget(ino, taken) == model[ino]
        else:
            model[ino] = model.get(ino, 0) + 1
            counts.add(ino, dense=bool(slot % 2))
        assert counts[ino] == model[ino]


def test_a_cache_keeps_to_its_budget():
    """The least recently used goes first; the last one is held even if it is too large."""
    cache = Lru(10)
    cache.put("a", 1, 4)
    cache.put("b", 2, 4)
    assert cache.get("a") == 1
    cache.put("c", 3, 4)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)
    assert cache.used == 8
    cache.put("huge", 4, 11)
    assert (cache.get("huge"), len(cache)) == (4, 1)
    cache.put("a", 1, 4)
    assert (cache.get("huge"), cache.used) == (None, 4)
    cache.clear()
    assert len(cache) == cache.used == 0
    two = Lru(10, least=2)
    for name in ("a", "b", "c"):
        two.put(name, name, 100)
    assert (two.get("a"), two.get("b"), two.get("c")) == (None, "b", "c")


def test_a_deleted_data_file_stays_usable_while_it_is_pinned(tmp_path):
    """A reader in another thread has its descriptor."""
    files = DataFiles(tmp_path / "data")
    handle = files.create((5, 1))
    os.pwrite(handle.fd, b"bytes", 0)
    files.pin(handle)
    files.remove((5, 1))
    assert os.pread(handle.fd, 9, 0) == b"bytes"
    files.unpin(handle)
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(handle.fd)
    files.close()


def test_data_files_close_what_nobody_uses(tmp_path):
    """Pinned descriptors stay, whatever comes after them."""
    files = DataFiles(tmp_path / "data")
    first = files.create((1, 1))
    files.pin(first)
    for number in range(2, 2 * MAX_OPEN_FILES):
        files.create((number, 1))
    os.fstat(first.fd)
    assert len(os.listdir("/proc/self/fd")) < MAX_OPEN_FILES + 60
    files.close()


def test_a_copy_keeps_bytes_holes_and_times(tmp_path):
    """So a file that a commit holds still can be written at once."""
    files = DataFiles(tmp_path / "data")
    handle = files.create((1, 1))
    os.pwrite(handle.fd, b"begin", 0)
    os.pwrite(handle.fd, b"end", 10 << 20)
    os.ftruncate(handle.fd, 20 << 20)
    os.utime(handle.fd, ns=(3, 5))
    files.create((1, 2))
    copied = os.fstat(files.copy((1, 1), (1, 2)).fd)
    assert (copied.st_size, copied.st_mtime_ns) == (20 << 20, 5)
    assert copied.st_blocks * 512 < 1 << 20
    assert os.pread(files.open((1, 2)).fd, 3, 10 << 20) == b"end"
    files.close()


def fail_in_transaction(overlay, seen):
    with overlay.transaction():
        seen.append(overlay.take("next_inode"))
        overlay.take(OFFSET_COUNTER)
        raise ZeroDivisionError


def test_numbers_are_never_given_twice(tmp_path):
    """Not after closing, not after a transaction that came to nothing."""
    seen = []
    for _ in range(3):
        overlay = Overlay(tmp_path / "db")
        seen += [overlay.take("next_inode") for _ in range(5000)]
        with pytest.raises(ZeroDivisionError):
            fail_in_transaction(overlay, seen)
        overlay.close()
    assert len(seen) == len(set(seen))


def test_entries_beyond_what_a_number_can_hold_are_not_shown():
    """16,777,215 entries of a committed folder have numbers (S73)."""
    assert derive_inode(1, (1 << 24) - 2) == (1 << 25) - 1
    with pytest.raises(NoEntry):
        derive_inode(1, (1 << 24) - 1)
