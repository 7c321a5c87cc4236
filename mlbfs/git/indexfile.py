"""Git's index of a tree that nobody has staged anything on: encoded, never read.

Owns: the bytes of a sparse index (version 3, extension `sdir`) that says what a tree says, and
which of its files have changed.
Layer: git. Pure: no files, no repository. Format: gitformat-index(5) of Git.

A folder is one entry with the id of its tree, so the index is as long as the root of the tree and
the folders on the way to what changed. Git from 2.32 on makes the entries below by itself when it
needs them; an older one refuses the extension. An entry carries `skip-worktree`, which says that
its file need not be looked at, unless the file has changed.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.git.trees import MODE_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mlbfs.git.trees import TreeEntry
    from mlbfs.ids import ObjectId

_VERSION = 3
"""The first one with flags for `skip-worktree`."""

_EXTENDED = 0x4000
_NAME_LENGTH = 0x0FFF
_SKIP_WORKTREE = 0x4000
_SIZE_MASK = 0xFFFFFFFF
_FIXED = struct.Struct(">24sI8sI20sHH")
_NO_STAT = bytes(24)
"""Change time, modification time, device and inode: unknown."""

_NO_OWNER = bytes(8)
_ALIGNMENT = 8


class IndexEntry(NamedTuple):
    """One entry of an index.

    Attributes:
        path: From the root of the tree.
        mode: As in a tree; of a folder, all of it is this one entry.
        id: As in a tree.
        changed_to: Length of the file if it has changed, None if it has not.
    """

    path: bytes
    mode: int
    id: ObjectId
    changed_to: int | None = None


def tree_entries(
    read_tree: Callable[[ObjectId], Iterable[TreeEntry]],
    tree: ObjectId,
    changed: Mapping[bytes, int],
) -> Iterator[IndexEntry]:
    """Yields the entries of an index of a tree, in order.

    Args:
        read_tree: Returns the entries of a tree, in Git's order, which is that of an index too.
        tree: The root.
        changed: Length of each file of the tree that has changed; 0 for one that is gone.
    """
    folders = {above for path in changed for above in _folders_above(path)}
    stack = [(b"", iter(read_tree(tree)))]  # not recursion: folders may be nested deeply
    while stack:
        above, entries = stack[-1]
        for entry in entries:
            path = above + entry.name
            if entry.mode == MODE_DIRECTORY and path in folders:
                stack.append((path + b"/", iter(read_tree(entry.id))))
                break
            yield IndexEntry(path, entry.mode, entry.id, changed.get(path))
        else:
            stack.pop()


def _folders_above(path: bytes) -> Iterator[bytes]:
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path


def encode_index(entries: Iterable[IndexEntry]) -> bytes:
    """Encodes an index of entries in order."""
    encoded = [_encode_entry(entry) for entry in entries]
    header = struct.pack(">4sII", b"DIRC", _VERSION, len(encoded))
    body = b"".join([header, *encoded, b"sdir", bytes(4)])
    return body + hashlib.sha1(body, usedforsecurity=False).digest()


def _encode_entry(entry: IndexEntry) -> bytes:
    is_folder = entry.mode == MODE_DIRECTORY
    name = entry.path + b"/" if is_folder else entry.path
    size, more = 0, _SKIP_WORKTREE
    if entry.changed_to is not None and not is_folder:
        # A length that the file does not have: Git believes that it has changed without reading it.
        size, more = (entry.changed_to + 1) & _SIZE_MASK or 1, 0
    flags = _EXTENDED | min(len(name), _NAME_LENGTH)
    fixed = _FIXED.pack(_NO_STAT, entry.mode, _NO_OWNER, size, entry.id, flags, more)
    length = len(fixed) + len(name)
    return fixed + name + bytes(_ALIGNMENT - length % _ALIGNMENT)
