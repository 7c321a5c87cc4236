"""Which new paths of a workspace are ignored: those that Git would leave alone.

Owns: where the rules come from (the `.gitignore` files as they are now), and that what the last
commit has is never ignored.
Layer: workspace.

Concurrency: the caller holds the workspace's lock; one reading of the rules is of one moment.
"""

from __future__ import annotations

import stat
from functools import cached_property
from typing import TYPE_CHECKING

from mlbfs.git.ignore import MAX_FILE_SIZE
from mlbfs.ids import ObjectId
from mlbfs.workspace.content import Content
from mlbfs.workspace.inodes import ROOT_INODE
from mlbfs.workspace.names import Names
from mlbfs.workspace.snapshot import Snapshot

if TYPE_CHECKING:
    from mlbfs.git.ignore import Ignore
    from mlbfs.workspace.core import Core


class IgnoreRules:
    """The rules of one moment."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._names = Names(core)
        self._content = Content(core)

    def cover(self, path: bytes, *, is_folder: bool) -> bool:
        """Returns whether a path is ignored; of a folder, whether all in it is."""
        return self._ignore.is_ignored(path, is_folder=is_folder) and not self._is_tracked(path)

    @cached_property
    def _ignore(self) -> Ignore:
        return self._core.source.git.ignore_of(self._read)

    @cached_property
    def _base(self) -> Snapshot | None:
        stored = self._core.overlay.get("base")
        if not isinstance(stored, bytes):
            return None
        source = self._core.source
        return Snapshot(source, source.git.read_commit(ObjectId(stored)))

    def _is_tracked(self, path: bytes) -> bool:
        return self._base is not None and self._base.get(path) is not None

    def _read(self, path: bytes) -> bytes | None:
        """Returns the content of a regular file as it is now, or None."""
        core, ino = self._core, ROOT_INODE
        for name in path.split(b"/"):
            if not stat.S_ISDIR(core.mode_of(ino)):
                return None
            ino = self._names.find(core.folder(ino), name).ino
            if not ino:
                return None
        seen = core.attributes(ino)
        if not stat.S_ISREG(seen.mode) or seen.size >= MAX_FILE_SIZE:
            return None
        return self._content.read(ino, 0, seen.size)
