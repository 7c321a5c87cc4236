"""Differences of trees found in their bytes, against the entries of both as sets."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from mlbfs.errors import CorruptionError
from mlbfs.git.treediff import differing_entries
from mlbfs.git.trees import (
    MODE_DIRECTORY,
    MODE_EXECUTABLE,
    MODE_FILE,
    MODE_SUBMODULE,
    MODE_SYMLINK,
    TreeEntry,
    encode_tree,
    parse_tree,
)
from mlbfs.ids import ObjectId

# Few bytes, so that ids look like the beginnings of entries and ends of trees are often alike.
IDS = st.lists(st.sampled_from(b"10 4\0a"), min_size=20, max_size=20).map(bytes)
NAMES = st.text("ab1 ", min_size=1, max_size=3).map(str.encode)
MODES = st.sampled_from([MODE_FILE, MODE_EXECUTABLE, MODE_SYMLINK, MODE_DIRECTORY, MODE_SUBMODULE])
ENTRIES = st.dictionaries(NAMES, st.tuples(MODES, IDS), max_size=12)


@st.composite
def two_trees(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Draws a tree and another that shares entries with it."""
    first = draw(ENTRIES)
    second = dict(first)
    for name in draw(st.lists(st.sampled_from(sorted(first)), max_size=4)) if first else []:
        second.pop(name, None)
    second.update(draw(st.one_of(st.just({}), ENTRIES)))
    return _encoded(first), _encoded(second)


def _encoded(entries: dict[bytes, tuple[int, bytes]]) -> bytes:
    return encode_tree(
        TreeEntry(name, mode, ObjectId(oid)) for name, (mode, oid) in entries.items()
    )


@given(two_trees())
def test_it_is_what_one_has_and_the_other_has_not(trees: tuple[bytes, bytes]) -> None:
    one, other = ({entry.name: entry for entry in parse_tree(tree)} for tree in trees)
    found = differing_entries(*trees)
    assert found == (
        {name: entry for name, entry in one.items() if other.get(name) != entry},
        {name: entry for name, entry in other.items() if one.get(name) != entry},
    )


@given(two_trees(), st.binary(max_size=40), st.data())
@example((b"", b""), b"100644 .git\0" + b"a" * 20, None)
def test_a_tree_that_a_good_one_becomes_is_checked_where_it_differs(
    trees: tuple[bytes, bytes], bad: bytes, data: st.DataObject | None
) -> None:
    good, tree = trees
    at = data.draw(st.integers(0, len(tree))) if data is not None else 0
    spoilt = tree[:at] + bad + tree[at:]
    try:
        entries = {entry.name: entry for entry in parse_tree(spoilt)}
    except CorruptionError:
        entries = None
    before = {entry.name: entry for entry in parse_tree(good)}
    try:
        found = differing_entries(good, spoilt)
    except CorruptionError:
        assert entries is None
        return
    assert entries is not None
    assert found[1] == {n: entry for n, entry in entries.items() if before.get(n) != entry}
