"""Recipes: the ordered chunks of one file, as a root and, for long files, a tree of nodes.

Pure: bytes to values and back. Little-endian. The pages docs/format/recipe-v1.md and recipe-v2.md
are normative; the tables are repeated here.

Root, 16 bytes and its entries:

    ==  ====  =======================================================
    0   u8    version, 1, or 2 with midstates
    1   u8    depth: 0 the entries are chunks, else nodes of depth - 1
    2   u16   flags, 0
    4   u32   count: number of entries
    8   u64   size: length of the file
    16        entries
    ==  ====  =======================================================

Node, 8 bytes and its entries:

    ==  ====  =======================================================
    0   u8    version, 1
    1   u8    depth: 0 the entries are chunks, else nodes of depth - 1
    2   u16   flags, 0
    4   u32   count: number of entries
    8         entries
    ==  ====  =======================================================

Entry, 40 bytes:

    ==  ====  =======================================================
    0   32    id: BLAKE3-256 of the chunk or node
    32  u64   length: bytes of the file that it covers, at least 1
    ==  ====  =======================================================

A list of at most MAX_ENTRIES entries goes into the root. A longer one is cut into nodes: after an
entry whose id begins with a little-endian u32 that is 0 modulo FAN_OUT, once the node has
MIN_ENTRIES, and at MAX_ENTRIES at the latest; the last node takes what is left. The list of the
nodes is treated the same way. Cuts hang on content alone, so an edit changes one node per level,
and MIN_ENTRIES keeps the tree finite for a file made of one repeated chunk.

A root of version 2 has midstates behind its entries, 32 bytes each: the state of SHA-256 after each
multiple of `midstate_spacing` bytes. Then the XXH3-64 of all bytes before it, u64: what is hashed
on from a wrong midstate would be a wrong file id, and nothing later would tell.

Layer: store. Imports the leaves only.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import xxhash

from mlbfs.errors import ErrorKind, FormatError
from mlbfs.ids import ChunkId
from mlbfs.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VERSION = 1
MIDSTATES_VERSION = 2
"""Version of a root with midstates."""
ROOT = struct.Struct("<BBHIQ")
NODE = struct.Struct("<BBHI")
ENTRY = struct.Struct("<32sQ")
CHECKSUM = struct.Struct("<Q")

MIN_ENTRIES = 32
"""No cut before this; at least 2, or a tree over equal ids would have no end."""
FAN_OUT = 128
"""One id in this many ends a node; a power of two."""
MAX_ENTRIES = 512
"""A node, and a root, has at most this many entries: 20 KiB."""
MAX_DEPTH = 8
"""Far more than 2^64 bytes need; readers refuse a deeper root."""


MIDSTATE_SIZE = 32
MIDSTATE_SPACING = 64 * MIB
"""Bytes between midstates: 40 ms of hashing, for half a millionth of the file's length."""
MAX_MIDSTATES = 16384
"""Twice as far apart as often as it takes to need no more than these, half a MiB, in a root."""


class RecipeEntry(NamedTuple):
    """One chunk or node and the length of file that it covers."""

    id: ChunkId
    length: int


@dataclass(frozen=True, slots=True)
class RecipeList:
    """A parsed root or node.

    Attributes:
        depth: 0 when the entries are chunks, else they are nodes of depth - 1.
        ids: Ids of the entries.
        ends: Where each entry ends, counted from the start of this list.
        size: Bytes of the file that the list covers.
        midstates: Of a root: states of SHA-256, one after each multiple of the spacing, or none.
    """

    depth: int
    ids: tuple[ChunkId, ...]
    ends: tuple[int, ...]
    size: int
    midstates: bytes = b""


def midstate_spacing(size: int) -> int:
    """Returns how far apart the midstates of a file of `size` bytes are."""
    spacing = MIDSTATE_SPACING
    while size // spacing > MAX_MIDSTATES:
        spacing *= 2
    return spacing


def encode_root(
    size: int, depth: int, entries: Sequence[tuple[bytes, int]], midstates: bytes = b""
) -> bytes:
    """Returns the root of a file of `size` bytes; with midstates it is of version 2."""
    version = MIDSTATES_VERSION if midstates else VERSION
    head = ROOT.pack(version, depth, 0, len(entries), size)
    data = head + b"".join([ENTRY.pack(*entry) for entry in entries])
    if not midstates:
        return data
    data += midstates
    return data + CHECKSUM.pack(xxhash.xxh3_64_intdigest(data))


def has_midstates(root: bytes) -> bool:
    """Whether a root is of the version with midstates."""
    return root[0] == MIDSTATES_VERSION


def encode_node(depth: int, entries: Sequence[tuple[bytes, int]]) -> bytes:
    """Returns a node."""
    head = NODE.pack(VERSION, depth, 0, len(entries))
    return head + b"".join([ENTRY.pack(*entry) for entry in entries])


def root_size(data: bytes) -> int:
    """Returns the length of the file that a root describes, without parsing the entries."""
    if len(data) < ROOT.size:
        raise _bad("a root is too short")
    size: int = ROOT.unpack_from(data)[4]
    return size


