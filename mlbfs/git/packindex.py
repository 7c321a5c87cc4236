"""Which objects a repository has, answered without opening them.

Owns: looking ids up in pack indexes and among loose objects, cheaply enough to ask for each of a
million new blobs, and freshening what is found so that a `git gc` beside us keeps it.
Layer: git. Reads `objects/` and its alternates; knows nothing of object content.

An answer "no" may be stale (another program may just have written the object): writing an object
twice is harmless. An answer "yes" was true when it was given, and the object was freshened.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from array import array
from bisect import bisect_left
from itertools import chain
from typing import TYPE_CHECKING

from mlbfs.ids import ObjectId

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MAGIC = b"\xfftOc\0\0\0\2"
_HEAD = 8
_NAMES = _HEAD + 4 * 256
_TRAILER = 40
_MAX_ALTERNATES = 5
_EAGER_LIMIT = 200
"""Questions answered one by one before the table of all ids is built."""


class PackIndex:
    """One version 2 pack index, mapped.

    Attributes:
        pack_path: The pack.
        is_fresh: Whether the pack was given the time of now by whoever holds this.
    """

    def __init__(self, path: Path) -> None:
        self.pack_path = path.with_suffix(".pack")
        self.is_fresh = False
        self._prefixes: array[int] | None = None
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        if self._map[:_HEAD] != _MAGIC or len(self._map) < _NAMES + _TRAILER:
            raise ValueError("not a version 2 pack index")
        self._fanout: tuple[int, ...] = struct.unpack(">256I", self._map[_HEAD:_NAMES])
        if _NAMES + 28 * len(self) + _TRAILER > len(self._map):
            raise ValueError("pack index is truncated")

    def __len__(self) -> int:
        return self._fanout[255]

    def __contains__(self, oid: bytes) -> bool:
        if self._prefixes is not None:
            low = bisect_left(self._prefixes, int.from_bytes(oid[:4]))
            while low < len(self) and (name := self._name(low)) <= oid:
                if name == oid:
                    return True
                low += 1
            return False
        first = oid[0]
        low, high = (self._fanout[first - 1] if first else 0), self._fanout[first]
        while low < high:
            middle = (low + high) // 2
            if self._name(middle) < oid:
                low = middle + 1
            else:
                high = middle
        return low < len(self) and self._name(low) == oid

    def _name(self, place: int) -> bytes:
        start = _NAMES + 20 * place
        return self._map[start : start + 20]

    def iter_prefix(self, text: str) -> Iterator[ObjectId]:
        """Yields the ids that begin with some (at least two) lower-case hex digits."""
        first = int(text[:2], 16)
        low, high = (self._fanout[first - 1] if first else 0), self._fanout[first]
        for place in range(low, high):
            name = self._name(place)
            if name.hex().startswith(text):
                yield ObjectId(name)

    def prefixes(self) -> array[int]:
        """Returns the first four bytes of each id as numbers, in order; kept for look-ups."""
        names = self._map[_NAMES : _NAMES + 20 * len(self)]
        words = bytearray(4 * len(self))
        for column in range(4):
            words[column::4] = names[column::20]
        numbers = array("I", bytes(words))
        if struct.pack("=I", 1) != struct.pack(">I", 1):
            numbers.byteswap()
        self._prefixes = numbers
        return numbers

    def close(self) -> None:
        """Unmaps the file."""
        self._map.close()


class KnownObjects:
    """The objects of a repository, for `oid in known`. Not thread-safe."""

    def __init__(self, objects: Path) -> None:
        self._directories = object_directories(objects)
        self._indexes: list[PackIndex] | None = None
        self._prefixes: array[int] | None = None
        self._asked = 0

    def __contains__(self, oid: bytes) -> bool:
        self._asked += 1
        if self._indexes is None:
            self._indexes = _open_indexes(self._directories)
        if self._prefixes is None and self._asked > self._build_after():
            self._prefixes = self._build_prefixes()
        if self._prefixes is not None and not _holds(self._prefixes, int.from_bytes(oid[:4])):
            return False
        return self._in_packs(oid) or self._is_loose(oid)

    def add_pack(self, index: Path) -> None:
        """Tells of a pack that was just written."""
        if self._indexes is not None:
            self._indexes.insert(0, PackIndex(index))
            self._prefixes = None

    def close(self) -> None:
        """Unmaps all indexes."""
        for index in self._indexes or []:
            index.close()
        self._indexes = None

    def _build_after(self) -> int:
        # A question costs some 3 microseconds for each pack and 5 for the loose file; an entry of
        # the table a quarter of one, mostly for sorting.
        indexes = self._indexes or []
        return _EAGER_LIMIT + sum(map(len, indexes)) // (12 * len(indexes) + 20)

    def _build_prefixes(self) -> array[int]:
        tables = [index.prefixes() for index in self._indexes or []]
        tables.append(array("I", sorted(_loose_prefixes(self._directories))))
        tables = [table for table in tables if table]
        if len(tables) == 1:
            return tables[0]
        return array("I", sorted(chain.from_iterable(tables)))

    def _in_packs(self, oid: bytes) -> bool:
        for index in self._indexes or []:
            if oid in index:
                index.is_fresh = index.is_fresh or _freshen(index.pack_path)
                return index.is_fresh
        return False

    def _is_loose(self, oid: bytes) -> bool:
        text = oid.hex()
        return any(_freshen(directory / text[:2] / text[2:]) for directory in self._directories)


def _freshen(path: Path) -> bool:
    """Sets the time of a file to now; returns whether it exists.

    `git gc` prunes what nothing refers to and is older than some days; what we are about to refer
    to must not look old.
    """
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    except OSError:  # someone else's file or a read-only alternate: it exists all the same
        return path.exists()
    return True


def iter_packed_prefix(directories: list[Path], text: str) -> Iterator[ObjectId]:
    """Yields the packed ids that begin with some (at least two) lower-case hex digits."""
    for index in _open_indexes(directories):
        yield from index.iter_prefix(text)
        index.close()


def _holds(numbers: array[int], value: int) -> bool:
    place = bisect_left(numbers, value)
    return place < len(numbers) and numbers[place] == value


def object_directories(objects: Path) -> list[Path]:
    """Returns `objects` and the directories that its alternates name."""
    found, todo = [objects], [(objects, 0)]
    while todo:
        directory, depth = todo.pop()
        if depth >= _MAX_ALTERNATES:
            continue
        with contextlib.suppress(OSError):  # most have no alternates
            lines = (directory / "info" / "alternates").read_text("utf-8", "surrogateescape")
            for line in lines.splitlines():
                other = directory / line
                if line and not line.startswith("#") and other.is_dir() and other not in found:
                    found.append(other)
                    todo.append((other, depth + 1))
    return found


def _open_indexes(directories: list[Path]) -> list[PackIndex]:
    indexes = []
    for directory in directories:
        for path in directory.glob("pack/pack-*.idx"):
            # an old format, or a pack that a gc just replaced: "no" is a permitted answer
            with contextlib.suppress(ValueError, OSError):
                indexes.append(PackIndex(path))
    return sorted(indexes, key=len, reverse=True)


def _loose_prefixes(directories: list[Path]) -> list[int]:
    prefixes = []
    for directory in directories:
        for first in range(256):
            with contextlib.suppress(FileNotFoundError):
                for name in os.listdir(directory / f"{first:02x}"):  # noqa: PTH208 - names only
                    with contextlib.suppress(ValueError):  # a temporary file
                        prefixes.append(first << 24 | int(name[:6], 16))
    return prefixes
