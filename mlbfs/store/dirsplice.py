"""Changes some entries of an encoded directory without unpacking the others.

A commit in a folder of a million files would make a million values to change ten. The table and the
names are copied in stretches here; only the ends of names behind one that came or went are counted
anew. `encode_directory` is the general way, and a property test compares the two.

Layer: store. Pure.
"""

from __future__ import annotations

import sys
from array import array
from typing import TYPE_CHECKING

from mlbfs.store.dirindex import ENTRY, HEADER, DirectoryEntry, DirectoryIndex, finish_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WORDS = ENTRY.size // 4


def splice_directory(
    index: DirectoryIndex, changes: Mapping[bytes, DirectoryEntry | None], *, time_ns: int
) -> bytes:
    """Returns the encoded directory with some names changed; None takes a name away.

    Raises:
        InvalidInputError: A new name or id is not one; see `encode_directory`.
    """
    table, names = [], []
    end, count = 0, 0
    for start, stop, entry in _stretches(index, changes):
        if start < stop:
            first, last = index.name_offset(start), index.name_offset(stop)
            table.append(_shifted(index.table(start, stop), end - first))
            names.append(index.names(first, last))
            end += last - first
            count += stop - start
        if entry is not None:
            end += len(entry.name)
            count += 1
            content = entry.content
            table.append(ENTRY.pack(end, entry.kind, len(content), 0, entry.size, content))
            names.append(entry.name)
    return finish_directory(table, names, count=count, names_len=end, time_ns=time_ns)


def _stretches(
    index: DirectoryIndex, changes: Mapping[bytes, DirectoryEntry | None]
) -> Iterator[tuple[int, int, DirectoryEntry | None]]:
    """Yields stretches of entries that stay, each with the new entry behind it."""
    at = 0
    for name in sorted(changes):
        position, is_there = index.bisect(name)
        yield at, position, changes[name]
        at = position + is_there
    yield at, len(index), None


def _shifted(table: bytes, delta: int) -> bytes:
    """Returns entries whose names end `delta` bytes further on."""
    if not delta:
        return table
    words = array("I", table)
    if sys.byteorder != "little":
        words.byteswap()
    words[::_WORDS] = array("I", [end + delta for end in words[::_WORDS]])
    if sys.byteorder != "little":
        words.byteswap()
    return words.tobytes()


def has_folders(index: DirectoryIndex) -> bool:
    """Returns whether a directory holds others; without looking at each entry as a value."""
    kinds = index.table(0, len(index))[_KIND_OFFSET :: ENTRY.size]
    return _FOLDER in kinds


_KIND_OFFSET = 4
_FOLDER = 4
assert HEADER.size % 4 == 0, "the table is read in words"
