"""Changes some files of a large folder in Git's tree and in the directory index at once.

In a folder that holds no others, Git's tree has the order of the index and every mode has six
digits, so the place of an entry follows from its position and the lengths of the names before it.
Each place is compared with what should be there; if anything is otherwise, the general way of
treeedit.py is taken. A property test compares the two.

Layer: workspace. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.git.trees import encode_tree
from mlbfs.store.dirindex import EntryKind
from mlbfs.store.dirsplice import has_folders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlbfs.git.trees import TreeEntry
    from mlbfs.store.dirindex import DirectoryEntry, DirectoryIndex

WORTH_IT = 1000
"""Entries of a folder from which on this is quicker; below, both take no time."""

_FIXED = len(b"100644 \0") + 20
"""Bytes of an entry of Git's tree besides its name."""


def splice_tree(
    raw: bytes,
    index: DirectoryIndex,
    changes: Mapping[bytes, tuple[TreeEntry, DirectoryEntry] | None],
) -> bytes | None:
    """Returns the tree with some files changed, or None where this way is none.

    Args:
        raw: The tree, checked when its index was made.
        index: Its directory index.
        changes: What names become; None takes one away.

    Raises:
        InvalidInputError: Git refuses a new name.
    """
    rows = [row for row in changes.values() if row is not None]
    if len(index) < WORTH_IT or any(row[1].kind is EntryKind.DIRECTORY for row in rows):
        return None
    if has_folders(index) or len(raw) != _offset(index, len(index)):
        return None
    parts, at = [], 0
    for name in sorted(changes):
        position, is_there = index.bisect(name)
        place = _offset(index, position)
        if raw[place + 6 : place + 8 + len(name)] != b" %b\0" % name and is_there:
            return None
        parts.append(raw[at:place])
        row = changes[name]
        if row is not None:
            parts.append(encode_tree([row[0]]))
        at = place + (_FIXED + len(name) if is_there else 0)
    parts.append(raw[at:])
    return b"".join(parts)


def _offset(index: DirectoryIndex, position: int) -> int:
    return index.name_offset(position) + position * _FIXED
