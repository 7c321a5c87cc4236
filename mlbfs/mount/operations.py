"""The file system for pyfuse3: what changes it, on top of what does not.

Owns: how requests of the kernel become operations on a workspace.
Layer: mount. Imports pyfuse3 and trio.

A mount without a workspace is mounted read-only, so the kernel refuses changes before they come
here; whatever comes all the same is refused too.

Concurrency: changes run in threads; the workspace puts them in an order. A new name, and a write
that is one system call, are made on the loop as long as nothing has to be waited for: a hand-over
to a thread and back costs more than they do. Writes are passed on at once and nothing is held back,
so a close has nothing to do.
"""

# ruff: noqa: ARG002 - pyfuse3 gives the parameters of handlers
from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING

import pyfuse3

from mlbfs.mount.dispatch import handler
from mlbfs.mount.errno_map import report
from mlbfs.mount.read_operations import ReadOperations
from mlbfs.mount.write_pace import WritePace
from mlbfs.workspace.attributes import Caller, SetAttr
from mlbfs.workspace.vfs_errors import Exists, ReadOnly, Stale

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from mlbfs.mount.view import View
    from mlbfs.workspace.attributes import Attributes
    from mlbfs.workspace.workspace import Workspace

_USER_NAMESPACE = b"user."
_WRITES = os.O_ACCMODE | os.O_TRUNC

_PAST_CACHE = 1 << 63
"""In a handle, beside the inode: it writes past the cache of the kernel, which then does not take
back the rights that a file lends. Inodes do not have that bit."""


