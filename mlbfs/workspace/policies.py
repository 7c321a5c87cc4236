"""Finds the `.gitattributes` that count for an import: they decide what stays in Git.

Owns: the order of the two places that can hold one. A file of the source stands before the file
that the branch has at the same path, because it is about to replace it.
Layer: workspace.

Concurrency: one thread.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from mlbfs.git.attributes import MAX_FILE_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlbfs.workspace.snapshot import Snapshot


def attributes_reader(
    base: Snapshot | None, places: Sequence[tuple[bytes, bytes]]
) -> Callable[[bytes], bytes | None]:
    """Returns a function that reads a `.gitattributes` by its path in the tree.

    Args:
        base: What the branch holds now, or None.
        places: For each source, where in the tree it lands and where on the host it lies.
    """

    def read(path: bytes) -> bytes | None:
        for landing, host in places:
            if not landing or path.startswith(landing + b"/"):
                data = _read_host(host + b"/" + path[len(landing) :].lstrip(b"/"))
                if data is not None:
                    return data
        entry = base.get(path) if base is not None else None
        if base is None or entry is None or entry.is_directory or entry.is_symlink:
            return None
        return base.read(path) if entry.size < MAX_FILE_SIZE else None

    return read


def _read_host(path: bytes) -> bytes | None:
    """Returns the content of a regular file; None when there is none that Git would heed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # missing, a link, or unreadable: the import itself names an unreadable file
        return None
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size >= MAX_FILE_SIZE:
            return None
        return file.read()
