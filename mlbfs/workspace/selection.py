"""A set of paths that an operation is limited to.

Owns: what a path stands for: itself and all below it.
Layer: workspace. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.git.paths import ancestors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Selection:
    """Paths of one tree, without those that another of them covers.

    Attributes:
        is_all: The root is among them, so that every path is covered.
    """

    def __init__(self, paths: Iterable[bytes] = (b"",)) -> None:
        given = set(paths)
        self.is_all = b"" in given
        self._paths = (
            frozenset([b""])
            if self.is_all
            else frozenset(path for path in given if given.isdisjoint(ancestors(path)))
        )

    def __iter__(self) -> Iterator[bytes]:
        return iter(sorted(self._paths))

    def is_below(self, folder: bytes) -> bool:
        """Returns whether one of them lies below a folder."""
        return any(folder in ancestors(path) for path in self._paths)

    def covers(self, path: bytes) -> bool:
        """Returns whether a path is one of them, or lies below one."""
        return self.is_all or path in self._paths or not self._paths.isdisjoint(ancestors(path))


EVERYTHING = Selection()
