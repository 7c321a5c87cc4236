"""Splicing of large folders equals the general way, for trees and directory indexes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbfs.errors import InvalidInputError
from mlbfs.git.trees import TreeEntry, encode_tree
from mlbfs.ids import ObjectId
from mlbfs.store.dirindex import DirectoryEntry, DirectoryIndex, EntryKind, encode_directory
from mlbfs.store.dirsplice import has_folders, splice_directory
from mlbfs.workspace import treesplice
from mlbfs.workspace.treeedit import MODES
from mlbfs.workspace.treesplice import splice_tree

NAMES = st.sampled_from([b"a", b"a b", b"a.", b"a-", b"a0", b"b", b"\xff", b"100644 a", b"z" * 200])
KINDS = st.sampled_from([EntryKind.FILE, EntryKind.EXECUTABLE, EntryKind.SYMLINK])
IDS = st.binary(min_size=20, max_size=20) | st.just(b" a\0" * 6 + b"..")
FILES = st.tuples(KINDS, IDS, st.booleans(), st.integers(0, 1 << 40))
FOLDERS = st.tuples(st.just(EntryKind.DIRECTORY), IDS, st.just(False), st.just(0))


def row(name, value):
    kind, oid, is_stored, size = value
    content = oid + b"x" * 12 if is_stored else oid
    return TreeEntry(name, MODES[kind], ObjectId(oid)), DirectoryEntry(name, kind, size, content)


def rows(entries):
    return {name: row(name, value) for name, value in entries.items()}


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(treesplice, "WORTH_IT", 0)


@given(
    st.dictionaries(NAMES, FILES | FOLDERS),
    st.dictionaries(NAMES, st.none() | FILES | FOLDERS),
)
def test_a_spliced_index_is_the_encoded_one(before, changes):
    """Whatever comes, goes and changes."""
    old = {name: shown for name, (_, shown) in rows(before).items()}
    new = {n: None if v is None else row(n, v)[1] for n, v in changes.items()}
    after = {name: entry for name, entry in (old | new).items() if entry is not None}
    index = DirectoryIndex(encode_directory(old.values(), time_ns=5))
    spliced = splice_directory(index, new, time_ns=7)
    assert spliced == encode_directory(after.values(), time_ns=7)
    assert has_folders(index) == any(entry.is_directory for entry in old.values())


@given(
    st.dictionaries(NAMES, FILES) | st.dictionaries(NAMES, FILES | FOLDERS),
    st.dictionaries(NAMES, st.none() | FILES | FOLDERS, min_size=1),
)
def test_a_spliced_tree_is_the_encoded_one_or_none(before, changes):
    """It is none only where folders are about."""
    old, new = rows(before), {n: None if v is None else row(n, v) for n, v in changes.items()}
    index = DirectoryIndex(encode_directory([shown for _, shown in old.values()], time_ns=5))
    raw = encode_tree(entry for entry, _ in old.values())
    spliced = splice_tree(raw, index, new)
    if any(r is not None and r[1].is_directory for r in (*old.values(), *new.values())):
        assert spliced is None
        return
    after = {name: value for name, value in (old | new).items() if value is not None}
    assert spliced == encode_tree(entry for entry, _ in after.values())


def test_a_tree_that_is_spelled_otherwise_is_left_to_the_general_way():
    """Old modes with leading zeros move every place behind them."""
    old = rows(dict.fromkeys((b"a", b"b"), (EntryKind.FILE, b"i" * 20, False, 1)))
    index = DirectoryIndex(encode_directory([shown for _, shown in old.values()], time_ns=5))
    raw = encode_tree(entry for entry, _ in old.values())
    assert splice_tree(b"0" + raw, index, {b"b": None}) is None
    moved = raw.replace(b"100644 b", b"10644 bb")
    assert splice_tree(moved, index, {b"b": None}) is None


@pytest.mark.parametrize("name", [b".git", b"..", b"a/b"])
def test_names_that_git_refuses_are_refused(name):
    """As in the general way."""
    index = DirectoryIndex(encode_directory([], time_ns=5))
    with pytest.raises(InvalidInputError):
        splice_tree(b"", index, {name: row(name, (EntryKind.FILE, b"i" * 20, False, 1))})
