"""Content as files that are named by their SHA-256, as a Git LFS client keeps it.

Owns: finding and checking it, and adding to it. Layer: git. The files of `.git/lfs/objects` belong
to the LFS client: none is changed or removed. A folder of ours may have the same form.

Invariants:
  I1. Bytes are served only after the whole file was found to have the SHA-256 it is named by, and
      to be the same file (inode, size, times) since.
  I2. A file that is added appears whole, and has the SHA-256 it is named by.

Concurrency: `LfsObjects` may be used from many threads; readers too.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import OrderedDict
from contextlib import suppress
from tempfile import NamedTemporaryFile
from threading import Lock
from typing import TYPE_CHECKING, Self

from mlbfs.errors import (
    CorruptionError,
    ErrorKind,
    InvalidInputError,
    negative_span,
    storage_error,
)
from mlbfs.ids import FileId, parse_file_id
from mlbfs.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType

_BLOCK = 1 * MIB
_REMEMBERED = 65536
_ATTEMPTS = 3
_Seen = tuple[int, int, int, int, int]


class LfsReader:
    """One file of the LFS client, open. Thread-safe."""

    def __init__(self, objects: LfsObjects, file_id: FileId, descriptor: int, size: int) -> None:
        self._objects = objects
        self._file_id = file_id
        self._descriptor = descriptor
        self._name = file_id.hex()
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        """Returns bytes; fewer than `length` only at the end.

        The first time, and whenever the file changed, the whole of it is read and checked.

        Raises:
            CorruptionError: The file is not what it is named by.
            StorageError: The device failed.
        """
        try:
            data = self._pread(offset, length)
            # Asked after the bytes were read: what is checked is what they were read from.
            if not self._objects.is_verified(self._file_id, self._state()):
                self.verify()
                data = self._pread(offset, length)
        except OSError as err:
            raise storage_error(err, f"reading Git LFS object {self._name}") from err
        return data

    def read_nowait(self, offset: int, length: int) -> bytes | None:
        """Returns bytes that are in memory, or None if the device would have to be asked."""
        wanted = max(0, min(length, self.size - offset))
        buffer = bytearray(wanted)
        try:
            count = os.preadv(self._descriptor, [buffer], offset, os.RWF_NOWAIT)
            known = self._objects.is_verified(self._file_id, self._state())
        except OSError:  # EAGAIN, or a file system that cannot tell
            return None
        return bytes(buffer) if known and count == wanted else None

    def _pread(self, offset: int, length: int) -> bytes:
        if offset < 0 or length < 0:
            raise negative_span(offset, length)
        wanted = max(0, min(length, self.size - offset))
        parts: list[bytes] = []
        while wanted:
            part = os.pread(self._descriptor, wanted, offset)
            if not part:
                raise _damaged(self._name)
            parts.append(part)
            offset += len(part)
            wanted -= len(part)
        return b"".join(parts)

    def _state(self) -> _Seen:
        return _seen(os.fstat(self._descriptor))

    def verify(self) -> None:
        """Reads and checks the whole content, unless that was done since the file changed.

        Raises:
            CorruptionError: It is not what it is named by.
        """
        with self._objects.verifying:  # not by every thread that reads the same large file
            for _ in range(_ATTEMPTS):
                state = self._state()
                if self._objects.is_verified(self._file_id, state):
                    return
                if self._digest() != self._file_id:
                    raise _damaged(self._name)
                if self._state() == state:  # I1: a name that comes or goes is a change as well
                    self._objects.note_verified(self._file_id, state)
                    return
            raise _damaged(self._name)

    def _digest(self) -> bytes:
        digest = hashlib.sha256()
        for offset in range(0, self.size, _BLOCK):
            digest.update(self._pread(offset, _BLOCK))
        return digest.digest()

    def close(self) -> None:
        """Closes the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


