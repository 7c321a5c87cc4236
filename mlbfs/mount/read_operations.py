"""The file system for pyfuse3: everything that does not change it.

Owns: what the kernel is told it may keep, and the form of handles.
Layer: mount. Imports pyfuse3 and trio; what the answers are is the view's business.

Handles: files and folders are opened with their inode number as the handle. Views are addressed by
inode, so an open file needs no state here, and nothing is lost that a handle would have held.

Concurrency: see dispatch. Nothing here notifies the kernel: a notification from a handler, or
under a lock that a handler needs, would wait for itself.
"""

# ruff: noqa: ARG002 - pyfuse3 gives the parameters of handlers
from __future__ import annotations

import errno
import logging
import os
import stat
from typing import TYPE_CHECKING

import pyfuse3

from mlbfs.errors import MlbfsError
from mlbfs.limits import MAX_NAME_LENGTH
from mlbfs.mount.attributes import (
    FOREVER,
    NEVER,
    entry_attributes,
    negative_entry,
    statvfs_data,
)
from mlbfs.mount.dispatch import Threads, handler
from mlbfs.mount.errno_map import report
from mlbfs.workspace.vfs_errors import NameTooLong, NoEntry, ReadOnly, VfsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from mlbfs.mount.view import View
    from mlbfs.workspace.attributes import Attributes

    R = TypeVar("R")

log = logging.getLogger(__name__)

_DOTS = 2
"""Offsets 0 and 1 of a listing are `.` and `..`; those of the view follow."""


