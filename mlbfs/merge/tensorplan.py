"""Which tensor of a merged file comes from which side.

Owns: the three-way rule by name, for tensors and for the strings of metadata.
Layer: merge. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, TypeVar

from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Met(StrEnum):
    """How two sides meet at a name."""

    SAME = "same"
    """Both have the same."""

    AGREED = "agreed"
    """One side decides, because the other left it alone."""

    CHANGED = "changed"
    """Both have it, each with something else."""

    REMOVED = "removed"
    """One side removed what the other changed."""


@dataclass(frozen=True, slots=True)
class Meeting(Generic[T_co]):
    """What the sides have at one name.

    Attributes:
        name: The name.
        met: How they meet.
        side: The side that decides, if they agree; ours if both have the same.
        base: What the base has.
        ours: What ours has.
        theirs: What theirs has.
    """

    name: str
    met: Met
    side: Side | None
    base: T_co | None
    ours: T_co | None
    theirs: T_co | None

    def of(self, side: Side) -> T_co | None:
        """Returns what a side has."""
        return {Side.BASE: self.base, Side.OURS: self.ours, Side.THEIRS: self.theirs}[side]


def meet(
    base: Mapping[str, T],
    ours: Mapping[str, T],
    theirs: Mapping[str, T],
    same: Callable[[T, T], bool],
) -> list[Meeting[T]]:
    """Returns how the sides meet at each name: in the order of ours, then what theirs has beside.

    Args:
        base: What the base has by name.
        ours: What ours has.
        theirs: What theirs has.
        same: Whether two are the same; asked no more often than needed, for it may read.
    """
    names = [*ours, *(name for name in theirs if name not in ours)]
    return [
        _meeting(name, base.get(name), ours.get(name), theirs.get(name), same) for name in names
    ]


def _meeting(
    name: str, base: T | None, ours: T | None, theirs: T | None, same: Callable[[T, T], bool]
) -> Meeting[T]:
    def equal(one: T | None, other: T | None) -> bool:
        return one is other or (one is not None and other is not None and same(one, other))

    if equal(ours, theirs):
        return Meeting(name, Met.SAME, Side.OURS, base, ours, theirs)
    if equal(ours, base):
        return Meeting(name, Met.AGREED, Side.THEIRS, base, ours, theirs)
    if equal(theirs, base):
        return Meeting(name, Met.AGREED, Side.OURS, base, ours, theirs)
    met = Met.REMOVED if ours is None or theirs is None else Met.CHANGED
    return Meeting(name, met, None, base, ours, theirs)
