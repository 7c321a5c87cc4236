"""Line differences of two texts, in the form that `patch` and people read.

Owns: the choice of libgit2 for the comparison.
Layer: git. Pure: bytes to bytes.
"""

from __future__ import annotations

import pygit2


def unified_hunks(old: bytes, new: bytes, *, context: int = 3) -> bytes:
    """Returns the hunks of a unified diff, without the lines that name the files."""
    patch = pygit2.Patch.create_from(old, new, context_lines=context)
    data: bytes = patch.data
    start = data.find(b"\n@@ ")
    return data[start + 1 :] if start >= 0 else b""
