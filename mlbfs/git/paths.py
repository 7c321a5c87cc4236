"""Paths inside a tree: bytes, names joined by slashes, from the root of the tree on.

Owns: which folders a path lies in. Layer: git. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def ancestors(path: bytes) -> Iterator[bytes]:
    """Yields the folders that a path lies in, nearest first; the root is left out."""
    end = path.rfind(b"/")
    while end > 0:
        yield path[:end]
        end = path.rfind(b"/", 0, end)