def parse_root(data: bytes) -> RecipeList:
    """Parses a root.

    Raises:
        FormatError: `data` is no root, is cut off, or its lengths do not add up.
    """
    if len(data) < ROOT.size:
        raise _bad("a root is too short")
    version, depth, flags, count, size = ROOT.unpack_from(data)
    if version == MIDSTATES_VERSION:
        data, midstates = _split_midstates(data, ROOT.size + count * ENTRY.size, size)
        version = VERSION
    else:
        midstates = b""
    listed = _parse_list(data, ROOT.size, version, depth, flags, count)
    if listed.size != size:
        raise _bad(f"a root of {size} bytes has entries of {listed.size} bytes")
    return replace(listed, midstates=midstates) if midstates else listed


def _split_midstates(data: bytes, end: int, size: int) -> tuple[bytes, bytes]:
    """Returns the root up to `end`, and the midstates that a file of `size` bytes has."""
    length = size // midstate_spacing(size) * MIDSTATE_SIZE
    if not length or len(data) != end + length + CHECKSUM.size:
        raise _bad(f"{len(data)} bytes do not fit {length // MIDSTATE_SIZE} midstates")
    if CHECKSUM.pack(xxhash.xxh3_64_intdigest(data[: -CHECKSUM.size])) != data[-CHECKSUM.size :]:
        raise _bad("a root does not match its checksum")
    return data[:end], data[end : -CHECKSUM.size]


def is_root(data: bytes) -> bool:
    """Whether bytes are a recipe root."""
    try:
        parse_root(data)
    except FormatError:
        return False
    return True


def parse_node(data: bytes) -> RecipeList:
    """Parses a node.

    Raises:
        FormatError: `data` is no node or is cut off.
    """
    if len(data) < NODE.size:
        raise _bad("a node is too short")
    version, depth, flags, count = NODE.unpack_from(data)
    if count == 0:
        raise _bad("a node is empty")
    return _parse_list(data, NODE.size, version, depth, flags, count)


def _parse_list(
    data: bytes, start: int, version: int, depth: int, flags: int, count: int
) -> RecipeList:
    if version != VERSION or flags:
        raise _bad(f"unknown version {version} or flags {flags}")
    if depth > MAX_DEPTH or count > MAX_ENTRIES or len(data) != start + count * ENTRY.size:
        raise _bad(f"{len(data)} bytes do not fit {count} entries of depth {depth}")
    ids, lengths = [], []
    for entry_id, length in ENTRY.iter_unpack(memoryview(data)[start:]):
        ids.append(ChunkId(entry_id))
        lengths.append(length)
    if 0 in lengths:
        raise _bad("an entry covers nothing")
    ends = tuple(accumulate(lengths))
    return RecipeList(depth, tuple(ids), ends, ends[-1] if ends else 0)


def _bad(what: str) -> FormatError:
    return FormatError(f"recipe: {what}", kind=ErrorKind.CORRUPT_RECIPE, hint="run 'mlbfs fsck'")


def ends_node(entry_id: bytes, count: int) -> bool:
    """Whether a node ends after its `count`-th entry, which has this id."""
    if count >= MAX_ENTRIES:
        return True
    return count >= MIN_ENTRIES and int.from_bytes(entry_id[:4], "little") % FAN_OUT == 0


class _Level:
    """The entries of one level that are in no node yet."""

    __slots__ = ("pending", "split")

    def __init__(self) -> None:
        self.pending: list[tuple[bytes, int]] = []
        self.split = False


class RecipeBuilder:
    """Builds a recipe from its chunks in order, holding at most one node per level.

    Args:
        emit: Stores the payload of a node and returns its id.
    """

    def __init__(self, emit: Callable[[bytes], bytes]) -> None:
        self._emit = emit
        self._levels = [_Level()]
        self._size = 0

    def add(self, chunk_id: bytes, length: int) -> None:
        """Appends a chunk."""
        self._size += length
        self._add(0, (chunk_id, length))

    def can_take(self, depth: int) -> bool:
        """Whether an entry of a list of this depth may be added as it is.

        A node may when one would begin here on every level below, and the list of the lowest is
        known to be too long for a root, so that there are nodes.
        """
        below = self._levels[:depth]
        return depth < len(self._levels) and not any(level.pending for level in below)

    def take(self, depth: int, entry_id: bytes, length: int) -> None:
        """Appends an entry of a list of some depth: a chunk, or a node cut by the same rule.

        A node that is the last of its list must be the last here as well.
        """
        assert self.can_take(depth), "a node would begin elsewhere"
        self._size += length
        self._add(depth, (entry_id, length))

    def finish(self, midstates: bytes = b"") -> bytes:
        """Stores what is left and returns the root."""
        depth = 0
        while self._levels[depth].split:
            if self._levels[depth].pending:
                self._close_node(depth)
            depth += 1
        return encode_root(self._size, depth, self._levels[depth].pending, midstates)

    def _add(self, depth: int, entry: tuple[bytes, int]) -> None:
        level = self._levels[depth]
        level.pending.append(entry)
        if level.split:
            if ends_node(entry[0], len(level.pending)):
                self._close_node(depth)
        elif len(level.pending) > MAX_ENTRIES:
            # The list turned out too long for a root: cut what was held back.
            held, level.pending, level.split = level.pending, [], True
            self._levels.append(_Level())
            for one in held:
                self._add(depth, one)

    def _close_node(self, depth: int) -> None:
        level = self._levels[depth]
        entries, level.pending = level.pending, []
        node_id = self._emit(encode_node(depth, entries))
        self._add(depth + 1, (node_id, sum([length for _, length in entries])))
