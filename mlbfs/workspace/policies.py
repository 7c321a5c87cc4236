"""Finds the `.gitattributes` that count for an import: they decide what stays in Git.

Owns: the order of the places that can hold one. A file of the source stands before the file that
the branch has at the same path, because it is about to replace it; a new branch has only the one
that it begins with.
Layer: workspace.

Concurrency: one thread.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from mlbfs.git.attributes import FILE_NAME, MAX_FILE_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlbfs.workspace.snapshot import Snapshot


def attributes_reader(
    base: Snapshot | None,
    places: Sequence[tuple[bytes, bytes]],
    *,
    replaced: frozenset[bytes] = frozenset(),
    beginning: bytes | None = None,
) -> Callable[[bytes], bytes | None]:
    """Returns a function that reads a `.gitattributes` by its path in the tree.

    Args:
        base: What the branch holds now, or None.
        places: For each source, where in the tree it lands and where on the host it lies. Of two
            that bring the same path, the last wins, as it does in the tree.
        replaced: Places of the tree that will hold nothing of `base`.
        beginning: The `.gitattributes` that its root will have if the sources bring none.
    """

    def read(path: bytes) -> bytes | None:
        for landing, host in reversed(places):
            if _is_within(path, landing):
                found, data = _read_host(host + _below(path, landing))
                if found:
                    return data
        if beginning is not None and path == FILE_NAME:
            return beginning
        if base is None or any(_is_within(path, place) for place in replaced):
            return None
        entry = base.get(path)
        if entry is None or entry.is_directory or entry.is_symlink:
            return None
        return base.read(path) if entry.size < MAX_FILE_SIZE else None

    return read


def _is_within(path: bytes, place: bytes) -> bool:
    return not place or path == place or path.startswith(place + b"/")


def _below(path: bytes, place: bytes) -> bytes:
    """Returns what is left of a path within a place, with the slash before it."""
    return path[len(place) :] if place else b"/" + path


def _read_host(path: bytes) -> tuple[bool, bytes | None]:
    """Returns whether anything is there, and the content if it is a file that Git would heed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False, None
    except OSError:  # a link, or unreadable, which the import itself will name
        return True, None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size >= MAX_FILE_SIZE:
            return True, None  # a folder among them, which `open` would not take
        with open(descriptor, "rb", closefd=False) as file:
            return True, file.read()
    finally:
        os.close(descriptor)
