"""SHA-256 over whole blocks in Python: the reference for the native kernel.

As in FIPS 180-4, section 6.2. Hundreds of times slower than hashlib, which cannot tell its state;
nothing but tests hashes with it.

Layer: store. Imports nothing of ours.
"""

from __future__ import annotations

import struct
from functools import reduce
from math import isqrt
from typing import Final

BLOCK_SIZE: Final = 64
STATE_SIZE: Final = 32
_MASK: Final = 0xFFFFFFFF
_WORDS: Final = struct.Struct(">8I")
_BLOCK: Final = struct.Struct(">16I")


def _primes(count: int) -> list[int]:
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % prime for prime in found):
            found.append(number)
        number += 1
    return found


def _cube_root(number: int) -> int:
    """Returns the integer part of a cube root."""
    root = 1 << -(-number.bit_length() // 3)
    while True:
        better = (2 * root + number // root**2) // 3
        if better >= root:
            return root
        root = better


ROUND_CONSTANTS: Final = tuple(_cube_root(prime << 96) & _MASK for prime in _primes(64))
"""The first 32 bits of the fractional parts of the cube roots of the first 64 primes."""

INITIAL: Final = _WORDS.pack(*(isqrt(prime << 64) & _MASK for prime in _primes(8)))
"""The state before the first byte: the same of the square roots of the first eight."""


def hash_blocks(state: bytes, data: memoryview) -> bytes:
    """Hashes whole blocks into a state and returns the new one.

    Raises:
        ValueError: A length is not acceptable.
    """
    if len(state) != STATE_SIZE:
        raise ValueError("state must have 32 bytes")
    if len(data) % BLOCK_SIZE:
        raise ValueError("data must be whole blocks of 64 bytes")
    words = _WORDS.unpack(state)
    blocks = (data[at : at + BLOCK_SIZE] for at in range(0, len(data), BLOCK_SIZE))
    return _WORDS.pack(*reduce(_compress, blocks, words))


def _compress(state: tuple[int, ...], block: memoryview) -> tuple[int, ...]:
    a, b, c, d, e, f, g, h = state
    for constant, word in zip(ROUND_CONSTANTS, _schedule(block), strict=True):
        first = h + _sigma(e, 6, 11, 25) + (g ^ (e & (f ^ g))) + constant + word
        second = _sigma(a, 2, 13, 22) + ((a & b) | (c & (a | b)))
        a, b, c, d, e, f, g, h = (first + second) & _MASK, a, b, c, (d + first) & _MASK, e, f, g
    return tuple(
        (old + new) & _MASK for old, new in zip(state, (a, b, c, d, e, f, g, h), strict=True)
    )


def _schedule(block: memoryview) -> list[int]:
    words = list(_BLOCK.unpack(block))
    for at in range(16, 64):
        early, late = words[at - 15], words[at - 2]
        words.append(
            words[at - 16]
            + (_turn(early, 7) ^ _turn(early, 18) ^ early >> 3)
            + words[at - 7]
            + (_turn(late, 17) ^ _turn(late, 19) ^ late >> 10)
            & _MASK
        )
    return words


def _sigma(word: int, first: int, second: int, third: int) -> int:
    return _turn(word, first) ^ _turn(word, second) ^ _turn(word, third)


def _turn(word: int, bits: int) -> int:
    """Rotates a word to the right."""
    return (word >> bits | word << 32 - bits) & _MASK
