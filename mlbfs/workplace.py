"""The working copy that `status`, `diff` and `commit` are about: mounted, or only stored.

Owns: the way to a workspace: through the control socket of its mount, or, when it is not mounted,
by opening it.
Layer: api.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mlbfs.errors import storage_error
from mlbfs.livemounts import ask, mount_at_path, mounts_of
from mlbfs.mount.messages import decode_path, decode_status, encode_signature
from mlbfs.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlbfs.mount.registry import MountRecord
    from mlbfs.repository import Author
    from mlbfs.workspace.contentdiff import Readable
    from mlbfs.workspace.status import Status
    from mlbfs.workspace.workspace import Workspace


_NUMBERS = ("added", "modified", "deleted", "new_bytes")
_PATHS = ("skipped_empty", "skipped_special", "skipped_refused", "hardlinks_split")


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


class Workplace(Protocol):
    """A working copy."""

    repository: Repository

    def standing(self) -> Standing:
        """Returns where it stands and what changed."""

    def open(self, path: bytes) -> Readable:
        """Opens a file as it is now."""

    def commit(self, message: str, author: Author) -> Committed:
        """Records the changes."""


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
            record = mount_at_path(place)
            repository = stack.enter_context(Repository.open(Path(record.git_dir)))
            yield MountedWorkplace(repository, record)
            return
        repository = stack.enter_context(Repository.open(place))
        for mount in mounts_of(repository.git.common_dir, branch):
            yield MountedWorkplace(repository, mount.record)
            return
        workspace = stack.enter_context(repository.workspace(branch))
        yield StoredWorkplace(repository, workspace)


def record_changes(
    place: Workplace, message: str, *, author: Author, tag: str | None = None
) -> Committed:
    """Commits the changes of a working copy, and tags the commit.

    Raises:
        UserError: There is nothing to commit.
        AlreadyExistsError: There is such a tag; nothing was committed.
        ConflictError: The branch has moved; nothing was committed.
    """
    if tag is not None:
        place.repository.check_tag_free(tag)
    done = place.commit(message, author)
    if tag is not None:
        place.repository.create_tag(tag, done.commit, message=message, author=author)
    return done


class MountedWorkplace:
    """A working copy behind the control socket of its mount."""

    def __init__(self, repository: Repository, record: MountRecord) -> None:
        self.repository = repository
        self._record = record

    def standing(self) -> Standing:
        """Returns where it stands and what changed."""
        head, pieces = ask(self._record, "status")
        info, _ = ask(self._record, "info")
        return Standing(
            head["branch"],
            head["base"],
            bool(info["behind"]),
            decode_status(head, pieces),
            Path(self._record.directory),
        )

    def open(self, path: bytes) -> Readable:
        """Opens a file as it is now, through the mount."""
        return HostReader(Path(self._record.directory) / os.fsdecode(path))

    def commit(self, message: str, author: Author) -> Committed:
        """Lets the daemon record the changes."""
        result, _ = ask(
            self._record,
            "commit",
            message=message,
            author=encode_signature(author.author),
            committer=encode_signature(author.committer),
        )
        paths = {name: [decode_path(text) for text in result[name]] for name in _PATHS}
        return _committed(str(result["commit"]), result | paths)


class StoredWorkplace:
    """A working copy that is not mounted."""

    def __init__(self, repository: Repository, workspace: Workspace) -> None:
        self.repository = repository
        self._workspace = workspace

    def standing(self) -> Standing:
        """Returns where it stands and what changed."""
        space = self._workspace
        return Standing(space.branch, space.base.id.hex(), space.behind, space.status(), None)

    def open(self, path: bytes) -> Readable:
        """Opens a file as it is now."""
        return WorkspaceReader(self._workspace, path)

    def commit(self, message: str, author: Author) -> Committed:
        """Records the changes."""
        done = self._workspace.commit(message, author=author.author, committer=author.committer)
        return _committed(
            done.commit.id.hex(), {name: getattr(done, name) for name in (*_NUMBERS, *_PATHS)}
        )


def _committed(commit: str, values: Mapping[str, Any]) -> Committed:
    return Committed(commit, *(values[name] for name in (*_NUMBERS, *_PATHS)))


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