class ReadOperations(pyfuse3.Operations):
    """Answers requests from a view."""

    # Handles made of inode numbers must not be asked for by exported file handles.
    supports_dot_lookup = False
    # A cache of writes would let the kernel invent times and sizes.
    enable_writeback_cache = False

    def __init__(self, view: View, is_stable: Callable[[int], bool] = lambda _: True) -> None:
        """Answers from `view`.

        Args:
            view: What the mount shows.
            is_stable: Tells of a folder whether its entries change through this mount alone.
        """
        super().__init__()
        self._view = view
        self._is_stable = is_stable
        self._threads_: Threads | None = None

    @property
    def _threads(self) -> Threads:
        if self._threads_ is None:  # limiters belong to the loop, which begins after the mount
            self._threads_ = Threads()
        return self._threads_

    async def path_of(self, inode: int) -> bytes | None:
        """Returns a path that leads to an inode, for the log; None if none is known."""
        try:
            return await self._threads.run(self._view.path_of, inode)
        except (MlbfsError, VfsError) as err:  # what is told of has damaged the way to it, too
            log.debug("no path of inode %#x: %s", inode, err)
            return None

    async def _ask(self, inode: int, question: Callable[..., R], *args: object) -> R:
        """Asks the view about an inode: at once if the answer is in memory, else in a thread."""
        if self._view.is_ready(inode):
            return question(*args)
        return await self._threads.run(question, *args)

    def _entry(self, found: Attributes, *, stable: bool) -> pyfuse3.EntryAttributes:
        entry = entry_attributes(found, FOREVER)
        if not stable:
            entry.entry_timeout = NEVER
            entry.attr_timeout = FOREVER if found.immutable else NEVER
        return entry

    # Names

    @handler
    async def lookup(
        self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """Finds a name in a folder."""
        if len(name) > MAX_NAME_LENGTH:
            raise NameTooLong(name)
        stable = self._is_stable(parent_inode)
        try:
            found = await self._ask(parent_inode, self._view.lookup, parent_inode, name)
        except NoEntry:
            if not stable:
                raise
            return negative_entry(FOREVER)
        return self._entry(found, stable=stable)

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        """Takes back what the kernel no longer refers to; must not raise."""
        self._forget_all(inode_list)

    def _forget_all(self, inode_list: Sequence[tuple[int, int]]) -> None:
        for inode, count in inode_list:
            self._forget(inode, count)

    def _forget(self, inode: int, count: int) -> None:
        try:
            self._view.forget(inode, count)
        except Exception as err:
            report(err, "forget", inode)

    @handler
    async def getattr(self, inode: int, ctx: pyfuse3.RequestContext) -> pyfuse3.EntryAttributes:
        """Returns the attributes of an inode."""
        found = await self._ask(inode, self._view.getattr, inode)
        return self._entry(found, stable=self._is_stable(inode))

    @handler
    async def readlink(self, inode: int, ctx: pyfuse3.RequestContext) -> bytes:
        """Returns the target of a symbolic link."""
        return await self._threads.read(self._view.readlink, inode)

    # Folders

    @handler
    async def opendir(self, inode: int, ctx: pyfuse3.RequestContext) -> int:
        """Opens a folder."""
        return inode

    @handler
    async def readdir(self, fh: int, start_id: int, token: pyfuse3.ReaddirToken) -> None:
        """Lists a folder, with attributes: the kernel keeps them and asks for nothing later."""
        await self._ask(fh, self._list, fh, start_id, token)

    @handler
    async def releasedir(self, fh: int) -> None:
        """Ends a listing."""

    @handler
    async def fsyncdir(self, fh: int, datasync: bool) -> None:
        """Makes a folder durable; a snapshot is."""

    def _list(self, inode: int, start: int, token: pyfuse3.ReaddirToken) -> None:
        """Fills the reply; may run in a thread, which alone has the token then."""
        parent = self._view.parent(inode)
        if start < 1 and not pyfuse3.readdir_reply(token, b".", _dot(inode), 1):
            return
        if start < _DOTS and not pyfuse3.readdir_reply(token, b"..", _dot(parent), 2):
            return
        self._list_entries(inode, start, token)

    def _list_entries(self, inode: int, start: int, token: pyfuse3.ReaddirToken) -> None:
        view, stable = self._view, self._is_stable(inode)
        sent = False
        try:
            for name, found, offset in view.readdir(inode, max(0, start - _DOTS)):
                entry = self._entry(found, stable=stable)
                view.remember(found.ino)
                if not pyfuse3.readdir_reply(token, name, entry, offset + _DOTS):
                    self._forget(found.ino, 1)  # V2: counted, but the kernel had no room for it
                    return
                sent = True
        except (MlbfsError, VfsError) as err:
            if not sent:
                raise
            # What is in the reply was counted, so it has to be sent. The kernel asks again from
            # behind it, meets the error with an empty reply, and then it is told.
            log.debug("the listing of inode %#x stops early: %s", inode, err)

    # Files

    @handler
    async def open(self, inode: int, flags: int, ctx: pyfuse3.RequestContext) -> pyfuse3.FileInfo:
        """Opens a file. What the kernel has of it stays: it changes through this mount alone."""
        if flags & (os.O_ACCMODE | os.O_TRUNC) != os.O_RDONLY:
            raise ReadOnly(inode)
        return pyfuse3.FileInfo(fh=inode, keep_cache=True)

    @handler
    async def read(self, fh: int, off: int, size: int) -> bytes:
        """Reads bytes: at once if they are in memory, else in a thread."""
        view = self._view
        data = view.read_nowait(fh, off, size) if view.is_ready(fh) else None
        if data is None:
            data = await self._threads.read(view.read, fh, off, size)
        return data

    @handler
    async def flush(self, fh: int) -> None:
        """Ends one use of a file. Nothing is held back, so the kernel need not ask again."""
        raise pyfuse3.FUSEError(errno.ENOSYS)

    @handler
    async def release(self, fh: int) -> None:
        """Ends the last use of an open file."""

    @handler
    async def fsync(self, fh: int, datasync: bool) -> None:
        """Makes a file durable; a snapshot is."""

    async def statfs(self, ctx: pyfuse3.RequestContext) -> pyfuse3.StatvfsData:
        """Returns the room of the file system below."""
        return statvfs_data(await self._statfs(pyfuse3.ROOT_INODE))

    @handler
    async def _statfs(self, inode: int) -> os.statvfs_result:
        return await self._threads.run(self._view.statfs)


def _dot(inode: int) -> pyfuse3.EntryAttributes:
    """Returns an entry for `.` or `..`: the kernel takes its number and type only."""
    entry = pyfuse3.EntryAttributes()
    entry.st_ino = inode
    entry.st_mode = stat.S_IFDIR
    return entry
