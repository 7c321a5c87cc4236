"""What a writer has written already, in bounded memory.

Owns: the answer to "did this writer store that id?". Ids of the open pack are a plain dict; those
of sealed packs shrink to 16 bytes each, an 8-byte fingerprint and the place of the full id in the
pack's table on disk, where every hit is confirmed.
Layer: store. Imports packs.

Invariants:
  S1. A hit is never wrong: the full id was compared.
  S2. Memory is bounded. A table that is full is begun anew; the cost is a chunk stored twice, in
      imports of far more than a hundred gigabytes.

Concurrency: one thread changes it; others may ask meanwhile, and may miss what is just being added.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlbfs.store.packs import PackWriter, SealedPack

FIRST_SLOTS = 1 << 14
MAX_SLOTS = 1 << 23
"""16 bytes each: 128 MiB at most, room for 5.5 million ids (350 GB of chunks)."""


class FingerprintTable:
    """Open addressing over two machine words a slot: fingerprint and value."""

    __slots__ = ("_count", "_max_slots", "_slots")

    def __init__(self, max_slots: int = MAX_SLOTS) -> None:
        self._max_slots = max_slots
        self._slots = _empty(min(FIRST_SLOTS, max_slots))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def get(self, key: bytes) -> int | None:
        """Returns the value whose key has the same fingerprint."""
        slots = self._slots
        mask = len(slots) - 2
        print_ = fingerprint(key)
        at = (print_ << 1) & mask
        while True:
            held = slots[at]
            if held == print_:
                return slots[at + 1]
            if held == 0:
                return None
            at = (at + 2) & mask

    def put(self, key: bytes, value: int) -> None:
        """Adds a key, or replaces the value of its fingerprint."""
        if self._count * 3 >= len(self._slots):  # Two thirds full.
            self._grow()
        if _put(self._slots, fingerprint(key), value):
            self._count += 1

    def _grow(self) -> None:
        old = self._slots
        if len(old) >= 2 * self._max_slots:
            self._slots = _empty(min(FIRST_SLOTS, self._max_slots))  # S2
            self._count = 0
            return
        new = _empty(len(old))
        for at in range(0, len(old), 2):
            if old[at]:
                _put(new, old[at], old[at + 1])
        self._slots = new


def _empty(slots: int) -> array[int]:
    return array("Q", bytes(16 * slots))


def _put(slots: array[int], print_: int, value: int) -> bool:
    mask = len(slots) - 2
    at = (print_ << 1) & mask
    while slots[at] not in (0, print_):
        at = (at + 2) & mask
    fresh = slots[at] == 0
    slots[at + 1] = value
    slots[at] = print_  # Last: a reader in another thread never sees a key without its value.
    return fresh


def fingerprint(key: bytes) -> int:
    """Returns the first 8 bytes of an id as a number that is never 0, the empty slot."""
    return int.from_bytes(key[:8], "little") or 1


class Seen:
    """The ids that one writer has stored."""

    def __init__(self) -> None:
        self._current: dict[bytes, int] = {}
        self._table = FingerprintTable()
        self._packs: list[SealedPack] = []

    def __contains__(self, record_id: bytes) -> bool:
        if record_id in self._current:
            return True
        value = self._table.get(record_id) if self._packs else None
        if value is None:
            return False
        return self._packs[value >> 32].id_at(value & 0xFFFFFFFF) == record_id  # S1

    def add(self, record_id: bytes) -> None:
        """Notes an id of the open pack."""
        self._current[record_id] = 0

    def seal(self, writer: PackWriter, pack: SealedPack) -> None:
        """Notes that the open pack was sealed."""
        base = len(self._packs) << 32
        self._packs.append(pack)
        put = self._table.put
        for position, record in enumerate(writer.records):
            put(record[0], base | position)
        self._current = {}
