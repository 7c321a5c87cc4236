"""Directory indexes: sorted, found by name, refused when damaged."""

from __future__ import annotations

import pytest

from mlbfs.errors import FormatError, InvalidInputError
from mlbfs.store.dirindex import DirectoryEntry, DirectoryIndex, EntryKind, encode_directory


def _file(name: bytes, size: int = 1) -> DirectoryEntry:
    return DirectoryEntry(name, EntryKind.FILE, size, b"f" * 32)


def test_entries_are_sorted_by_their_bytes() -> None:
    """Whatever order they came in."""
    names = [b"b", b"\xff", b"a", b"a.b", b"A", b"a-"]
    index = DirectoryIndex(encode_directory(map(_file, names), time_ns=0))
    assert sorted(names) == [entry.name for entry in index]


def test_an_entry_comes_back_as_it_was() -> None:
    """Kind, size and id, for ids of both lengths."""
    entries = [
        DirectoryEntry(b"a", EntryKind.EXECUTABLE, 2**40, b"i" * 32),
        DirectoryEntry(b"b", EntryKind.DIRECTORY, 0, b"t" * 20),
        DirectoryEntry(b"c", EntryKind.SYMLINK, 7, b"l" * 20),
        DirectoryEntry(b"d", EntryKind.SUBMODULE, 0, b"s" * 20),
    ]
    index = DirectoryIndex(encode_directory(entries, time_ns=-5))
    assert entries == list(index)
    assert entries == [index.entry(at) for at in range(len(index))]
    assert index.time_ns == -5
    assert (index.entry(1).file_id, index.entry(1).object_id) == (None, b"t" * 20)
    assert (index.entry(0).file_id, index.entry(0).object_id) == (b"i" * 32, None)
    assert index.entry(1).is_directory
    assert index.entry(2).is_symlink


def test_find_returns_the_position_or_none() -> None:
    """At both ends, in the middle and between."""
    index = DirectoryIndex(encode_directory(map(_file, [b"b", b"d", b"f"]), time_ns=0))
    found = {name: index.find(name) for name in [b"a", b"b", b"c", b"d", b"e", b"f", b"g", b""]}
    expected = {b"a": None, b"b": 0, b"c": None, b"d": 1, b"e": None, b"f": 2, b"g": None}
    assert {**expected, b"": None} == found


def test_an_empty_directory() -> None:
    """It has no entries and is found to have none."""
    index = DirectoryIndex(encode_directory([], time_ns=3))
    assert (len(index), list(index), index.find(b"a")) == (0, [], None)
    with pytest.raises(IndexError):
        index.entry(0)


@pytest.mark.parametrize("name", [b"", b"a/b", b"a\0", b"x" * 256])
def test_a_bad_name_is_refused(name: bytes) -> None:
    """Nothing that could not be a name in a directory gets in."""
    with pytest.raises(InvalidInputError):
        encode_directory([_file(name)], time_ns=0)


def test_a_name_that_is_there_twice_is_refused() -> None:
    """One name, one entry."""
    with pytest.raises(InvalidInputError, match="twice"):
        encode_directory([_file(b"a"), _file(b"a", 2)], time_ns=0)


def test_an_id_of_another_length_is_refused() -> None:
    """Neither a file id nor a Git object id."""
    with pytest.raises(InvalidInputError, match="31 bytes"):
        encode_directory([DirectoryEntry(b"a", EntryKind.FILE, 1, b"i" * 31)], time_ns=0)


def test_every_flipped_byte_is_noticed() -> None:
    """Wherever it is."""
    data = encode_directory(map(_file, [b"one", b"two"]), time_ns=9)
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 0x40
        with pytest.raises(FormatError):
            DirectoryIndex(bytes(damaged))
