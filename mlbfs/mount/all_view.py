"""Every ref by name, read-only: what `mount --all` shows.

The names are those of `all_names`; a commit is found when it is looked up, and the tips are listed.

Owns: the folders above the trees. They are read from the refs each time and the kernel is told
nothing that it may keep, so a new branch appears and a moved one shows its new tree at once.
Layer: mount. Imports all_names, tree_inodes, workspace and git.

Invariants:
  A1. The root of a ref's tree has an inode number made of its place and its tree. So when a ref
      moves the kernel finds another inode there and forgets what it knew, and a program that has
      the old folder open keeps the old tree.
  A2. Below a tree nothing changes ever, and one tree has the same file inodes wherever it shows.

Concurrency: safe from several threads; Git is read under the source's lock.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.errors import MlbfsError
from mlbfs.mount.all_names import BRANCHES, COMMIT_NAME, COMMITS, PREFIXES, TAGS
from mlbfs.mount.git_view import Head
from mlbfs.mount.tree_inodes import Directory, TreeInodes
from mlbfs.mount.view import ROOT_INODE
from mlbfs.workspace.snapshot import NS_PER_S
from mlbfs.workspace.vfs_errors import NoEntry, NotDirectory, Stale

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.ids import ObjectId
    from mlbfs.workspace.attributes import Attributes
    from mlbfs.workspace.source import SnapshotSource

log = logging.getLogger(__name__)


class _Shelf(NamedTuple):
    """A folder above the trees: the root, one of the three, or a part of a name with slashes."""

    section: bytes
    prefix: str


class AllView:
    """A read-only view of all refs; see `view.View` for the operations."""

    def __init__(self, source: SnapshotSource) -> None:
        self._source = source
        self._git = source.git
        self._time_ns = time.time_ns()
        self._inodes = TreeInodes(source, uid=os.geteuid(), gid=os.getegid())
        self._inodes.add_root(None, self._time_ns)
        self._shelves = {ROOT_INODE: _Shelf(b"", "")}
        self._heads: dict[int, Head] = {}

    def is_ready(self, inode: int) -> bool:
        """Returns whether metadata of `inode` can be had without waiting for the disk."""
        return inode not in self._shelves and self._inodes.is_ready(inode)

    def is_stable(self, inode: int) -> bool:
        """Returns whether the entries of a folder change through this mount alone."""
        return inode not in self._shelves

    def head_of(self, inode: int) -> Head | None:
        """Returns where a folder stands that shows the tree of a ref; None for any other."""
        return self._heads.get(inode)

    def lookup(self, parent: int, name: bytes) -> Attributes:
        """Returns the entry `name` of a folder and counts a lookup."""
        shelf = self._shelves.get(parent)
        if shelf is None:
            found = self._inodes.lookup(self._directory(parent), name)
        else:
            found = self._find(parent, shelf, name)
        if found is None:
            raise NoEntry(name)
        return found

    def remember(self, inode: int) -> None:
        """Does nothing: what a listing yields is counted already (V2)."""

    def forget(self, inode: int, count: int) -> None:
        """Takes back `count` lookups."""
        self._inodes.forget(inode, count)

    def getattr(self, inode: int) -> Attributes:
        """Returns the attributes of an inode."""
        if inode in self._shelves:
            return self._inodes.folder(self._directory(inode), immutable=False)
        return self._inodes.attributes(inode)

    def parent(self, inode: int) -> int:
        """Returns the inode of the folder that a folder lies in."""
        return self._directory(inode).parent

    def readdir(self, inode: int, offset: int) -> Iterator[tuple[bytes, Attributes, int]]:
        """Yields name, attributes and the offset behind it, from `offset` on."""
        shelf = self._shelves.get(inode)
        if shelf is None:
            return self._inodes.entries(self._directory(inode), offset)
        return self._list(inode, shelf, offset)

    def readlink(self, inode: int) -> bytes:
        """Returns the target of a symbolic link."""
        return self._inodes.readlink(inode)

    def read(self, inode: int, offset: int, length: int) -> bytes:
        """Returns bytes of a file; short only at its end."""
        return self._inodes.open(inode).read(offset, length)

    def read_nowait(self, inode: int, offset: int, length: int) -> bytes | None:
        """Returns bytes of a file, or None if that would wait for the disk."""
        return self._inodes.read_nowait(inode, offset, length)

    def path_of(self, inode: int) -> bytes | None:
        """Returns a path in the mount that leads to an inode, None if none is known."""
        tops = {top: head.place for top, head in list(self._heads.items())}
        return self._inodes.path_of(inode, tops)

    def statfs(self) -> os.statvfs_result:
        """Returns what the file system below says of its room."""
        return os.statvfs(self._source.store.root)

    def close(self) -> None:
        """Lets go of everything; the repository is closed by whoever opened it."""

    def _directory(self, inode: int) -> Directory:
        found = self._inodes.directory(inode)
        if found is None:
            raise NotDirectory(inode) if self._inodes.is_file(inode) else Stale(inode)
        return found

    # Shelves

    def _list(
        self, inode: int, shelf: _Shelf, offset: int
    ) -> Iterator[tuple[bytes, Attributes, int]]:
        """Lists a shelf in the order of hashes of names.

        Refs come and go during a listing; an offset made of the name alone neither skips nor
        repeats the others.
        """
        for position, name in sorted((_position(name), name) for name in self._names(shelf)):
            if position > offset:
                found = self._find(inode, shelf, name)
                if found is not None:  # gone since the names were read
                    yield name, found, position

    def _names(self, shelf: _Shelf) -> set[bytes]:
        if not shelf.section:
            return {BRANCHES, TAGS, COMMITS}
        if shelf.section == COMMITS:
            return {commit.hex().encode() for commit in self._tips()}
        refs = self._git.refs.names(shelf.prefix)
        rests = (os.fsencode(name.removeprefix(shelf.prefix)) for name in refs)
        return {rest.split(b"/")[0] for rest in rests}

    def _tips(self) -> set[ObjectId]:
        names = [name for prefix in PREFIXES.values() for name in self._git.refs.names(prefix)]
        return {commit for name in names if (commit := self._commit_of(name)) is not None}

    def _find(self, parent: int, shelf: _Shelf, name: bytes) -> Attributes | None:
        if not shelf.section:
            if name not in (BRANCHES, TAGS, COMMITS):
                return None
            return self._shelf(parent, name, _Shelf(name, PREFIXES.get(name, "")))
        if shelf.section == COMMITS:
            commit = self._named_commit(name.decode()) if COMMIT_NAME.fullmatch(name) else None
            return None if commit is None else self._tree(parent, name, shelf, commit)
        ref = shelf.prefix + os.fsdecode(name)
        commit = self._commit_of(ref)
        if commit is not None:
            return self._tree(parent, name, shelf, commit)
        if any(self._git.refs.names(ref + "/")):
            return self._shelf(parent, name, _Shelf(shelf.section, ref + "/"))
        return None

    def _shelf(self, parent: int, name: bytes, shelf: _Shelf) -> Attributes:
        found = self._inodes.enter(parent, name, None, self._time_ns)
        self._shelves[found.inode] = shelf
        return self._inodes.folder(found, immutable=False)

    def _tree(self, parent: int, name: bytes, shelf: _Shelf, commit_id: ObjectId) -> Attributes:
        with self._source.git_lock:
            commit = self._git.read_commit(commit_id)
        time_ns = commit.committer.time * NS_PER_S
        place = name + b"/" + commit.tree  # A1; no name has a slash
        found = self._inodes.enter(parent, place, commit.tree, time_ns)
        below = shelf.prefix.removeprefix(PREFIXES.get(shelf.section, "")) + os.fsdecode(name)
        branch = below if shelf.section == BRANCHES else None
        place = shelf.section + b"/" + os.fsencode(below)
        self._heads[found.inode] = Head(commit_id, branch, place)
        return self._inodes.folder(found)

    def _commit_of(self, ref: str) -> ObjectId | None:
        """Returns the commit of a ref by its full name; None if it has none or does not exist."""
        try:
            with self._source.git_lock:
                return self._git.commit_of(ref)
        except MlbfsError as err:
            # Also a tag of something that is no commit, or a damaged one: the others still list.
            log.debug("%s is not shown: %s", ref, err)
            return None

    def _named_commit(self, digits: str) -> ObjectId | None:
        """Returns the commit with an id that begins like this."""
        try:
            with self._source.git_lock:
                found = self._git.resolve(digits)
        except MlbfsError as err:
            log.debug("%s is not shown: %s", digits, err)
            return None
        return found.commit if found.ref is None else None  # A branch may be named like an id.


def _position(name: bytes) -> int:
    """Returns an offset for a name: positive, below 2**56, and as good as unique."""
    return 1 + int.from_bytes(hashlib.blake2b(name, digest_size=7).digest(), "little")
