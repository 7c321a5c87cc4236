"""Which driver merges a path: the command line, then `.gitattributes`, then the kind of file.

Owns: that order, and the meaning of Git's own values of the attribute `merge`.
Layer: merge.

Concurrency: one thread.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mlbfs.errors import InvalidInputError
from mlbfs.git.wildmatch import compile_pattern
from mlbfs.merge.driver import DriverChoice, parse_choice
from mlbfs.merge.kinds import kind_of, one_driver

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Sequence

    from mlbfs.git.attributes import Attributes
    from mlbfs.merge.versions import Reader, Version

ATTRIBUTE = "merge"

AUTO = DriverChoice("auto")
"""What leaves a path to its kind in so many words."""


class Chooser:
    """Chooses drivers for the paths of one merge.

    Args:
        attributes: The attributes of ours.
        overrides: Patterns and drivers of the command line; the last that matches counts.
        open_version: Opens the bytes of a version.
    """

    def __init__(
        self,
        attributes: Attributes,
        overrides: Sequence[tuple[bytes, DriverChoice]],
        open_version: Callable[[Version], Reader],
    ) -> None:
        self._attributes = attributes
        self._overrides = [(*_compile(pattern), choice) for pattern, choice in overrides]
        self._open = open_version

    def named(self, path: bytes) -> DriverChoice | None:
        """Returns the driver that somebody named for a path, or None.

        Raises:
            InvalidInputError: `.gitattributes` names it in a way that cannot be read.
        """
        name = path.rpartition(b"/")[2]
        for pattern, whole, choice in reversed(self._overrides):
            if pattern.fullmatch(path if whole else name):
                return choice
        value = self._attributes.lookup(path, [ATTRIBUTE])[ATTRIBUTE]
        if value is None:
            return None
        if isinstance(value, bool):
            return DriverChoice("text" if value else "binary")
        return parse_choice(value)

    def choose(self, path: bytes, versions: Sequence[Version]) -> DriverChoice:
        """Returns the driver of a path: the one that is named, or the one of its kind.

        Args:
            path: Where it lies.
            versions: The versions that there are; they have to be of one kind for a driver that
                knows it.
        """
        named = self.named(path)
        return self.by_kind(path, versions) if named in (None, AUTO) else named

    def by_kind(self, path: bytes, versions: Sequence[Version]) -> DriverChoice:
        """Returns the driver for the kind of file that the versions are."""
        found = {kind_of(path, self._open(version)) for version in versions if version.size}
        return DriverChoice(one_driver(found))


def _compile(pattern: bytes) -> tuple[re.Pattern[bytes], bool]:
    """Returns a pattern, and whether it is for whole paths; one without a slash is for names."""
    found = compile_pattern(pattern.removeprefix(b"/"))
    if found is None:
        raise InvalidInputError(f"{os.fsdecode(pattern)!r} is a pattern that matches nothing")
    return found, b"/" in pattern
