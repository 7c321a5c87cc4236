"""The file system for pyfuse3 with a Git view: what may be asked of it, and what is refused.

Owns: the refusals. Nothing in a Git view can be made, changed or removed, and none of its names
can be given to something else.
Layer: mount. Imports pyfuse3.

Two files answer by who asks. An index is made for a question that it answers truly; for any other,
above all for what is new, which Git finds by walking through everything, it cannot be opened. The
way to the repository is refused to commands that would do half of their work.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pyfuse3

from mlbfs.mount.dispatch import handler
from mlbfs.mount.git_calls import git_call_of, question_of
from mlbfs.mount.git_view import (
    Item,
    is_closed_index,
    is_git_inode,
    is_index_name,
    item_of,
    may_be_ours,
)
from mlbfs.mount.operations import Operations
from mlbfs.workspace.vfs_errors import NoData, NotPermitted, ReadOnly

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlbfs.mount.git_view import GitView
    from mlbfs.workspace.workspace import Workspace

_WRITES = os.O_ACCMODE | os.O_TRUNC

_NOT_HERE = frozenset((b"checkout", b"clone", b"init", b"init-db", b"switch"))
"""Commands that would change the repository before they find that they cannot go on here: `init`,
and `clone` into an empty mount, make it one with a work tree, `checkout -b` makes a branch."""


def _is_not_here(pid: int) -> bool:
    call = git_call_of(pid)
    return call is not None and call.command in _NOT_HERE


def _refuse(*inodes: int) -> None:
    """Refuses a change of a Git view.

    Raises:
        ReadOnly: One of the inodes is part of one.
    """
    for inode in inodes:
        if is_git_inode(inode):
            raise ReadOnly(inode)


class GitOperations(Operations):
    """Answers requests from a view with a Git directory over it."""

    def __init__(
        self,
        view: GitView,
        workspace: Workspace | None = None,
        *,
        is_stable: Callable[[int], bool] = lambda _: True,
    ) -> None:
        super().__init__(
            view,
            workspace,
            is_stable=lambda inode: not is_git_inode(inode) and is_stable(inode),
        )
        self._git_view = view

    # Names

    @handler
    async def lookup(
        self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """Finds a name in a folder; an index is the one that answers who looks for it."""
        if is_index_name(parent_inode, name):
            question = question_of(git_call_of(ctx.pid))
            if question is not None:
                find = self._git_view.lookup_index
                found = await self._threads.run(find, parent_inode, question)
                return self._entry(found, stable=False)
        return await super().lookup(parent_inode, name, ctx)

    @handler
    async def mknod(
        self, parent_inode: int, name: bytes, mode: int, rdev: int, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """Makes a file, FIFO, socket or device."""
        _refuse(parent_inode)
        return await super().mknod(parent_inode, name, mode, rdev, ctx)

    @handler
    async def mkdir(
        self, parent_inode: int, name: bytes, mode: int, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """Makes a folder."""
        _refuse(parent_inode)
        return await super().mkdir(parent_inode, name, mode, ctx)

    @handler
    async def symlink(
        self, parent_inode: int, name: bytes, target: bytes, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """Makes a symbolic link."""
        _refuse(parent_inode)
        return await super().symlink(parent_inode, name, target, ctx)

    @handler
    async def link(
        self, inode: int, new_parent_inode: int, new_name: bytes, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """Gives a file another name."""
        _refuse(inode, new_parent_inode)
        return await super().link(inode, new_parent_inode, new_name, ctx)

    @handler
    async def unlink(self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> None:
        """Removes a name."""
        await self._check_removable(parent_inode, name)
        await super().unlink(parent_inode, name, ctx)

    @handler
    async def rmdir(self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> None:
        """Removes an empty folder."""
        await self._check_removable(parent_inode, name)
        await super().rmdir(parent_inode, name, ctx)

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
        await self._check_removable(parent_inode_old, name_old)
        await self._check_removable(parent_inode_new, name_new)
        await super().rename(parent_inode_old, name_old, parent_inode_new, name_new, flags, ctx)

    async def _check_removable(self, parent: int, name: bytes) -> None:
        """Refuses to take away one of our names, or to put something else in its place."""
        _refuse(parent)
        if may_be_ours(name) and await self._threads.run(self._git_view.is_ours, parent, name):
            raise NotPermitted(name)

    # Files

    @handler
    async def create(
        self, parent_inode: int, name: bytes, mode: int, flags: int, ctx: pyfuse3.RequestContext
    ) -> tuple[pyfuse3.FileInfo, pyfuse3.EntryAttributes]:
        """Makes a file and opens it."""
        _refuse(parent_inode)
        return await super().create(parent_inode, name, mode, flags, ctx)

    @handler
    async def open(self, inode: int, flags: int, ctx: pyfuse3.RequestContext) -> pyfuse3.FileInfo:
        """Opens a file; the kernel keeps nothing of HEAD, which changes without being written."""
        if not is_git_inode(inode):
            return await super().open(inode, flags, ctx)
        if flags & _WRITES:
            raise ReadOnly(inode)
        item = item_of(inode)
        if is_closed_index(inode) or (item is Item.COMMONDIR and _is_not_here(ctx.pid)):
            raise NotPermitted(inode)  # Git shows the path, and in it the words of the folder
        return pyfuse3.FileInfo(fh=inode, keep_cache=True, direct_io=item is Item.HEAD)

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
        _refuse(inode)
        return await super().setattr(inode, attr, fields, fh, ctx)

    @handler
    async def fsync(self, fh: int, datasync: bool) -> None:
        """Makes a file durable; ours are the repository's business."""
        if not is_git_inode(fh):
            await super().fsync(fh, datasync)

    @handler
    async def fsyncdir(self, fh: int, datasync: bool) -> None:
        """Makes the names in a folder durable; ours are the repository's business."""
        if not is_git_inode(fh):
            await super().fsyncdir(fh, datasync)

    # Extended attributes

    @handler
    async def setxattr(
        self, inode: int, name: bytes, value: bytes, ctx: pyfuse3.RequestContext
    ) -> None:
        """Sets an extended attribute."""
        _refuse(inode)
        await super().setxattr(inode, name, value, ctx)

    @handler
    async def getxattr(self, inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> bytes:
        """Returns an extended attribute; ours have none."""
        if self._workspace_ is not None and is_git_inode(inode):
            raise NoData(name)
        return await super().getxattr(inode, name, ctx)

    @handler
    async def listxattr(self, inode: int, ctx: pyfuse3.RequestContext) -> Sequence[bytes]:
        """Returns the names of extended attributes; ours have none."""
        if self._workspace_ is not None and is_git_inode(inode):
            return ()
        return await super().listxattr(inode, ctx)

    @handler
    async def removexattr(self, inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> None:
        """Removes an extended attribute."""
        _refuse(inode)
        await super().removexattr(inode, name, ctx)
