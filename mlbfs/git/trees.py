"""Git trees: bytes to entries and back.

Owns: the encoding of a tree object, its order, and the refusal of hostile trees.
Layer: git. Pure: no files, no repository. Format: docs/format/objects-git.md.

    <mode in octal, no leading zero> SP <name> NUL <20 bytes id>      repeated

Entries are sorted by name bytes, a directory as if its name ended in a slash.

Invariants:
  I1. A tree that was parsed holds no name twice and none that `is_hostile_name`.
  I2. A tree that was encoded has that property too, is sorted, and has modes Git writes.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from mlbfs.errors import CorruptionError, ErrorKind, InvalidInputError
from mlbfs.git.names import is_gitmodules, is_hostile_name, may_hold_hostile_name
from mlbfs.ids import OBJECT_ID_SIZE, ObjectId

if TYPE_CHECKING:
    from collections.abc import Iterable

MODE_FILE = 0o100644
MODE_EXECUTABLE = 0o100755
MODE_SYMLINK = 0o120000
MODE_DIRECTORY = 0o040000
MODE_SUBMODULE = 0o160000

_MODE_TEXT = {
    MODE_FILE: b"100644 ",
    MODE_EXECUTABLE: b"100755 ",
    MODE_SYMLINK: b"120000 ",
    MODE_DIRECTORY: b"40000 ",
    MODE_SUBMODULE: b"160000 ",
}
_MODE_VALUE = {text[:-1]: mode for mode, text in _MODE_TEXT.items()}

ENTRY_PATTERN = rb"([0-7]{1,7}) ([^\0]*)\0(.{20})"
"""An entry as it is stored, for an expression in which a dot is any byte: mode, name and id."""

_ENTRY = re.compile(ENTRY_PATTERN, re.DOTALL)


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One entry of a Git tree.

    Attributes:
        name: Name within the directory; never empty, never with a slash.
        mode: One of the `MODE_` constants.
        id: Blob, tree, or (submodule) commit.
    """

    name: bytes
    mode: int
    id: ObjectId


class HostileTreeError(CorruptionError):
    """A tree holds names that must not reach a file system."""

    default_kind = ErrorKind.HOSTILE_TREE


def parse_tree(data: bytes) -> list[TreeEntry]:
    """Parses a tree object, in the order of the object.

    Raises:
        CorruptionError: The bytes are no tree (CORRUPT_OBJECT).
        HostileTreeError: A name is hostile or doubled, or the entries are not in Git's order.
    """
    rows = _split(data)
    entries = [TreeEntry(name, canonical_mode(mode), oid) for mode, name, oid in rows]
    _check_entries(entries)
    return entries


Row = tuple[bytes, bytes, ObjectId]
"""An entry as it is stored: mode, name and id."""


def parse_rows(data: bytes) -> list[Row]:
    """Parses the bytes of a tree, or of some entries that follow each other in one.

    Raises:
        CorruptionError: The bytes are no entries (CORRUPT_OBJECT).
        HostileTreeError: A name is hostile or doubled, or the entries are not in Git's order.
    """
    rows = _split(data)
    _check_names([name for _, name, _ in rows], [canonical_mode(mode) for mode, _, _ in rows])
    return rows


def _split(data: bytes) -> list[Row]:
    rows: list[Row] = _ENTRY.findall(data)
    if len(b"".join(chain.from_iterable(rows))) + 2 * len(rows) != len(data):
        raise CorruptionError("a Git tree cannot be parsed", kind=ErrorKind.CORRUPT_OBJECT)
    return rows


def encode_tree(entries: Iterable[TreeEntry]) -> bytes:
    """Encodes a tree object; sorts as Git does.

    Raises:
        InvalidInputError: A name is hostile or doubled, or a mode is not one that Git writes.
    """
    ordered = sorted(entries, key=lambda entry: _sort_key(entry.name, entry.mode))
    try:
        _check_entries(ordered)
    except HostileTreeError as err:
        raise InvalidInputError(err.message, kind=ErrorKind.INVALID_PATH) from err
    return b"".join([part for entry in ordered for part in _encoded_parts(entry)])


def _encoded_parts(entry: TreeEntry) -> tuple[bytes, bytes, bytes, bytes]:
    mode = _MODE_TEXT.get(entry.mode)
    if mode is None or len(entry.id) != OBJECT_ID_SIZE:
        raise InvalidInputError(f"a tree entry {entry.name!r} cannot have mode {entry.mode:o}")
    if entry.mode == MODE_SYMLINK and is_gitmodules(entry.name):
        raise InvalidInputError(
            f"{entry.name!r} must not be a symbolic link: Git refuses such a tree",
            kind=ErrorKind.INVALID_PATH,
        )
    return mode, entry.name, b"\0", entry.id


def canonical_mode(text: bytes) -> int:
    """Returns the mode as Git understands it: old trees carry 100664 and leading zeros."""
    mode = _MODE_VALUE.get(text)
    if mode is not None:
        return mode
    value = int(text, 8)
    if stat.S_ISREG(value):
        return MODE_EXECUTABLE if value & 0o100 else MODE_FILE
    if stat.S_ISLNK(value):
        return MODE_SYMLINK
    return MODE_DIRECTORY if stat.S_ISDIR(value) else MODE_SUBMODULE


def _sort_key(name: bytes, mode: int) -> bytes:
    return name + b"/" if mode == MODE_DIRECTORY else name


def _check_entries(entries: list[TreeEntry]) -> None:
    _check_names([entry.name for entry in entries], [entry.mode for entry in entries])


def _check_names(names: list[bytes], modes: list[int]) -> None:
    """Checks names with their modes, in the order of the tree."""
    joined = b"/".join([*names, b""])
    if joined.count(b"/") != len(names) or may_hold_hostile_name(joined):
        for name in names:
            if is_hostile_name(name):
                raise HostileTreeError(f"a Git tree holds an entry named {os.fsdecode(name)!r}")
    if len(set(names)) != len(names):
        raise HostileTreeError(f"a Git tree holds {os.fsdecode(_doubled(names))!r} twice")
    keys = [_sort_key(name, mode) for name, mode in zip(names, modes, strict=True)]
    if keys != sorted(keys):
        raise HostileTreeError("a Git tree is not sorted")


def _doubled(names: list[bytes]) -> bytes:
    seen: set[bytes] = set()
    return next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
