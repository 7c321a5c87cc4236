"""Git's index of a tree that nobody has staged anything on: encoded, never read.

Owns: the bytes of a sparse index (version 3, extension `sdir`) that says what a tree says.
Layer: git. Pure: no files, no repository. Format: gitformat-index(5) of Git.

A folder is one entry with the id of its tree, so the index is as long as the root of the tree,
whatever lies below. Git from 2.32 on makes the entries below by itself when it needs them; an
older one refuses the extension. Every entry carries `skip-worktree`: the index knows nothing of
files, and says so, instead of having each of them compared with times that it does not have.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

from mlbfs.git.trees import MODE_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlbfs.git.trees import TreeEntry

_VERSION = 3
"""The first one with flags for `skip-worktree`."""

_NO_STAT = bytes(24)
"""Change time, modification time, device and inode: unknown."""

_EXTENDED = 0x4000
_NAME_LENGTH = 0x0FFF
_SKIP_WORKTREE = 0x4000
_FIXED = struct.Struct(">24sI12s20sHH")
_NO_OWNER_NO_SIZE = bytes(12)
_ALIGNMENT = 8


def encode_tree_index(entries: Iterable[TreeEntry]) -> bytes:
    """Encodes the index of a root tree.

    Args:
        entries: The entries of the tree, in Git's order, which is that of an index too.
    """
    encoded = [_encode_entry(entry) for entry in entries]
    header = struct.pack(">4sII", b"DIRC", _VERSION, len(encoded))
    body = b"".join([header, *encoded, b"sdir", bytes(4)])
    return body + hashlib.sha1(body, usedforsecurity=False).digest()


def _encode_entry(entry: TreeEntry) -> bytes:
    name = entry.name + b"/" if entry.mode == MODE_DIRECTORY else entry.name
    flags = _EXTENDED | min(len(name), _NAME_LENGTH)
    fixed = _FIXED.pack(_NO_STAT, entry.mode, _NO_OWNER_NO_SIZE, entry.id, flags, _SKIP_WORKTREE)
    length = len(fixed) + len(name)
    return fixed + name + bytes(_ALIGNMENT - length % _ALIGNMENT)
