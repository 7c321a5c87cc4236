"""One case: its name and its steps."""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
    """Steps that are played in order in a fresh fixture.

    Attributes:
        name: Unique; what exceptions and messages refer to.
        lines: The steps.
        times: Whether it matters which times moved. Such a case waits between its steps.
        looks: Whether the folder is looked at. That opens files, and the end of it would take away
            the POSIX locks of the process.
    """

    name: str
    lines: tuple[str, ...]
    times: bool = False
    looks: bool = True


def case(group: str, text: str, *, times: bool = False, looks: bool = True) -> Case:
    """Returns the case of steps that are separated by semicolons; they are its name too."""
    lines = tuple(line.strip() for line in text.split(";") if line.strip())
    return Case(f"{group}: {'; '.join(lines)}", lines, times, looks)
