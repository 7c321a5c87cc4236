"""Which entries two trees do not share, found in their bytes.

Owns: comparing trees without taking them apart.
Layer: git. Pure: no files, no repository.

Two versions of a folder mostly begin and end alike. What they share at both ends is found by
comparing bytes; only the entries between are parsed, with one on either side, so that their order
says whether the same name could stand twice.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mlbfs.git.alike import same_back, same_front
from mlbfs.git.trees import ENTRY_PATTERN, TreeEntry, canonical_mode, parse_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlbfs.git.trees import Row

_ENTRY = re.compile(ENTRY_PATTERN, re.DOTALL)
_ENTRIES = re.compile(rb"(?:" + ENTRY_PATTERN + rb")*+", re.DOTALL)
"""As many entries as there are; the groups hold the last one."""


def differing_entries(
    one: bytes, other: bytes
) -> tuple[dict[bytes, TreeEntry], dict[bytes, TreeEntry]]:
    """Returns what each of two trees has that the other has not, by name.

    A name that both have with another mode or id is in both results. The cost is that of comparing
    the bytes, and of parsing what lies between the first and the last difference.

    Args:
        one: A tree as it is stored.
        other: Another one.

    Raises:
        CorruptionError: What differs is no tree (CORRUPT_OBJECT).
        HostileTreeError: A name that differs must not reach a file system, or stands twice, or the
            entries are not in Git's order.
    """
    if one == other:
        return {}, {}
    start = _last_entry_before(one, same_front(one, other))
    end = _shared_end(one, other, start)
    rows = parse_rows(one[start : len(one) - end]), parse_rows(other[start : len(other) - end])
    shared = set(rows[0]).intersection(rows[1])
    before, after = _by_name(rows[0], shared), _by_name(rows[1], shared)
    for name in [name for name in before if before[name] == after.get(name)]:
        del before[name], after[name]  # one mode in two spellings
    return before, after


def _by_name(rows: Iterable[Row], shared: set[Row]) -> dict[bytes, TreeEntry]:
    return {
        row[1]: TreeEntry(row[1], canonical_mode(row[0]), row[2])
        for row in rows
        if row not in shared
    }


def _last_entry_before(tree: bytes, offset: int) -> int:
    """Returns where the last entry begins that ends at an offset or before; 0 without one."""
    found = _ENTRIES.match(tree, 0, offset)
    return max(found.start(1), 0) if found is not None else 0


def _shared_end(one: bytes, other: bytes, start: int) -> int:
    """Returns the length of the end that both trees may be cut by: whole entries, all alike.

    What the bytes have in common at the end may begin in the middle of an entry, and not in the
    same one of both.
    """
    left = same_back(one, other, min(len(one), len(other)) - start)
    while left:
        ends = [len(tree) - _entry_end(tree, start, len(tree) - left) for tree in (one, other)]
        if min(ends) == left:
            # One entry more on either side: its place says whether a name stands twice.
            following = _ENTRY.match(one, len(one) - left)
            return len(one) - following.end() if following is not None else 0
        left = min(ends)
    return 0


def _entry_end(tree: bytes, start: int, offset: int) -> int:
    """Returns where the first entry ends that ends at an offset or after it.

    That of the tree where what is there is no entry.
    """
    found = _ENTRIES.match(tree, start, offset)
    end = found.end() if found is not None else start
    if end == offset:
        return end
    entry = _ENTRY.match(tree, end)
    return len(tree) if entry is None else entry.end()
