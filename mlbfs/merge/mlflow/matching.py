"""Which numbered things of three versions are the same: experiments, versions of a model.

Owns: that decision, for the database and the folder of MLflow alike.
Layer: merge. Pure.

A number says little: two branches give one number to two experiments, and a merge gives another
number to one of them, of which the branch that made it never hears. The name says which is which.
So base and theirs are brought to the numbers of ours before anything is merged.

What has one name in two versions is one thing. What is left, has one number and was made at the
same time is one, too: it got another name. The same thing has the number that ours has for it;
what ours does not have keeps its number, or gets a new one if that is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar


class Known(NamedTuple):
    """What tells one thing from others.

    Attributes:
        name: Its name, which no other thing of its version has.
        mark: What stays when it gets another name: when it was made.
    """

    name: Hashable
    mark: Hashable


Number = TypeVar("Number", int, str)
Fresh = Callable[[Known, Collection[Number]], Number]
"""Returns a number for a thing that is none of the numbers that are taken."""


@dataclass(frozen=True, slots=True)
class Renumbering(Generic[Number]):
    """New numbers, by old ones; what keeps its number is not named.

    Attributes:
        base: Those of the base.
        theirs: Those of theirs.
        given: How many things of theirs got a number that no version had.
    """

    base: dict[Number, Number]
    theirs: dict[Number, Number]
    given: int


def match(
    base: Mapping[Number, Known],
    ours: Mapping[Number, Known],
    theirs: Mapping[Number, Known],
    fresh: Fresh[Number],
) -> Renumbering[Number]:
    """Brings base and theirs to the numbers of ours.

    Args:
        base: The things of the base, by number.
        ours: Those of ours.
        theirs: Those of theirs.
        fresh: Gives new numbers; what it gives depends on its arguments alone.
    """
    in_ours = _pairs(base, ours)
    in_base = _pairs(theirs, base)
    new_base = dict(in_ours)
    new_theirs = {old: in_ours[other] for old, other in in_base.items() if other in in_ours}
    new_theirs |= _pairs(
        {old: one for old, one in theirs.items() if old not in in_base},
        {old: one for old, one in ours.items() if old not in in_ours.values()},
        named_alike=True,
    )
    known = set(base) | set(theirs)
    taken = set(ours) | set(new_base.values()) | set(new_theirs.values())
    given = 0
    for old in sorted(base):
        if old not in new_base:
            new_base[old] = old if old not in taken else fresh(base[old], taken | known)
            taken.add(new_base[old])
    for old in sorted(theirs):
        if old in new_theirs:
            continue
        if old in in_base:
            new_theirs[old] = new_base[in_base[old]]
        elif old not in taken:
            new_theirs[old] = old
        else:
            new_theirs[old] = fresh(theirs[old], taken | known)
            given += 1
        taken.add(new_theirs[old])
    return Renumbering(_changed(new_base), _changed(new_theirs), given)


def _changed(numbers: dict[Number, Number]) -> dict[Number, Number]:
    return {old: new for old, new in numbers.items() if old != new}


def _pairs(
    one: Mapping[Number, Known], other: Mapping[Number, Known], *, named_alike: bool = False
) -> dict[Number, Number]:
    """Returns what of one version is what of another: by name, then, unless told not to, by mark.

    What both sides added is one thing by its name alone: none of them has got another one since.
    """
    by_name = {known.name: number for number, known in sorted(other.items(), reverse=True)}
    found: dict[Number, Number] = {}
    for number, known in sorted(one.items()):
        place = by_name.pop(known.name, None)
        if place is not None:
            found[number] = place
    left = set() if named_alike else other.keys() - found.values()
    for number, known in one.items():
        if number not in found and number in left and known.mark == other[number].mark:
            found[number] = number
    return found
