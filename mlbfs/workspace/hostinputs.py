"""What a merge driver reads when stock Git calls it: three files of the host, and two commits.

Git hands a driver what stands in its blobs, so a file is a content or the pointer of one.

Owns: versions of such files.
Layer: workspace.

Concurrency: one thread.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from mlbfs.errors import ErrorKind, storage_error
from mlbfs.git.pointers import MAX_POINTER_SIZE, parse_pointer
from mlbfs.git.trees import MODE_DIRECTORY, MODE_FILE, MODE_SUBMODULE
from mlbfs.ids import FILE_ID_SIZE, ObjectId
from mlbfs.limits import MIB
from mlbfs.merge.driver import DriverError
from mlbfs.merge.versions import Side, Version

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.git.pointers import Pointer
    from mlbfs.workspace.filtering import ContentFinder
    from mlbfs.workspace.meeting import Meeting
    from mlbfs.workspace.source import Reader, SnapshotSource

_STEP = 1 * MIB


class HostReader:
    """The bytes of a file of the host; it is opened for each read, as drivers may be many."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.size = path.stat().st_size

    def read(self, offset: int, length: int) -> bytes:
        """Returns bytes; short only at the end of the file.

        Raises:
            StorageError: The device failed.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(offset)
                return file.read(length)
        except OSError as err:
            raise storage_error(err, f"reading {str(self._path)!r}") from err

    def read_nowait(self, offset: int, length: int) -> bytes | None:
        """Returns bytes; a file of the host is read at once or not at all."""
        return self.read(offset, length)


def pointer_at(path: Path) -> Pointer | None:
    """Returns the pointer that a file of the host is, or None.

    Raises:
        StorageError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return parse_pointer(file.read(MAX_POINTER_SIZE))
    except OSError as err:
        raise storage_error(err, f"reading {str(path)!r}") from err


class HostInputs:
    """Where a driver reads from when Git calls it.

    Args:
        source: The repository.
        finder: Opens the content of pointers.

    Attributes:
        meeting: The commits that meet; set once the versions are known.
    """

    meeting: Meeting

    def __init__(self, source: SnapshotSource, finder: ContentFinder) -> None:
        self._source = source
        self._finder = finder
        self._pointers: dict[bytes, Pointer] = {}
        self._files: dict[bytes, Path] = {}

    def version(self, path: Path) -> Version:
        """Returns the version that a file of the host stands for.

        Raises:
            StorageError: It cannot be read.
        """
        pointer = pointer_at(path)
        blob = _blob_id(path)
        if pointer is not None:
            self._pointers[pointer.file_id] = pointer
            return Version(MODE_FILE, blob, pointer.file_id, pointer.size)
        self._files[blob] = path
        return Version(MODE_FILE, blob, blob, path.stat().st_size)

    def open(self, version: Version) -> Reader:
        """Opens the bytes of a version.

        Raises:
            NotFoundError: The content is not here.
            CorruptionError: It has another length than its pointer says.
        """
        pointer = self._pointers.get(version.content)
        if pointer is not None:
            return self._finder.open(pointer)
        file = self._files.get(version.content)
        if file is not None:
            return HostReader(file)
        return self._source.open_content(version.content)

    def find(self, side: Side, path: bytes) -> Version | None:
        """Returns the file that a side has at another path, or None.

        Raises:
            DriverError: Git does not say which commit is merged.
        """
        git = self._source.git
        entry = git.find_entry(git.read_commit(self._commit(side)).tree, path)
        if entry is None or entry.mode in (MODE_DIRECTORY, MODE_SUBMODULE):
            return None
        shown = self._source.describe(entry)
        if len(shown.content) == FILE_ID_SIZE:
            found = parse_pointer(git.read_blob(entry.id))
            assert found is not None, "an entry with a file id is a pointer"
            self._pointers[found.file_id] = found
        return Version(entry.mode, entry.id, shown.content, shown.size)

    def changed_at(self, side: Side, path: bytes) -> int:
        """Returns when a side last changed a path: the time of the commit, 0 if no commit did.

        Raises:
            DriverError: Git does not say which commit is merged.
        """
        for found in self._source.git.log(self._commit(side), path=path, limit=1):
            return found.committer.time
        return 0

    def _commit(self, side: Side) -> ObjectId:
        commit = self.meeting.commit(side)
        if commit is None:
            raise DriverError(
                f"Git does not say which commit is {side}, and this driver has to know",
                kind=ErrorKind.MERGE_DRIVER_FAILED,
                hint="'mlbfs merge' and 'mlbfs cherry-pick' know it",
            )
        return commit


def _blob_id(path: Path) -> ObjectId:
    """Returns the id that Git gives the content of a file, without reading it into memory."""
    try:
        with path.open("rb") as file:
            digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
            while data := file.read(_STEP):
                digest.update(data)
    except OSError as err:
        raise storage_error(err, f"reading {str(path)!r}") from err
    return ObjectId(digest.digest())
