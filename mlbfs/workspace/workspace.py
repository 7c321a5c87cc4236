"""One writable working copy of a branch: snapshot and overlay, addressed by inode.

Owns: opening and closing (lock, recovery, base commit), and the whole interface of a workspace.
Layer: workspace. No FUSE and no errno: operations raise `VfsError`.

On disk, in the workspace's folder:

    lock               held as long as the workspace is open; holds the process id
    overlay.sqlite     rows (overlay.py), with its log
    data/              bytes of materialized files (datafiles.py)

Concurrency: safe from several threads. `commit` may run beside everything else, once at a time.
"""

from __future__ import annotations

import os
import stat
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from mlbfs.errors import ConflictError, ErrorKind, NotFoundError, storage_error
from mlbfs.git.names import BRANCH_PREFIX
from mlbfs.ids import short_hex
from mlbfs.workspace.attributes import (
    Attributes,
    Caller,
    RenameFlags,
    SetAttr,
    without_lent_rights,
)
from mlbfs.workspace.carry import Moved, Mover, in_the_way
from mlbfs.workspace.checkout import Stale
from mlbfs.workspace.commit import (
    CommitRequest,
    CommitResult,
    Committer,
)
from mlbfs.workspace.content import Content
from mlbfs.workspace.inodes import ROOT_INODE
from mlbfs.workspace.kept import (
    BRANCH,
    choose_workspace,
    claims,
    list_workspaces,
    mark_folder,
    note_branch,
    take_lock,
)
from mlbfs.workspace.namespace import Namespace
from mlbfs.workspace.opening import make_durable, open_core
from mlbfs.workspace.pins import pin
from mlbfs.workspace.restoring import Restored, Restorer
from mlbfs.workspace.savepoints import Savepoint, Savepointer, is_due
from mlbfs.workspace.selection import Selection
from mlbfs.workspace.snapshot import Snapshot
from mlbfs.workspace.status import StatusReader
from mlbfs.workspace.tagging import PENDING_TAG, make_tag, noted_tag
from mlbfs.workspace.vfs_errors import NoSpace, VfsError, storage_errors
from mlbfs.workspace.xattrs import ExtendedAttributes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from mlbfs.git.commits import Commit, Signature
    from mlbfs.workspace.core import Core
    from mlbfs.workspace.listing import Listed
    from mlbfs.workspace.recovery import Recovery
    from mlbfs.workspace.report import Status
    from mlbfs.workspace.source import SnapshotSource


_LENT = stat.S_ISUID | stat.S_ISGID
_NOBODY = 65534

COMMIT_ATTEMPTS = 4
"""Commits that are tried while others move the branch to and fro."""


def _lock_folder(root: Path, branch: str) -> int:
    """Makes the folder of a workspace if there is none, and returns its lock."""
    try:
        is_new = not root.exists()
        make_durable(root)
        if is_new and root.name != quote(branch, safe=""):
            mark_folder(root, branch)
        return take_lock(root, branch)
    except OSError as err:
        raise storage_error(err, f"cannot open the workspace in {str(root)!r}") from err


