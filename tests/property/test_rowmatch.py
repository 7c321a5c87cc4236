"""The comparison of directories by blocks, against a plain one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mlbfs.store.dirindex import DirectoryEntry, DirectoryIndex, EntryKind, encode_directory
from mlbfs.workspace.rowmatch import match_rows

_CONTENT = st.sampled_from([b"a" * 32, b"b" * 32, b"c" * 20])
_DIRECTORY = st.dictionaries(st.binary(min_size=1, max_size=2), _CONTENT, max_size=40)


def _rows(names: dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    valid = {name: content for name, content in names.items() if not set(name) & set(b"/\0")}
    entries = [DirectoryEntry(name, EntryKind.FILE, 1, valid[name]) for name in valid]
    return DirectoryIndex(encode_directory(entries, time_ns=0)).rows()


@given(_DIRECTORY, _DIRECTORY, st.booleans())
def test_stretches_cover_both_and_tell_the_truth(
    one: dict[bytes, bytes], two: dict[bytes, bytes], alike: bool
) -> None:
    """Every entry of both is told once, in order; names that both have are told together."""
    old, new = _rows(one), _rows(one | two if alike else two)
    left: list[int] = []
    right: list[int] = []
    both: set[bytes] = set()
    for found in match_rows(old, new):
        if found.old is not None:
            left += range(found.old, found.old + found.length)
        if found.new is not None:
            right += range(found.new, found.new + found.length)
        if found.old is None or found.new is None:
            continue
        ours = old[found.old : found.old + found.length]
        theirs = new[found.new : found.new + found.length]
        assert (ours == theirs) is found.is_equal
        assert [name for name, _ in ours] == [name for name, _ in theirs]
        both.update(name for name, _ in ours)
    assert left == list(range(len(old)))
    assert right == list(range(len(new)))
    assert both == {name for name, _ in old} & {name for name, _ in new}


def test_long_equal_stretches_are_passed_at_once() -> None:
    """A hundred differences in a large directory make some hundred stretches, not an entry each."""
    old = _rows({b"%05x" % number: b"a" * 32 for number in range(20_000)})
    new = list(old)
    for position in range(0, 20_000, 200):
        new[position] = (new[position][0], b"other")
    del new[5000:5010]
    found = list(match_rows(old, new))
    assert len(found) < 400
    assert sum(stretch.length for stretch in found if stretch.is_equal) == 20_000 - 100 - 9
