"""What a repository takes on disk, as `du` counts it: blocks, folders included, by what they hold.

Owns: which part of the Git directory is what.
Layer: workspace.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BLOCK = 512
"""Unit of `st_blocks`, whatever the file system."""


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """Bytes on disk; together they are what `du` says of the Git directory.

    Attributes:
        packs: Packs of the chunk store, those that are being written included.
        index: The chunk index.
        workspaces: Work on branches that was not committed, and what keeps room for it.
        git_objects: Objects of Git: commits, trees, text and pointers.
        lfs_objects: What a Git LFS client keeps.
        other: Refs, logs, records of mounts, the index of the work tree, hooks.
    """

    packs: int
    index: int
    workspaces: int
    git_objects: int
    lfs_objects: int
    other: int

    @property
    def total(self) -> int:
        """All of it."""
        parts = (self.packs, self.index, self.workspaces)
        return sum(parts) + self.git_objects + self.lfs_objects + self.other


def measure(git_dir: Path) -> DiskUsage:
    """Returns what a Git directory takes; what goes meanwhile is not counted."""
    seen: set[tuple[int, int]] = set()
    sizes = {
        name: _size(git_dir / path, seen)
        for name, path in (
            ("packs", "mlbfs/packs"),
            ("index", "mlbfs/index.lmdb"),
            ("workspaces", "mlbfs/workspaces"),
            ("git_objects", "objects"),
            ("lfs_objects", "lfs"),
        )
    }
    return DiskUsage(**sizes, other=_size(git_dir, seen))


def _size(top: Path, seen: set[tuple[int, int]]) -> int:
    """Returns the size of what is at a path and below, but for what was seen before."""
    total = 0
    for status in _walk(os.fspath(top)):
        key = (status.st_dev, status.st_ino)
        if key not in seen:  # a file with several names, and parts that were counted
            seen.add(key)
            total += status.st_blocks * _BLOCK
    return total


def _walk(top: str) -> Iterator[os.stat_result]:
    try:
        yield os.lstat(top)
        with os.scandir(top) as entries:
            found = list(entries)
    except (FileNotFoundError, NotADirectoryError):  # a file, or gone meanwhile
        return
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path)
            continue
        try:
            yield entry.stat(follow_symlinks=False)
        except FileNotFoundError:  # gone meanwhile
            continue