class Workspace:
    """An open workspace.

    Attributes:
        branch: Short name of the branch.
        base: The commit that the workspace stands on.
        behind: The branch has moved away from `base`, and changes here keep the workspace from
            following.
        recovery: What was done when it was opened.
        stood: The commits that it has stood on since it was opened, which what is still known of it
            is read from.
        on_stale: Called, without any lock, with what is not true any more after a move.
    """

    root_inode = ROOT_INODE

    def __init__(
        self, root: Path, core: Core, lock: int, *, branch: str, base: Commit, recovery: Recovery
    ) -> None:
        self.root = root
        self.branch = branch
        self.base = base
        self.behind = False
        self.recovery = recovery
        self._core = core
        self._lock = lock
        self._names = Namespace(core)
        self._content = Content(core)
        self._xattrs = ExtendedAttributes(core)
        self._status = StatusReader(core, self._content)
        self._mover = Mover(core, self._status)
        self._committing = threading.Lock()
        self.stood = {base.id}
        self.on_stale: Callable[[Stale], None] = lambda _: None

    # Opening and closing

    @classmethod
    def open(
        cls,
        root: Path,
        source: SnapshotSource,
        *,
        branch: str,
        head: Commit,
        uid: int | None = None,
        gid: int | None = None,
    ) -> Workspace:
        """Opens the workspace in a folder; makes it when there is none.

        It stands on `head`, unless there are changes at paths that differ between `head` and the
        commit that they were made on: then it stays on that commit, and `behind` tells so.

        Args:
            root: `.git/mlbfs/workspaces/<name>`.
            source: The repository's content.
            branch: Short name of the branch.
            head: The commit that the branch points to.
            uid: Owner that snapshot files show; by default the user of this process.
            gid: Group that snapshot files show.

        Raises:
            ConflictError: Another process has it open (LOCKED).
            StorageError: The device refused.
        """
        lock = _lock_folder(root, branch)
        try:
            return cls._open_locked(root, source, lock, branch, head, (uid, gid))
        except BaseException:
            os.close(lock)
            raise

    @classmethod
    def open_for(
        cls,
        source: SnapshotSource,
        branch: str,
        head: Commit,
        *,
        name: str | None = None,
        new: bool = False,
    ) -> Workspace:
        """Opens the workspace of a branch; makes it when there is none.

        Args:
            source: The repository's content.
            branch: Short name of the branch.
            head: The commit that the branch points to.
            name: A certain one of the workspaces of the branch.
            new: One beside those that are open or hold work.

        Raises:
            NotFoundError: The branch has no workspace of that name.
            ConflictError: Another process has it open (LOCKED).
            StorageError: The device refused.
        """
        with claims(source.store.root):
            root = choose_workspace(source.store.root, branch, name=name, new=new)
            lock = _lock_folder(root, branch)
        try:
            return cls._open_locked(root, source, lock, branch, head, (None, None))
        except BaseException:
            os.close(lock)
            raise

    @classmethod
    def _open_locked(
        cls,
        root: Path,
        source: SnapshotSource,
        lock: int,
        branch: str,
        head: Commit,
        owner: tuple[int | None, int | None],
    ) -> Workspace:
        opened = open_core(root, source, head, owner)
        core, base, recovery = opened.core, opened.base, opened.recovery
        pin(source.git.refs, root, base)
        workspace = cls(root, core, lock, branch=branch, base=base, recovery=recovery)
        workspace.behind = base.id != head.id
        return workspace

    def close(self) -> None:
        """Closes the workspace; everything is kept."""
        with self._core.lock:
            if self._lock < 0:
                return
            try:
                # Without room for the note, the next opening looks for damage and finds none.
                with suppress(NoSpace):
                    self._core.freeing(self._note_closed)
                    self._core.give_back()
            finally:
                self._core.overlay.close()
                self._core.data.close()
                os.close(self._lock)
                self._lock = -1

    def _note_closed(self) -> None:
        with self._core.overlay.transaction():
            self._core.overlay.set("open", 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Inodes

    def is_ready(self, ino: int) -> bool:
        """Returns whether an inode can be asked about without waiting, for disk or lock.

        It may be wrong for a moment; that costs time, not correctness.
        """
        core = self._core
        if not core.lock.acquire(blocking=False):
            return False
        try:
            return self._is_loaded(ino)
        except VfsError:
            return True
        finally:
            core.lock.release()

    def _is_loaded(self, ino: int) -> bool:
        core = self._core
        place = core.place_of(ino)
        if place is not None:
            if not core.source.is_loaded(place.tree):
                return False
            is_folder = core.snapshot_entry(place).is_directory
        else:
            node = core.node(ino)
            is_folder = node is not None and stat.S_ISDIR(node.mode)
        tree = core.folder(ino).tree if is_folder else None
        return tree is None or core.source.is_loaded(tree)

    @contextmanager
    def at_once(self, parent: int) -> Iterator[bool]:
        """Keeps others away from the workspace if a new name in a folder need not wait.

        Yields whether it does: the lock was free, the folder is in memory, and the rows of the
        change find room in the transaction that operations share. Waits for nothing itself.
        """
        core = self._core
        if not core.lock.acquire(blocking=False):
            yield False
            return
        try:
            yield core.overlay.has_room and self.is_ready(parent)
        finally:
            core.lock.release()

    def lookup(self, parent: int, name: bytes) -> Attributes:
        """Returns the attributes of a name and counts a lookup of the inode."""
        return self._names.lookup(parent, name)

    def remember(self, ino: int) -> None:
        """Counts a lookup of an inode that a listing gave to the kernel."""
        with self._core.lock:
            self._core.count_lookup(ino)

    def forget(self, ino: int, count: int) -> None:
        """Takes lookups back; a file without a name goes with the last of them."""
        self._core.forget(ino, count)

    def getattr(self, ino: int) -> Attributes:
        """Returns the attributes of an inode."""
        with self._core.reading():
            return self._core.attributes(ino)

    def setattr(self, ino: int, change: SetAttr) -> Attributes:
        """Changes attributes, the length among them, and returns them all."""
        return self._content.setattr(ino, change)

    def lends_rights(self, ino: int) -> bool:
        """Returns whether a file runs with rights of its owner or group."""
        return self.getattr(ino).mode & _LENT != 0

    def take_back_rights(self, ino: int) -> None:
        """Takes the rights of owner and group from a file that somebody writes to."""
        mode = self.getattr(ino).mode
        nobody = Caller(_NOBODY, _NOBODY, tuple)
        self.setattr(ino, SetAttr(mode=without_lent_rights(mode, _NOBODY, nobody)))

    def parent(self, ino: int) -> int:
        """Returns the directory that a directory lies in; the root is its own."""
        with self._core.reading():
            return self._core.parent(ino)

    def path_of(self, ino: int) -> bytes | None:
        """Returns a path of an inode, None when it has none any more; for words to people."""
        return self._names.path_of(ino)

    # Names

    def readdir(self, ino: int, offset: int = 0) -> Iterator[Listed]:
        """Yields name, attributes and next offset of a directory's entries; counts nothing.

        Offsets hold while the directory changes: what is there all the time comes once.
        """
        return self._names.readdir(ino, offset)

    def readlink(self, ino: int) -> bytes:
        """Returns the target of a symbolic link."""
        return self._names.readlink(ino)

    def create(self, parent: int, name: bytes, mode: int, *, uid: int, gid: int) -> Attributes:
        """Makes an empty regular file and counts a lookup of it."""
        mode = stat.S_IFREG | stat.S_IMODE(mode)
        return self._names.make(parent, name, mode, uid=uid, gid=gid)

    def mkdir(self, parent: int, name: bytes, mode: int, *, uid: int, gid: int) -> Attributes:
        """Makes a directory and counts a lookup of it."""
        mode = stat.S_IFDIR | stat.S_IMODE(mode)
        return self._names.make(parent, name, mode, uid=uid, gid=gid)

    def mknod(
        self, parent: int, name: bytes, mode: int, rdev: int, *, uid: int, gid: int
    ) -> Attributes:
        """Makes a file, FIFO, socket or device, as the type bits of `mode` say."""
        if not stat.S_IFMT(mode):
            mode |= stat.S_IFREG
        return self._names.make(parent, name, mode, uid=uid, gid=gid, rdev=rdev)

    def symlink(self, parent: int, name: bytes, target: bytes, *, uid: int, gid: int) -> Attributes:
        """Makes a symbolic link and counts a lookup of it."""
        mode = stat.S_IFLNK | 0o777
        return self._names.make(parent, name, mode, uid=uid, gid=gid, target=target)

    def link(self, ino: int, parent: int, name: bytes) -> Attributes:
        """Gives a file another name and counts a lookup of it."""
        return self._names.link(ino, parent, name)

    def unlink(self, parent: int, name: bytes) -> None:
        """Removes the name of anything but a directory."""
        self._names.unlink(parent, name)

    def rmdir(self, parent: int, name: bytes) -> None:
        """Removes an empty directory."""
        self._names.rmdir(parent, name)

    def rename(
        self,
        parent: int,
        name: bytes,
        new_parent: int,
        new_name: bytes,
        flags: int = 0,
    ) -> None:
        """Moves a name, over what is at the new one, or exchanges two names."""
        self._names.rename(parent, name, new_parent, new_name, RenameFlags(flags))

    # Bytes

    def read(self, ino: int, offset: int, length: int) -> bytes:
        """Returns bytes of a file; short only at its end."""
        return self._content.read(ino, offset, length)

    def read_nowait(self, ino: int, offset: int, length: int) -> bytes | None:
        """Returns bytes of a file, or None if that would wait for the disk."""
        return self._content.read_nowait(ino, offset, length)

    def write(self, ino: int, offset: int, data: bytes) -> int:
        """Writes bytes at an offset; returns how many were written, which is all of them."""
        return self._content.write(ino, offset, data)

    def write_nowait(self, ino: int, offset: int, data: bytes) -> int | None:
        """Writes bytes, or returns None if that takes more than one system call."""
        return self._content.write_nowait(ino, offset, data)

    def fsync(self, ino: int) -> None:
        """Makes an inode durable: its bytes, its attributes and the names of everything."""
        self._content.fsync(ino)

    def sync(self) -> None:
        """Makes all rows durable."""
        self._content.sync_metadata()

    # Extended attributes

    def getxattr(self, ino: int, name: bytes) -> bytes:
        """Returns an extended attribute."""
        return self._xattrs.get(ino, name)

    def listxattr(self, ino: int) -> list[bytes]:
        """Returns the names of extended attributes."""
        return self._xattrs.names(ino)

    def setxattr(self, ino: int, name: bytes, value: bytes) -> None:
        """Sets an extended attribute; names begin with `user.`."""
        self._xattrs.set(ino, name, value)

    def removexattr(self, ino: int, name: bytes) -> None:
        """Removes an extended attribute."""
        self._xattrs.remove(ino, name)

    # Changes

    def status(self) -> Status:
        """Returns what changed since `base`; the cost is what changed."""
        with storage_errors("reading the workspace"):
            while True:
                base = self.base
                found = self._status.read(Snapshot(self._core.source, base))
                if base is self.base:  # else it moved on meanwhile, and the two do not go together
                    return found

    def commit(
        self,
        message: str,
        *,
        author: Signature,
        committer: Signature | None = None,
        paths: Iterable[bytes] = (b"",),
        tag: str | None = None,
        check: Callable[[], None] = lambda: None,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> CommitResult:
        """Records the changes as a commit of the branch and stands on it.

        Reads and writes go on meanwhile; what is written after the begin is left for the next
        commit.

        Args:
            message: What changed, and why.
            author: Who wrote it.
            committer: Who records it; the author unless given.
            paths: Only what changed there is recorded, a folder with all below it; the rest stays
                changed.
            tag: Name of an annotated tag to make at the commit.
            check: Raises if the commit has been given up; asked until the commit point.
            progress: Called with the bytes that were stored and those that there are.

        Raises:
            InvalidInputError: The message is empty, or the tag is no name for one.
            NotFoundError: One of the paths is neither in the workspace nor in `base`.
            AlreadyExistsError: There is such a tag; nothing changed.
            ConflictError: The branch has moved, and has other things where something changed here
                (CHANGES_IN_THE_WAY), or keeps moving (REF_MOVED); nothing changed.
            NothingToCommitError: There is nothing that Git could keep.
            StorageError: The device refused; nothing changed.
        """
        by = author if committer is None else committer
        request = CommitRequest(message, author, by, Selection(paths), tag, check, progress)
        git = self._core.source.git
        with self._committing, storage_errors("committing"):
            if tag is not None:
                git.check_tag_free(tag)
            result = self._record(request)
            if tag is not None:
                self._tag()
            pin(self._core.source.git.refs, self.root, self.base)
        return result

    def _tag(self) -> None:
        """Makes the tag that the last commit is to get."""
        core = self._core
        with core.reading():
            noted = noted_tag(core.overlay)
        assert noted is not None, "the commit has noted it"
        make_tag(core.source.git, noted)
        with core.changing():
            core.overlay.delete(PENDING_TAG)

    def _record(self, request: CommitRequest) -> CommitResult:
        """Commits on top of what the branch has, which may have moved since."""
        stood = self.base
        recorder = Committer(self._core, self._ref, self._read_for_attributes)
        for attempt in range(COMMIT_ATTEMPTS):
            self._catch_up()
            self._check_paths(request.selection, self.base)
            below = self.base
            try:
                result = recorder.run(below, request)
            except ConflictError as err:
                if err.kind is ErrorKind.REF_MOVED and attempt + 1 < COMMIT_ATTEMPTS:
                    continue
                raise
            self.base = result.commit
            return result if below is stood else replace(result, carried_from=stood)
        raise AssertionError("the last attempt returns or raises")

    def _catch_up(self) -> None:
        """Puts the changes on top of what the branch has come to.

        Raises:
            ConflictError: Something changed on both sides (CHANGES_IN_THE_WAY).
        """
        head = self._head()
        if head is None or head.id == self.base.id:
            return
        moved = self._move(head, self.branch, only_clean=False)
        if moved.stale is None:
            self.behind = True
            raise in_the_way(f"branch {self.branch!r} has moved on, and has", moved.in_the_way)

    def _head(self) -> Commit | None:
        """Returns the commit that the branch points to; None when it is gone."""
        git = self._core.source.git
        found = git.refs.read(self._ref)
        return None if found is None else git.read_commit(found)

    def savepoint(self, *, gives_way: bool = False) -> Savepoint | None:
        """Records the changes as a savepoint; None if there are none.

        Args:
            gives_way: Come to nothing rather than let a program wait.

        Raises:
            GaveWayError: It came to nothing.
            StorageError: The device refused; nothing changed.
        """
        with self._committing, storage_errors("making a savepoint"):
            maker = Savepointer(self._core, self.root, self._read_for_attributes)
            return maker.run(self.base, gives_way=gives_way)

    @property
    def needs_savepoint(self) -> bool:
        """Whether something changed that neither a commit nor a savepoint has."""
        with storage_errors("reading the workspace"):
            return is_due(self._core)

    @property
    def activity(self) -> tuple[int, int]:
        """Something that is another value after every change."""
        with self._core.lock:
            return self._core.overlay.changes, self._core.writes

    def restore(
        self,
        paths: Iterable[bytes] = (b"",),
        *,
        source: Commit | None = None,
        keep: bool = True,
    ) -> Restored:
        """Puts paths back as a commit has them, and drops what changed there since.

        Args:
            paths: What to put back, a folder with all below it.
            source: The commit; `base` unless given.
            keep: Make a savepoint before, and after unless `source` is the base: it keeps the
                content that files stand on then.

        Raises:
            NotFoundError: One of the paths is neither in the workspace nor in the commit.
            StorageError: The device refused.
        """
        wanted = self.base if source is None else source
        selection = Selection(paths)
        self._check_paths(selection, wanted)
        before = self.savepoint() if keep else None
        with self._committing, storage_errors("restoring"):
            done = Restorer(self._core, self.base, wanted).run(selection)
        stale = Stale(done.names, sorted(done.inodes))
        if stale:
            self.on_stale(stale)
        if keep and wanted.id != self.base.id:
            self.savepoint()
        done.savepoint = before
        return done

    def _check_paths(self, selection: Selection, commit: Commit) -> None:
        """Checks that what was named is in the workspace or in a commit."""
        base = Snapshot(self._core.source, commit)
        for path in selection:
            if self._names.resolve(path) is None and base.get(path) is None:
                raise NotFoundError(
                    f"{path.decode(errors='backslashreplace')!r} is neither in the workspace nor"
                    f" in {short_hex(commit.id)}",
                    kind=ErrorKind.PATH_NOT_FOUND,
                    hint="'mlbfs status' lists what changed",
                )

    def is_replaced(self, ino: int) -> bool:
        """Returns whether an inode was at a path that means another one since a move.

        Needs no lock.
        """
        core = self._core
        if ino in core.materialized or ino in core.unlinked:
            return ino in core.replaced
        return ino in core.replaced or core.table.is_gone(ino)

    def move(self, commit: Commit, *, branch: str | None = None, only_clean: bool = False) -> Moved:
        """Puts the workspace on another commit, with its changes, unless one is in the way.

        What is open stays as it was opened. The cost is what differs between the two commits in
        folders that were looked into, and what changed here.

        Args:
            commit: The commit to stand on.
            branch: The branch that the workspace belongs to from then on.
            only_clean: Stay if there is anything to commit.

        Raises:
            StorageError: The device refused; nothing changed.
        """
        with self._committing:
            return self._move(commit, branch or self.branch, only_clean=only_clean)

    def switch(self, branch: str) -> Moved:
        """Goes to another branch, with the changes; the workspace belongs to it from then on.

        Args:
            branch: Short name of a branch that there is.

        Raises:
            NotFoundError: There is no such branch.
            ConflictError: Another workspace of the branch is open, or holds work; or a Git work
                tree has the branch checked out.
            StorageError: The device refused; nothing changed.
        """
        git = self._core.source.git
        git.check_not_checked_out(branch)
        with (
            storage_errors("switching"),
            self._committing,
            claims(self._core.source.store.root),
        ):
            found = git.refs.read(BRANCH_PREFIX + branch)
            if found is None:
                raise NotFoundError(f"there is no branch {branch!r}", kind=ErrorKind.REF_NOT_FOUND)
            self._check_free(branch)
            mark_folder(self.root, self.branch)
            return self._switch(git.read_commit(found), branch)

    def _switch(self, commit: Commit, branch: str) -> Moved:
        """Moves to another branch; whoever looks in meanwhile finds the new one taken."""
        note_branch(self._lock, branch)
        moved = None
        try:
            moved = self._move(commit, branch, only_clean=False)
        finally:
            if moved is None or moved.stale is None:
                with suppress(OSError):  # the error on its way says more
                    note_branch(self._lock, self.branch)
        return moved

    def _check_free(self, branch: str) -> None:
        """Checks that nobody works on a branch in another workspace."""
        for other in list_workspaces(self._core.source.store.root):
            if other.branch != branch or other.root == self.root:
                continue
            if other.holder:
                raise ConflictError(
                    f"branch {branch!r} is in use by process {other.holder}",
                    kind=ErrorKind.ALREADY_MOUNTED,
                    hint="work where it is mounted ('mlbfs mounts' lists), or unmount it first",
                )
            if other.is_dirty:
                raise ConflictError(
                    f"workspace {other.name!r} of branch {branch!r} holds work that was not"
                    " committed",
                    kind=ErrorKind.ALREADY_MOUNTED,
                    hint=f"commit it ('mlbfs commit --branch {branch} -m MESSAGE'), mount it, or "
                    f"drop it ('mlbfs workspaces --delete {other.name}')",
                )

    def follow(self) -> Moved | None:
        """Goes along with the branch, unless there is something to commit.

        Returns:
            What came of it; None if the workspace stands where the branch is, or the branch is
            gone.

        Raises:
            StorageError: The device refused; nothing changed.
        """
        with self._committing:
            head = self._head()
            if head is None or head.id == self.base.id:
                self.behind = False
                return None
            moved = self._move(head, self.branch, only_clean=True)
            self.behind = moved.stale is None
            return moved

    def _move(self, commit: Commit, branch: str, *, only_clean: bool) -> Moved:
        def moved_on() -> None:
            self.base, self.branch, self.behind = commit, branch, False
            self.stood.add(commit.id)

        with storage_errors("moving the workspace"):
            moved = self._mover.move(
                self.base,
                commit,
                only_clean=only_clean,
                settings={BRANCH: branch},
                on_moved=moved_on,
            )
            if moved.stale is None:
                return moved
            with self._core.reading():
                self._core.overlay.sync()
        pin(self._core.source.git.refs, self.root, commit)
        if moved.stale:
            self.on_stale(moved.stale)
        return moved

    @property
    def name(self) -> str:
        """The name of the workspace, which is that of its folder."""
        return self.root.name

    @property
    def _ref(self) -> str:
        return f"refs/heads/{self.branch}"

    def _read_for_attributes(self, path: bytes) -> bytes | None:
        """Returns the content of a file by path, as it is now; None when there is none."""
        ino = self._names.resolve(path)
        if ino is None:
            return None
        attributes = self.getattr(ino)
        return self.read(ino, 0, attributes.size) if stat.S_ISREG(attributes.mode) else None

    def statfs(self) -> os.statvfs_result:
        """Returns what the file system below says of its room."""
        return os.statvfs(self.root)
