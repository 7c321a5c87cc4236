"""Compares what a case came to on the mount with what it came to on ext4."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from exceptions import EXCEPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exceptions import Exception_


class Result(NamedTuple):
    """What a comparison found.

    Attributes:
        count: Cases that were compared.
        differences: A text for each case that came out differently and should not have.
        used: The exceptions that explained a difference.
    """

    count: int
    differences: list[str]
    used: set[str]


def compare(ours: Iterable[str], theirs: Iterable[str]) -> Result:
    """Compares two outputs of `play.py`, line by line."""
    count, differences, used = 0, [], set()
    for our_line, their_line in zip(ours, theirs, strict=True):
        count += 1
        mount, ext4 = json.loads(our_line), json.loads(their_line)
        assert mount["case"] == ext4["case"], "both played the same cases"
        if mount["start"] != ext4["start"]:
            unlike = sorted(set(mount["start"]) ^ set(ext4["start"]))
            differences.append(f"{mount['case']}\n  the fixtures differ: {unlike}")
            continue
        found = _first_difference(mount["trace"], ext4["trace"])
        if found is None:
            continue
        exception = explain(*found)
        if exception is None:
            differences.append(f"{mount['case']}\n  mount {found[0]}\n  ext4  {found[1]}")
        else:
            used.add(exception.name)
    return Result(count, differences, used)


Step = tuple[str, str, list[str], list[str]]


def _first_difference(ours: list[Step], theirs: list[Step]) -> tuple[Step, Step] | None:
    """Returns the first step that came out differently; what follows may be its consequence."""
    for mount, ext4 in zip(ours, theirs, strict=True):
        if mount != ext4:
            return mount, ext4
    return None


def explain(mount: Step, ext4: Step) -> Exception_ | None:
    """Returns the exception that allows a difference, or None."""
    for exception in EXCEPTIONS:
        answers = (mount[1], ext4[1])
        if exception.answers in (None, answers) and exception.step.fullmatch(mount[0]):
            return exception
    return None
