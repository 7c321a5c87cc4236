"""The names that `mount --all` shows, and what they stand for.

    branches/<name>/    tree of each branch; slashes in a name are nested folders
    tags/<name>/        tree of each tag
    commits/<id>/       tree of any commit

Owns: the three folders and which refs lie in them.
Layer: mount. Imports the standard library only.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

BRANCHES = b"branches"
TAGS = b"tags"
COMMITS = b"commits"

PREFIXES = {BRANCHES: "refs/heads/", TAGS: "refs/tags/"}
COMMIT_NAME = re.compile(rb"[0-9a-f]{7,40}")


def split_place(path: bytes, is_ref: Callable[[str], bool]) -> tuple[str, bytes] | None:
    """Returns the ref or commit that a path of the mount lies in, and the path in its tree.

    Args:
        path: Path below the mount point.
        is_ref: Tells of a full name whether there is such a ref; no ref is a folder of refs.

    Returns:
        A full ref name or a commit id, and the rest; None for a folder above the trees.
    """
    section, _, rest = path.partition(b"/")
    if section == COMMITS:
        commit, _, below = rest.partition(b"/")
        return (commit.decode(), below) if COMMIT_NAME.fullmatch(commit) else None
    prefix = PREFIXES.get(section)
    if prefix is None or not rest:
        return None
    parts = rest.split(b"/")
    for depth in range(1, len(parts) + 1):
        name = prefix + os.fsdecode(b"/".join(parts[:depth]))
        if is_ref(name):
            return name, b"/".join(parts[depth:])
    return None