class Operations(ReadOperations):
    """Answers requests from a view, and changes it if it is a workspace."""

    def __init__(
        self,
        view: View,
        workspace: Workspace | None = None,
        *,
        is_stable: Callable[[int], bool] = lambda _: True,
    ) -> None:
        """Serves a view.

        Args:
            view: What the mount shows.
            workspace: The same, if it can be changed.
            is_stable: Tells of a folder whether its entries change through this mount alone.
        """
        super().__init__(view, is_stable)
        self._workspace_ = workspace
        self._pace = WritePace()

    @property
    def _workspace(self) -> Workspace:
        if self._workspace_ is None:
            raise ReadOnly
        return self._workspace_

    def _made(self, found: Attributes) -> pyfuse3.EntryAttributes:
        return self._entry(found, stable=True)

    async def _make(self, parent: int, make: Callable[[], Attributes]) -> Attributes:
        """Makes a name: at once if nothing has to be waited for, else in a thread."""
        if self._pace.is_free():
            began = time.monotonic()
            with self._workspace.at_once(parent) as can:
                if can:
                    try:
                        return make()
                    finally:
                        self._pace.note(time.monotonic() - began)
        return await self._threads.run(make)

    # Names

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        """Takes back what the kernel no longer refers to; must not raise."""
        try:
            if self._workspace_ is None or self._workspace_.is_ready(pyfuse3.ROOT_INODE):
                self._forget_all(inode_list)
            else:  # a commit has the workspace's lock, say
                await self._threads.run(self._forget_all, inode_list)
        except Exception as err:
            report(err, "forget", pyfuse3.ROOT_INODE)

    @handler
    async def mknod(
        self, parent_inode: int, name: bytes, mode: int, rdev: int, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """Makes a file, FIFO, socket or device."""
        make = self._workspace.mknod
        found = await self._threads.run(
            lambda: make(parent_inode, name, mode, rdev, uid=ctx.uid, gid=ctx.gid)
        )
        return self._made(found)

    @handler
    async def mkdir(
        self, parent_inode: int, name: bytes, mode: int, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """Makes a folder."""
        make = self._workspace.mkdir
        found = await self._make(
            parent_inode, lambda: make(parent_inode, name, mode, uid=ctx.uid, gid=ctx.gid)
        )
        return self._made(found)

    @handler
    async def symlink(
        self, parent_inode: int, name: bytes, target: bytes, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """Makes a symbolic link."""
        make = self._workspace.symlink
        found = await self._make(
            parent_inode, lambda: make(parent_inode, name, target, uid=ctx.uid, gid=ctx.gid)
        )
        return self._made(found)

    @handler
    async def link(
        self,
        inode: int,
        new_parent_inode: int,
        new_name: bytes,
        ctx: pyfuse3.RequestContext,
    ) -> pyfuse3.EntryAttributes:
        """Gives a file another name."""
        found = await self._threads.run(self._workspace.link, inode, new_parent_inode, new_name)
        return self._made(found)

    @handler
    async def unlink(self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> None:
        """Removes a name; the file lives on until the kernel forgets it."""
        await self._threads.run(self._workspace.unlink, parent_inode, name)

    @handler
    async def rmdir(self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> None:
        """Removes an empty folder."""
        await self._threads.run(self._workspace.rmdir, parent_inode, name)

    @handler
    async def rename(
        self,
        parent_inode_old: int,
        name_old: bytes,
        parent_inode_new: int,
        name_new: bytes,
        flags: int,
        ctx: pyfuse3.RequestContext,
    ) -> None:
        """Moves a name, over another, or exchanges two."""
        rename = self._workspace.rename
        await self._threads.run(
            rename, parent_inode_old, name_old, parent_inode_new, name_new, flags
        )

    # Files

    @handler
    async def create(
        self,
        parent_inode: int,
        name: bytes,
        mode: int,
        flags: int,
        ctx: pyfuse3.RequestContext,
    ) -> tuple[pyfuse3.FileInfo, pyfuse3.EntryAttributes]:
        """Makes a file and opens it."""
        make = self._workspace.create
        try:
            found = await self._make(
                parent_inode, lambda: make(parent_inode, name, mode, uid=ctx.uid, gid=ctx.gid)
            )
        except Exists:
            if flags & os.O_EXCL:
                raise
            found = await self._open_existing(parent_inode, name, flags, ctx)
        return _opened(found.ino, flags), self._made(found)

    async def _open_existing(
        self, parent: int, name: bytes, flags: int, ctx: pyfuse3.RequestContext
    ) -> Attributes:
        """Opens what another process has made since the kernel looked."""
        found = await self._threads.run(self._workspace.lookup, parent, name)
        try:
            if flags & os.O_TRUNC:
                return await self._cut(found.ino, ctx)
        except BaseException:
            self._forget(found.ino, 1)
            raise
        return found

    async def _cut(self, inode: int, ctx: pyfuse3.RequestContext) -> Attributes:
        change = SetAttr(size=0, caller=_caller(ctx))
        return await self._threads.run(self._workspace.setattr, inode, change)

    @handler
    async def open(self, inode: int, flags: int, ctx: pyfuse3.RequestContext) -> pyfuse3.FileInfo:
        """Opens a file. What the kernel has of it stays; other bytes come with another inode.

        Between a move of the workspace and the notice of it the kernel may take a name for what it
        was. What is written then would land in a file without a name, so it is asked to look again,
        which ESTALE makes it do.
        """
        if flags & _WRITES:
            if self._workspace_ is None:
                raise ReadOnly(inode)
            if self._workspace_.is_replaced(inode):
                raise Stale(inode)
        if flags & os.O_TRUNC:
            await self._cut(inode, ctx)
        return _opened(inode, flags)

    @handler
    async def write(self, fh: int, off: int, buf: bytes) -> int:
        """Writes bytes; O_APPEND was made an offset by the kernel, which holds the file's lock."""
        workspace, inode = self._workspace, fh & ~_PAST_CACHE
        if inode != fh and await self._ask(inode, workspace.lends_rights, inode):
            await self._threads.run(workspace.take_back_rights, inode)
        if self._pace.is_free():
            began = time.monotonic()
            done = workspace.write_nowait(inode, off, buf)
            self._pace.note(time.monotonic() - began)
            if done is not None:
                return done
        return await self._threads.run(workspace.write, inode, off, buf)

    @handler
    async def setattr(
        self,
        inode: int,
        attr: pyfuse3.EntryAttributes,
        fields: pyfuse3.SetattrFields,
        fh: int | None,
        ctx: pyfuse3.RequestContext,
    ) -> pyfuse3.EntryAttributes:
        """Changes mode, owner, length and times."""
        if fields.update_size and fh is None and self._workspace.is_replaced(inode):
            raise Stale(inode)  # by path, so as in `open`
        change = SetAttr(
            mode=attr.st_mode if fields.update_mode else None,
            uid=attr.st_uid if fields.update_uid else None,
            gid=attr.st_gid if fields.update_gid else None,
            size=attr.st_size if fields.update_size else None,
            atime_ns=attr.st_atime_ns if fields.update_atime else None,
            mtime_ns=attr.st_mtime_ns if fields.update_mtime else None,
            caller=_caller(ctx),
        )
        return self._made(await self._threads.run(self._workspace.setattr, inode, change))

    @handler
    async def fsync(self, fh: int, datasync: bool) -> None:
        """Makes a file durable: its bytes, its attributes and its names."""
        if self._workspace_ is not None:
            await self._threads.run(self._workspace_.fsync, fh & ~_PAST_CACHE)

    @handler
    async def fsyncdir(self, fh: int, datasync: bool) -> None:
        """Makes the names in a folder durable."""
        if self._workspace_ is not None:
            await self._threads.run(self._workspace_.fsync, fh)

    # Extended attributes

    def _with_attributes(self, name: bytes) -> Workspace:
        """Returns the workspace for attribute `name`.

        Without a workspace the answer is ENOSYS, after which the kernel does not ask again.
        """
        if self._workspace_ is None:
            raise pyfuse3.FUSEError(errno.ENOSYS)
        if not name.startswith(_USER_NAMESPACE):
            raise pyfuse3.FUSEError(errno.EOPNOTSUPP)
        return self._workspace_

    @handler
    async def setxattr(
        self, inode: int, name: bytes, value: bytes, ctx: pyfuse3.RequestContext
    ) -> None:
        """Sets an extended attribute."""
        await self._threads.run(self._with_attributes(name).setxattr, inode, name, value)

    @handler
    async def getxattr(self, inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> bytes:
        """Returns an extended attribute.

        The kernel asks for `security.capability` before each write; that is answered at once.
        """
        return await self._threads.run(self._with_attributes(name).getxattr, inode, name)

    @handler
    async def listxattr(self, inode: int, ctx: pyfuse3.RequestContext) -> Sequence[bytes]:
        """Returns the names of extended attributes."""
        workspace = self._with_attributes(_USER_NAMESPACE)
        return await self._threads.run(workspace.listxattr, inode)

    @handler
    async def removexattr(self, inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> None:
        """Removes an extended attribute."""
        await self._threads.run(self._with_attributes(name).removexattr, inode, name)


def _opened(inode: int, flags: int) -> pyfuse3.FileInfo:
    """Returns the answer to an open.

    Who only writes does so past the kernel's cache: the bytes are in the page cache already, with
    the data file, and the kernel would ask for `security.capability` before each write.
    """
    if flags & os.O_ACCMODE == os.O_WRONLY:
        return pyfuse3.FileInfo(fh=inode | _PAST_CACHE, keep_cache=True, direct_io=True)
    return pyfuse3.FileInfo(fh=inode, keep_cache=True)


def _caller(ctx: pyfuse3.RequestContext) -> Caller:
    return Caller(ctx.uid, ctx.gid, lambda: _further_groups(ctx.pid))


def _further_groups(pid: int) -> Collection[int]:
    """Returns the supplementary groups of a process; none if it cannot be seen from here."""
    try:
        return pyfuse3.get_sup_groups(pid)
    except OSError:
        return ()
