"""The working copy that `status`, `diff` and `commit` are about: mounted, or only stored.

Owns: the way to a workspace: through the control socket of its mount, or, when it is not mounted,
by opening it.
Layer: api.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mlbfs.errors import storage_error
from mlbfs.livemounts import ask, mount_at_path, mounts_of, path_in_mount
from mlbfs.mount.messages import decode_path, decode_status, encode_path, encode_signature
from mlbfs.workspace.scanner import parse_tree_path
from mlbfs.workspace.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from mlbfs.ids import ObjectId
    from mlbfs.mount.registry import MountRecord
    from mlbfs.repository import Author, Repository
    from mlbfs.workspace.contentdiff import Readable
    from mlbfs.workspace.report import Status
    from mlbfs.workspace.savepoints import Savepoint
    from mlbfs.workspace.workspace import Workspace


_NUMBERS = ("added", "modified", "deleted", "new_bytes")
_PATHS = ("skipped_empty", "skipped_special", "skipped_refused", "hardlinks_split")


Watch = Callable[[int, int], None]
"""Is told of the bytes that are done with, and of those that there are."""


def ignore(_done: int, _total: int) -> None:
    """Watches nothing."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a working copy stands, and what changed in it."""

    branch: str
    base: str
    behind: bool
    status: Status
    place: Path | None


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit recorded; see `mlbfs.workspace.commit.CommitResult`."""

    commit: str
    added: int
    modified: int
    deleted: int
    new_bytes: int
    skipped_empty: list[bytes]
    skipped_special: list[bytes]
    skipped_refused: list[bytes]
    hardlinks_split: list[bytes]
    carried_from: str | None


@dataclass(frozen=True, slots=True)
class PutBack:
    """What was put back; see `mlbfs.workspace.restoring.Restored`.

    Attributes:
        savepoint: Number of the savepoint that holds the work that was dropped, if there was some.
    """

    paths: list[bytes]
    kept: list[bytes]
    savepoint: int | None


class Workplace(Protocol):
    """A working copy."""

    @property
    def repository(self) -> Repository:
        """The repository, open."""

    @property
    def point(self) -> Path | None:
        """Where it is mounted."""

    def standing(self, paths: Sequence[bytes] = (b"",)) -> Standing:
        """Returns where it stands and what changed at some paths."""

    def open(self, path: bytes) -> Readable:
        """Opens a file as it is now."""

    def commit(
        self,
        message: str,
        author: Author,
        *,
        paths: Sequence[bytes],
        tag: str | None,
        progress: Watch = ignore,
    ) -> Committed:
        """Records the changes at some paths, and tags the commit."""

    def restore(self, paths: Sequence[bytes], commit: ObjectId | None, *, keep: bool) -> PutBack:
        """Puts paths back as a commit has them, or the base; with `keep`, makes a savepoint."""

    def savepoints(self) -> list[Savepoint]:
        """Returns the savepoints of the working copy, newest first."""


def _open_repository(place: Path) -> Repository:
    # Late: this takes longer than it takes a daemon to answer.
    from mlbfs.repository import Repository

    return Repository.open(place)


def _savepoints(repository: Repository, workspace: str) -> list[Savepoint]:
    from mlbfs.workspace.savepoints import list_savepoints  # late, as above

    return list_savepoints(repository.git, workspace)


@contextmanager
def workplace(place: Path, branch: str | None = None) -> Iterator[Workplace]:
    """Opens the working copy of a mount, or of a branch.

    Args:
        place: A folder of the mount; with `branch`, a place in the repository.
        branch: Short name of the branch, mounted or not.

    Raises:
        NotFoundError: The folder is in no mount, or there is no such branch.
    """
    with ExitStack() as stack:
        if branch is None:
            yield stack.enter_context(closing(MountedWorkplace(mount_at_path(place))))
            return
        repository = stack.enter_context(_open_repository(place))
        for mount in mounts_of(repository.git.common_dir, branch):
            yield stack.enter_context(closing(MountedWorkplace(mount.record)))
            return
        workspace = stack.enter_context(repository.workspace(branch))
        yield StoredWorkplace(repository, workspace)


def tree_paths(place: Workplace, paths: Iterable[Path], *, by_branch: bool) -> list[bytes]:
    """Returns paths as the tree of a working copy has them; without any, that of the root.

    Args:
        place: The working copy.
        paths: Paths of the host or, with `by_branch`, paths from the root of the branch on.
        by_branch: The working copy was named by its branch.

    Raises:
        InvalidInputError: One lies outside of the mount, or is no path of a tree.
    """
    if by_branch or place.point is None:
        found = [parse_tree_path(os.fsencode(path)) for path in paths]
    else:
        found = [path_in_mount(path, place.point) for path in paths]
    return found or [b""]


def record_changes(
    place: Workplace,
    message: str,
    *,
    author: Author,
    tag: str | None = None,
    paths: Sequence[bytes] = (b"",),
    progress: Watch = ignore,
) -> Committed:
    """Commits the changes of a working copy, and tags the commit.

    Args:
        place: The working copy.
        message: What changed, and why.
        author: Who writes and commits.
        tag: Name of a tag to make at the commit.
        paths: What to record, with all below; the rest stays changed.
        progress: Called with the bytes that were stored and those that there are.

    Raises:
        UserError: There is nothing to commit.
        NotFoundError: One of the paths does not exist; nothing was committed.
        AlreadyExistsError: There is such a tag; nothing was committed.
        ConflictError: The branch has moved; nothing was committed.
    """
    return place.commit(message, author, paths=paths, tag=tag, progress=progress)


class MountedWorkplace:
    """A working copy behind the control socket of its mount."""

    def __init__(self, record: MountRecord) -> None:
        self.point = Path(record.directory)
        self._record = record
        self._repository: Repository | None = None

    @property
    def repository(self) -> Repository:
        """The repository, opened when something is asked of it: the daemon knows most."""
        if self._repository is None:
            self._repository = _open_repository(Path(self._record.git_dir))
        return self._repository

    def close(self) -> None:
        """Closes the repository if it was opened."""
        if self._repository is not None:
            self._repository.close()

    def standing(self, paths: Sequence[bytes] = (b"",)) -> Standing:
        """Returns where it stands and what changed at some paths."""
        head, pieces = ask(self._record, "status")
        info, _ = ask(self._record, "info")
        return Standing(
            head["branch"],
            head["base"],
            bool(info["behind"]),
            decode_status(head, pieces).within(Selection(paths)),
            Path(self._record.directory),
        )

    def open(self, path: bytes) -> Readable:
        """Opens a file as it is now, through the mount."""
        return HostReader(Path(self._record.directory) / os.fsdecode(path))

    def commit(
        self,
        message: str,
        author: Author,
        *,
        paths: Sequence[bytes],
        tag: str | None,
        progress: Watch = ignore,
    ) -> Committed:
        """Lets the daemon record the changes."""
        result, _ = ask(
            self._record,
            "commit",
            can_give_up=True,
            progress=progress,
            message=message,
            paths=[encode_path(path) for path in paths],
            tag=tag,
            author=encode_signature(author.author),
            committer=encode_signature(author.committer),
        )
        named = {name: [decode_path(text) for text in result[name]] for name in _PATHS}
        return _committed(str(result["commit"]), result | named, result["carried_from"])

    def restore(self, paths: Sequence[bytes], commit: ObjectId | None, *, keep: bool) -> PutBack:
        """Lets the daemon put paths back as a commit has them, or the base."""
        result, _ = ask(
            self._record,
            "restore",
            can_give_up=True,
            paths=[encode_path(path) for path in paths],
            commit=None if commit is None else commit.hex(),
            keep=keep,
        )
        changed, kept = ([decode_path(text) for text in result[name]] for name in ("paths", "kept"))
        return PutBack(changed, kept, result["savepoint"])

    def savepoints(self) -> list[Savepoint]:
        """Returns the savepoints of the working copy, newest first."""
        info, _ = ask(self._record, "info")
        if info["workspace"] is None:
            return []
        return _savepoints(self.repository, info["workspace"])


class StoredWorkplace:
    """A working copy that is not mounted."""

    def __init__(self, repository: Repository, workspace: Workspace) -> None:
        self.repository = repository
        self.point = None
        self._workspace = workspace

    def standing(self, paths: Sequence[bytes] = (b"",)) -> Standing:
        """Returns where it stands and what changed at some paths."""
        space = self._workspace
        status = space.status().within(Selection(paths))
        return Standing(space.branch, space.base.id.hex(), space.behind, status, None)

    def open(self, path: bytes) -> Readable:
        """Opens a file as it is now."""
        return WorkspaceReader(self._workspace, path)

    def commit(
        self,
        message: str,
        author: Author,
        *,
        paths: Sequence[bytes],
        tag: str | None,
        progress: Watch = ignore,
    ) -> Committed:
        """Records the changes."""
        done = self._workspace.commit(
            message,
            author=author.author,
            committer=author.committer,
            paths=paths,
            tag=tag,
            progress=progress,
        )
        values = {name: getattr(done, name) for name in (*_NUMBERS, *_PATHS)}
        carried_from = None if done.carried_from is None else done.carried_from.id.hex()
        return _committed(done.commit.id.hex(), values, carried_from)

    def restore(self, paths: Sequence[bytes], commit: ObjectId | None, *, keep: bool) -> PutBack:
        """Puts paths back as a commit has them, or the base."""
        source = None if commit is None else self.repository.git.read_commit(commit)
        done = self._workspace.restore(paths, source=source, keep=keep)
        return PutBack(
            done.paths, done.kept, None if done.savepoint is None else done.savepoint.number
        )

    def savepoints(self) -> list[Savepoint]:
        """Returns the savepoints of the working copy, newest first."""
        return _savepoints(self.repository, self._workspace.root.name)


def _committed(commit: str, values: Mapping[str, Any], carried_from: str | None) -> Committed:
    named = {name: values[name] for name in (*_NUMBERS, *_PATHS)}
    return Committed(commit, **named, carried_from=carried_from)


class HostReader:
    """A file or symbolic link of the host."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def size(self) -> int:
        """Length of the file."""
        return self._path.lstat().st_size

    def read(self, offset: int, length: int, /) -> bytes:
        """Returns bytes; short only at the end of the file."""
        if self._path.is_symlink():
            return os.fsencode(self._path.readlink())[offset : offset + length]
        try:
            with self._path.open("rb") as file:
                file.seek(offset)
                return file.read(length)
        except OSError as err:
            raise storage_error(err, f"cannot read {str(self._path)!r}") from err


class WorkspaceReader:
    """A file or symbolic link of a workspace that is not mounted."""

    def __init__(self, workspace: Workspace, path: bytes) -> None:
        self._workspace = workspace
        self._inode = workspace.root_inode
        for name in path.split(b"/"):
            self._inode = workspace.lookup(self._inode, name).ino
        self._attributes = workspace.getattr(self._inode)

    @property
    def size(self) -> int:
        """Length of the file."""
        return self._attributes.size

    def read(self, offset: int, length: int, /) -> bytes:
        """Returns bytes; short only at the end of the file."""
        return self._workspace.read(self._inode, offset, length)
