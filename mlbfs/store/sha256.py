"""SHA-256 of a file, with its states on the way, so that a later version can be hashed from there.

Owns: when states are kept. hashlib cannot tell its state, so they are kept where our kernel hashes.
That is for new files where it is no slower than hashlib, on processors with instructions for it;
and for changed files wherever it is built, since what was changed once is changed again, and the
next time is hashed from there.
Layer: store. Imports kernels, recipe and sha256twin.

Concurrency: a hash belongs to one thread at a time; the interpreter's lock is released meanwhile.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol

from mlbfs.store import kernels, recipe
from mlbfs.store.sha256twin import BLOCK_SIZE, INITIAL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Buffer


class FileHash(Protocol):
    """The hash of a file on its way."""

    def update(self, data: Buffer, /) -> None:
        """Hashes the bytes that follow."""

    def digest(self) -> bytes:
        """Returns the SHA-256 of all bytes so far."""

    def midstates(self) -> bytes:
        """Returns the states that the recipe of a file of the bytes so far has, or none."""


class PlainHash:
    """A hash that keeps no states: hashlib's."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, data: Buffer, /) -> None:
        """Hashes the bytes that follow."""
        self._hash.update(data)

    def digest(self) -> bytes:
        """Returns the SHA-256 of all bytes so far."""
        return self._hash.digest()

    def midstates(self) -> bytes:
        """Returns nothing."""
        return b""


class StatefulHash:
    """A hash that keeps its state after each multiple of a spacing.

    Args:
        spacing: Bytes between states that are kept; a multiple of 64.
        states: States that are known, in order, the first after `spacing` bytes. Hashing goes on
            after the last of them.
    """

    def __init__(self, spacing: int, states: Iterable[bytes] = ()) -> None:
        self._spacing = spacing
        self._states = list(states)
        self._length = len(self._states) * spacing
        self._state = self._states[-1] if self._states else INITIAL
        self._tail = b""

    def update(self, data: Buffer, /) -> None:
        """Hashes the bytes that follow."""
        view = memoryview(data).cast("B")
        while view:
            room = self._spacing - self._length % self._spacing
            self._feed(view[:room])
            view = view[room:]
            if self._length % self._spacing == 0:
                self._states.append(self._state)

    def _feed(self, view: memoryview) -> None:
        self._length += len(view)
        if self._tail:
            missing = BLOCK_SIZE - len(self._tail)
            self._tail += view[:missing]
            if len(self._tail) < BLOCK_SIZE:
                return
            self._state = kernels.sha256_blocks(self._state, self._tail)
            view = view[missing:]
        whole = len(view) - len(view) % BLOCK_SIZE
        if whole:
            self._state = kernels.sha256_blocks(self._state, view[:whole])
        self._tail = bytes(view[whole:])

    def digest(self) -> bytes:
        """Returns the SHA-256 of all bytes so far."""
        zeros = (BLOCK_SIZE - 9 - len(self._tail)) % BLOCK_SIZE
        end = self._tail + b"\x80" + bytes(zeros) + (8 * self._length).to_bytes(8, "big")
        return kernels.sha256_blocks(self._state, end)

    def midstates(self) -> bytes:
        """Returns the states that the recipe of a file of the bytes so far has."""
        step = recipe.midstate_spacing(self._length) // self._spacing
        assert step, "states are kept as close as the recipe has them, or closer"
        return b"".join(self._states[step - 1 :: step])


def new_hash() -> FileHash:
    """Returns the hash of a file from its first byte on."""
    if kernels.sha256_is_fast():
        return StatefulHash(recipe.MIDSTATE_SPACING)
    return PlainHash()


def hash_after(spacing: int, states: list[bytes]) -> tuple[FileHash, int]:
    """Returns the hash of a changed file, and how many bytes are in it already.

    Args:
        spacing: Bytes between states.
        states: Those of the bytes that did not change, in order.
    """
    if kernels.IMPLEMENTATION == "native":
        return StatefulHash(spacing, states), len(states) * spacing
    return PlainHash(), 0
