"""Extended attributes of inodes in a workspace.

Owns: which names and lengths are taken.
Layer: workspace.

They live in the overlay only: Git has no place for them, so setting one is nothing to commit. They
last as other attributes do that Git cannot keep: until a commit has been made and the workspace is
opened again.

Concurrency: everything takes the workspace's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.limits import KIB, MAX_NAME_LENGTH
from mlbfs.workspace.clock import now_ns
from mlbfs.workspace.vfs_errors import Invalid, NoData, TooBig, Unsupported

if TYPE_CHECKING:
    from mlbfs.workspace.core import Core

NAMESPACE = b"user."
"""The one namespace that is kept; the others belong to the kernel and to root."""

MAX_VALUE_LENGTH = 64 * KIB
"""XATTR_SIZE_MAX of Linux."""


class ExtendedAttributes:
    """Operations on the extended attributes of one workspace."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def get(self, ino: int, name: bytes) -> bytes:
        """Returns a value."""
        _check_name(name)
        found = self._all(ino).get(name)
        if found is None:
            raise NoData(name)
        return found

    def names(self, ino: int) -> list[bytes]:
        """Returns the names, sorted."""
        return list(self._all(ino))

    def set(self, ino: int, name: bytes, value: bytes) -> None:
        """Sets a value; one that is there already leaves the times alone, as on ext4."""
        _check_name(name)
        if not name.startswith(NAMESPACE) or len(name) > MAX_NAME_LENGTH:
            raise Unsupported(name)
        if len(value) > MAX_VALUE_LENGTH:
            raise TooBig(name)
        core = self._core
        with core.changing():
            if self._all(ino).get(name) == value:
                return
            node = core.materialize(ino)
            core.overlay.set_xattr(ino, name, value)
            core.mark(node)
            node.ctime = now_ns()
            core.overlay.update_node(node)

    def remove(self, ino: int, name: bytes) -> None:
        """Removes a value."""
        _check_name(name)
        core = self._core
        with core.changing():
            if name not in self._all(ino):
                raise NoData(name)
            node = core.materialize(ino)
            core.overlay.delete_xattr(ino, name)
            core.mark(node)
            node.ctime = now_ns()
            core.overlay.update_node(node)

    def _all(self, ino: int) -> dict[bytes, bytes]:
        core = self._core
        with core.reading():
            return {} if core.node(ino) is None else core.overlay.xattrs(ino)


def _check_name(name: bytes) -> None:
    if name == NAMESPACE:
        raise Invalid(name)
