"""How far two texts are the same: found by comparing slices, which costs little for long ones.

Owns: that search. Layer: git. Pure. Texts are bytes or characters.
"""

from __future__ import annotations

from typing import AnyStr


def same_front(one: AnyStr, other: AnyStr, at: int = 0, begin: int = 0) -> int:
    """Returns how long two texts are the same, the one from `at` and the other from `begin` on."""
    low, high = 0, 1
    most = min(len(one) - at, len(other) - begin)
    while high < most and one[at + low : at + high] == other[begin + low : begin + high]:
        low, high = high, 2 * high
    high = min(high, most)
    while low < high:
        middle = (low + high + 1) // 2
        if one[at + low : at + middle] == other[begin + low : begin + middle]:
            low = middle
        else:
            high = middle - 1
    return low


def same_back(one: AnyStr, other: AnyStr, most: int) -> int:
    """Returns how long, `most` at most, two texts are the same at their ends."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if one[len(one) - middle : len(one) - low] == other[len(other) - middle : len(other) - low]:
            low = middle
        else:
            high = middle - 1
    return low
