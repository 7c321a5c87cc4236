"""The Git directory that Git finds from inside a mount: a view laid over another one.

    .git                       a file that leads Git to the folder below
    .mlbfs-git/<words>/        HEAD, commondir, gitdir, index, FETCH_HEAD

To Git this is a linked work tree: HEAD is the mount's own, everything else is the repository's
(docs/decisions/0016-git-view.md). Nothing in it can be changed, so no command of Git moves HEAD or
the mounted branch from here; the name of the folder is the sentence that the refusal of such a
command shows.

Owns: the names, inode numbers and content of what is laid over, and which names it takes.
Layer: mount. Imports workspace and git.

Invariants:
  G1. A name of the mounted tree stands before one of ours: nothing of anybody's is ever hidden.
  G2. Our names are found and not listed: whoever copies or removes a tree does not meet them.
  G3. Only HEAD changes under its inode number. Each index that is made has a number of its own; the
      number 0 is that of the index that nobody may open.

Concurrency: safe from several threads; Git is read under the source's lock.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.git.names import BRANCH_PREFIX
from mlbfs.mount.git_calls import Question
from mlbfs.mount.git_indexes import Indexes, changed_lengths
from mlbfs.mount.view import ROOT_INODE
from mlbfs.workspace.attributes import Attributes, blocks_of
from mlbfs.workspace.vfs_errors import Invalid, IsDirectory, NoEntry, NotDirectory, Stale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from mlbfs.ids import ObjectId
    from mlbfs.mount.view import View
    from mlbfs.workspace.report import Status
    from mlbfs.workspace.source import SnapshotSource

DOT_GIT = b".git"
HOLDER = b".mlbfs-git"
WORDS = b"in a mount use mlbfs status, commit, restore, switch"
"""Git names this folder in the errors that the user of a mount meets."""

_BIT = 61
"""Set in our inode numbers, with none above. Numbers of snapshots and workspaces begin at 2^62 or
are counted from 2^24 up, and do not come this far."""

_PLACE_SHIFT = 40
_INDEX_SHIFT = 8
_INDEX_MASK = (1 << _PLACE_SHIFT - _INDEX_SHIFT) - 1
_ITEM_MASK = (1 << _INDEX_SHIFT) - 1


class Item(IntEnum):
    """What is laid over a folder that shows the tree of a commit."""

    DOT_GIT = 1
    HOLDER = 2
    FOLDER = 3
    HEAD = 4
    COMMONDIR = 5
    GITDIR = 6
    INDEX = 7
    FETCH_HEAD = 8


_OVER_ROOT = {DOT_GIT: Item.DOT_GIT, HOLDER: Item.HOLDER}
_BELOW = {
    Item.HOLDER: {WORDS: Item.FOLDER},
    Item.FOLDER: {
        b"HEAD": Item.HEAD,
        b"commondir": Item.COMMONDIR,
        b"gitdir": Item.GITDIR,
        b"index": Item.INDEX,
        b"FETCH_HEAD": Item.FETCH_HEAD,
    },
}


class Head(NamedTuple):
    """Where a folder that shows the tree of a commit stands.

    Attributes:
        commit: The commit.
        branch: Short name of the branch that the folder shows, None for anything else.
        place: Path of the folder in the mount, b"" for its root.
    """

    commit: ObjectId
    branch: str | None = None
    place: bytes = b""


def is_git_inode(inode: int) -> bool:
    """Returns whether an inode number belongs to a Git view."""
    return inode >> _BIT == 1


def may_be_ours(name: bytes) -> bool:
    """Returns whether a name is one that a Git view may lay over a folder."""
    return name in _OVER_ROOT


def is_index_name(parent: int, name: bytes) -> bool:
    """Returns whether a name in a folder is that of an index of ours."""
    return is_git_inode(parent) and _BELOW.get(item_of(parent), {}).get(name) is Item.INDEX


def is_closed_index(inode: int) -> bool:
    """Returns whether an inode is the index that nobody may open."""
    return item_of(inode) is Item.INDEX and _index_number(inode) == 0


def item_of(inode: int) -> Item:
    """Returns what an inode of a Git view is.

    Raises:
        Stale: The number means nothing.
    """
    try:
        return Item(inode & _ITEM_MASK)
    except ValueError:
        raise Stale(inode) from None


class GitView:
    """A view with a Git directory over it; see `view.View` for the operations.

    Args:
        view: What the mount shows.
        source: The repository.
        directory: Mount point.
        head_of: Returns where a folder stands; None for one that is not the root of a commit.
        status: Returns what has changed in the mount since its commit; None where nothing can.
    """

    def __init__(
        self,
        view: View,
        source: SnapshotSource,
        directory: Path,
        head_of: Callable[[int], Head | None],
        status: Callable[[], Status] | None = None,
    ) -> None:
        self.view = view
        self._source = source
        self._directory = os.fsencode(directory)
        self._common_dir = os.fsencode(source.git.common_dir)
        self._head_of = head_of
        self._status = status
        self._indexes = Indexes(source)
        self._lock = threading.Lock()
        self._places: list[int] = []
        self._place_of: dict[int, int] = {}
        self._made_ns = time.time_ns()
        self._heads: dict[int, tuple[bytes, int]] = {}

    # Names

    def is_ours(self, parent: int, name: bytes) -> bool:
        """Returns whether a name in a folder of the mounted tree means what we laid over it."""
        if name not in _OVER_ROOT or self._head_of(parent) is None:
            return False
        try:
            found = self.view.lookup(parent, name)
        except NoEntry:
            return True
        self.view.forget(found.ino, 1)
        return False

    def lookup(self, parent: int, name: bytes) -> Attributes:
        """Returns the entry `name` of a folder and counts a lookup; ours need no counts."""
        if is_git_inode(parent):
            item = self._below(parent).get(name)
            if item is None:
                raise NoEntry(name)
            return self._attributes(self._child(parent, item))
        if name not in _OVER_ROOT:
            return self.view.lookup(parent, name)
        try:
            return self.view.lookup(parent, name)  # G1
        except NoEntry:
            if self._head_of(parent) is None:
                raise
        return self._attributes(self._number(self._place(parent), _OVER_ROOT[name]))

    def lookup_index(self, parent: int, question: Question) -> Attributes:
        """Makes an index that answers a question truly and counts a lookup of it.

        Where `core.sparseCheckout` is set, Git takes no word of ours for what has not changed.
        """
        root = self._root(parent)
        if question is Question.CHANGED and self._config("core.sparseCheckout", default=False):
            return self._attributes(self._child(parent, Item.INDEX))
        while True:
            head = self._head(root)
            changed = self._changed() if question is Question.CHANGED else {}
            if self._head(root).commit == head.commit:  # no commit was made in between
                break
        number = self._indexes.make(head.commit, changed)
        return self._attributes(self._child(parent, Item.INDEX) | number << _INDEX_SHIFT)

    def _changed(self) -> dict[bytes, int]:
        if self._status is None:
            return {}
        heeds_modes = self._config("core.fileMode", default=True)
        return changed_lengths(self._status(), heeds_modes=heeds_modes)

    def _config(self, key: str, *, default: bool) -> bool:
        with self._source.git_lock:
            return self._source.git.config_bool(key, default=default)

    def parent(self, inode: int) -> int:
        """Returns the inode of the folder that a folder lies in."""
        if not is_git_inode(inode):
            return self.view.parent(inode)
        if item_of(inode) is Item.FOLDER:
            return self._number(_place(inode), Item.HOLDER)
        return self._root(inode)

    def readdir(self, inode: int, offset: int) -> Iterable[tuple[bytes, Attributes, int]]:
        """Yields name, attributes and next offset; ours come below our folders only (G2)."""
        if is_git_inode(inode):
            return self._entries(inode, offset)
        return self.view.readdir(inode, offset)

    def _entries(self, inode: int, offset: int) -> Iterator[tuple[bytes, Attributes, int]]:
        for position, (name, item) in enumerate(self._below(inode).items()):
            if position >= offset:
                yield name, self._attributes(self._child(inode, item)), position + 1

    # Inodes

    def is_ready(self, inode: int) -> bool:
        """Returns whether an inode can be asked about without waiting."""
        return not is_git_inode(inode) and self.view.is_ready(inode)

    def remember(self, inode: int) -> None:
        """Counts a lookup of the entry that a listing has just yielded."""
        if not is_git_inode(inode):
            self.view.remember(inode)

    def forget(self, inode: int, count: int) -> None:
        """Takes back `count` lookups."""
        if not is_git_inode(inode):
            self.view.forget(inode, count)
        elif item_of(inode) is Item.INDEX:
            self._indexes.forget(_index_number(inode), count)

    def getattr(self, inode: int) -> Attributes:
        """Returns the attributes of an inode."""
        return self._attributes(inode) if is_git_inode(inode) else self.view.getattr(inode)

    def readlink(self, inode: int) -> bytes:
        """Returns the target of a symbolic link."""
        if not is_git_inode(inode):
            return self.view.readlink(inode)
        if item_of(inode) is not Item.FETCH_HEAD:
            raise Invalid(inode)
        return self._content(inode)

    def read(self, inode: int, offset: int, length: int) -> bytes:
        """Returns bytes of a file; short only at its end."""
        if not is_git_inode(inode):
            return self.view.read(inode, offset, length)
        if item_of(inode) in _BELOW:
            raise IsDirectory(inode)
        return self._content(inode)[offset : offset + length]

    def read_nowait(self, inode: int, offset: int, length: int) -> bytes | None:
        """Returns bytes of a file, or None if that would wait for the disk."""
        return None if is_git_inode(inode) else self.view.read_nowait(inode, offset, length)

    def path_of(self, inode: int) -> bytes | None:
        """Returns a path in the mount that leads to an inode; ours are not told."""
        return None if is_git_inode(inode) else self.view.path_of(inode)

    def statfs(self) -> os.statvfs_result:
        """Returns what the file system below says of its room."""
        return self.view.statfs()

    def close(self) -> None:
        """Lets go of everything."""
        self.view.close()

    # Numbers

    @staticmethod
    def _number(place: int, item: Item) -> int:
        return 1 << _BIT | place << _PLACE_SHIFT | item

    def _child(self, parent: int, item: Item) -> int:
        return self._number(_place(parent), item)

    def _place(self, root: int) -> int:
        """Returns the number of a folder that we lie over; it stays as long as the mount."""
        with self._lock:
            if root not in self._place_of:
                self._places.append(root)
                self._place_of[root] = len(self._places) - 1
            return self._place_of[root]

    def _root(self, inode: int) -> int:
        place = _place(inode)
        if place >= len(self._places):
            raise Stale(inode)
        return self._places[place]

    def _below(self, inode: int) -> dict[bytes, Item]:
        below = _BELOW.get(item_of(inode))
        if below is None:
            raise NotDirectory(inode)
        return below

    # Content

    def _head(self, root: int) -> Head:
        head = self._head_of(root)
        if head is None:
            raise Stale(root)
        return head

    def _attributes(self, inode: int) -> Attributes:
        item, made = item_of(inode), self._made_ns
        size = 0
        if item not in _BELOW:
            content = self._content(inode)
            size = len(content)
            if item is Item.HEAD:
                made = self._changed_ns(inode, content)
        owner = (os.geteuid(), os.getegid(), 0)
        head = (inode, _mode(item), 1, *owner, size, blocks_of(size))
        return Attributes(*head, made, made, made, immutable=item is not Item.HEAD)

    def _changed_ns(self, inode: int, content: bytes) -> int:
        """Returns when HEAD was first seen with this content: programs compare its times."""
        with self._lock:
            known = self._heads.get(inode)
            if known is None or known[0] != content:
                first = self._made_ns if known is None else time.time_ns()
                known = self._heads[inode] = (content, first)
            return known[1]

    def _content(self, inode: int) -> bytes:
        root, item = self._root(inode), item_of(inode)
        if item is Item.COMMONDIR:
            return self._common_dir + b"\n"
        if item is Item.FETCH_HEAD:
            return self._common_dir + b"/FETCH_HEAD"
        if item is Item.INDEX:
            return b"" if is_closed_index(inode) else self._indexes.content(_index_number(inode))
        head = self._head(root)
        if item is Item.HEAD:
            return self._head_text(head)
        above = self._directory + b"/" + head.place if head.place else self._directory
        if item is Item.GITDIR:
            return above + b"/" + DOT_GIT + b"\n"
        # A whole path: some libraries take a relative one from the working folder.
        return b"gitdir: " + above + b"/" + HOLDER + b"/" + WORDS + b"\n"

    def _head_text(self, head: Head) -> bytes:
        """Returns HEAD: the branch while it is at the commit that is shown, else the commit."""
        if head.branch is not None:
            ref = BRANCH_PREFIX + head.branch
            with self._source.git_lock:
                tip = self._source.git.refs.read(ref)
            if tip == head.commit:
                return b"ref: " + os.fsencode(ref) + b"\n"
        return head.commit.hex().encode() + b"\n"


def _place(inode: int) -> int:
    return (inode & (1 << _BIT) - 1) >> _PLACE_SHIFT


def _index_number(inode: int) -> int:
    return inode >> _INDEX_SHIFT & _INDEX_MASK


def _mode(item: Item) -> int:
    if item in _BELOW:
        return stat.S_IFDIR | 0o555
    return stat.S_IFLNK | 0o777 if item is Item.FETCH_HEAD else stat.S_IFREG | 0o444


def root_head(head: Callable[[], Head]) -> Callable[[int], Head | None]:
    """Returns `head_of` for a mount whose root shows one commit at a time."""
    return lambda inode: head() if inode == ROOT_INODE else None