class LfsObjects:
    """The LFS objects of a repository, or another folder of that form.

    Args:
        common_dir: The shared Git directory.
        storage: `lfs.storage` of the Git configuration; relative to `common_dir`.
        flat: Files lie side by side, and not in folders by their first digits: for a few that come
            and go, of which empty folders would be left.
    """

    def __init__(self, common_dir: Path, *, storage: str | None = None, flat: bool = False) -> None:
        self._flat = flat
        self._is_rooted = False
        self._objects = common_dir / (storage or "lfs") / "objects"
        self._temporary = self._objects.with_name("tmp")
        self._verified: OrderedDict[FileId, _Seen] = OrderedDict()
        self._lock = Lock()
        self.verifying = Lock()

    def path(self, file_id: FileId) -> Path:
        """Returns where a content is kept."""
        text = file_id.hex()
        if self._flat:
            return self._objects / text
        return self._objects / text[:2] / text[2:4] / text

    def size(self, file_id: FileId) -> int | None:
        """Returns the length of a content, or None when it is not here. Reads no bytes."""
        try:
            status = self.path(file_id).stat()
        except OSError:
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def open(self, file_id: FileId) -> LfsReader | None:
        """Opens a content, or returns None when it is not here. Reads none of it yet.

        Raises:
            CorruptionError: It is not a file.
            StorageError: The device failed.
        """
        name = file_id.hex()
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            descriptor = os.open(self.path(file_id), flags)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as err:
            raise storage_error(err, f"opening Git LFS object {name}") from err
        reader = LfsReader(self, file_id, descriptor, 0)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _damaged(name)
        reader.size = status.st_size
        return reader

    def put(self, file_id: FileId, pieces: Iterable[bytes], *, durable: bool = False) -> bool:
        """Adds a content.

        Args:
            file_id: Its SHA-256.
            pieces: Its bytes.
            durable: Whether it has to survive a power cut from here on.

        Returns:
            Whether it was added; False when it is there already, unchecked.

        Raises:
            CorruptionError: The bytes are not what they are named by; nothing was added (I2).
            StorageError: The device failed.
        """
        target = self.path(file_id)
        try:
            self._temporary.mkdir(parents=True, exist_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=self._temporary, prefix="mlbfs-") as file:
                digest = hashlib.sha256()
                for piece in pieces:
                    digest.update(piece)
                    file.write(piece)
                if digest.digest() != file_id:
                    raise CorruptionError(
                        f"content {file_id.hex()[:10]} does not have the SHA-256 it is named by",
                        kind=ErrorKind.CORRUPT_OBJECT,
                        hint="run 'mlbfs fsck'",
                    )
                file.flush()
                os.fchmod(file.fileno(), 0o444)
                if durable:
                    os.fsync(file.fileno())
                os.link(file.name, target)
            if durable:
                self._sync_folders(target.parent)
        except FileExistsError:  # somebody else has added it meanwhile
            return False
        except OSError as err:
            raise storage_error(err, f"writing Git LFS object {file_id.hex()}") from err
        return True

    def _sync_folders(self, folder: Path) -> None:
        """Has a new name survive a power cut, and the first time the folders that lead to it."""
        _sync_folder(folder)
        if not self._is_rooted:
            for above in (folder.parent, folder.parent.parent):
                _sync_folder(above)
            self._is_rooted = True

    def ids(self) -> list[FileId]:
        """Returns what is here, in order; of a flat folder.

        Raises:
            StorageError: The device failed.
        """
        assert self._flat, "nobody asks for all that a client of Git LFS has"
        found = []
        try:
            for path in sorted(self._objects.iterdir()):
                with suppress(InvalidInputError):  # no content
                    found.append(parse_file_id(path.name))
        except FileNotFoundError:
            return []
        except OSError as err:
            raise storage_error(err, f"reading {str(self._objects)!r}") from err
        return found

    def remove(self, file_id: FileId) -> None:
        """Removes a content, once it lies elsewhere; of a folder of ours alone.

        Raises:
            StorageError: The device failed.
        """
        try:
            self.path(file_id).unlink(missing_ok=True)
        except OSError as err:
            raise storage_error(err, f"removing {str(self.path(file_id))!r}") from err

    def tidy(self) -> None:
        """Removes what a killed process has half-written; while nobody can be adding."""
        for path in self._temporary.glob("mlbfs-*"):
            path.unlink(missing_ok=True)

    def is_verified(self, file_id: FileId, state: _Seen) -> bool:
        """Returns whether a file in this state was found to hold what it is named by."""
        with self._lock:
            return self._verified.get(file_id) == state

    def note_verified(self, file_id: FileId, state: _Seen) -> None:
        """Remembers that a file in this state holds what it is named by."""
        with self._lock:
            self._verified[file_id] = state
            if len(self._verified) > _REMEMBERED:
                self._verified.popitem(last=False)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _seen(status: os.stat_result) -> _Seen:
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _damaged(name: str) -> CorruptionError:
    return CorruptionError(
        f"Git LFS object {name[:10]} is damaged",
        kind=ErrorKind.CORRUPT_OBJECT,
        hint="run 'git lfs fsck', then 'git lfs fetch'",
    )
