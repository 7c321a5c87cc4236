"""The errors of mlbfs, grouped by what a caller would do about them.

    MlbfsError
    ├── UserError                the request is wrong
    │   ├── InvalidInputError    a bad argument, path or ref name
    │   └── UnsupportedError     valid, but not by this version, platform or permission
    ├── NotFoundError            a repository, ref, path, file or chunk does not exist
    ├── AlreadyExistsError       what should be made is there already
    ├── ConflictError            someone else won (a ref moved, a lock is held): retry
    ├── ReadOnlyError            the target cannot be changed
    ├── StorageError             the device failed; may be retried
    │   └── StoreFullError       the device is full
    ├── InterruptedByUserError   whoever asked for it has given it up
    ├── CorruptionError          bytes do not match their id or format
    │   └── FormatError          bytes cannot be parsed
    ├── FormatVersionError       written by a newer (or much older) mlbfs
    └── InternalError            a broken promise of our own

Owns: the tree above and the list of kinds. A more specific class lives beside the code that
raises it. Kinds are append-only: programs may match on them.
Layer: leaf. Imports the standard library only.
"""

from __future__ import annotations

import errno
from enum import StrEnum


class ErrorKind(StrEnum):
    """Stable code of an error; never renamed, never removed."""

    INVALID_ARGUMENT = "invalid-argument"
    INVALID_PATH = "invalid-path"
    INVALID_REF_NAME = "invalid-ref-name"
    UNSUPPORTED = "unsupported"
    PERMISSION_DENIED = "permission-denied"
    REPOSITORY_NOT_FOUND = "repository-not-found"
    NOT_MLBFS = "not-mlbfs"
    REF_NOT_FOUND = "ref-not-found"
    PATH_NOT_FOUND = "path-not-found"
    FILE_NOT_FOUND = "file-not-found"
    CHUNK_NOT_FOUND = "chunk-not-found"
    OBJECT_NOT_FOUND = "object-not-found"
    MOUNT_NOT_FOUND = "mount-not-found"
    WORKSPACE_NOT_FOUND = "workspace-not-found"
    ALREADY_EXISTS = "already-exists"
    ALREADY_MOUNTED = "already-mounted"
    BRANCH_CHECKED_OUT = "branch-checked-out"
    NOT_EMPTY = "not-empty"
    REF_MOVED = "ref-moved"
    LOCKED = "locked"
    NOTHING_TO_COMMIT = "nothing-to-commit"
    READ_ONLY = "read-only"
    IO_ERROR = "io-error"
    SOURCE_UNREADABLE = "source-unreadable"
    SOURCE_CHANGED = "source-changed"
    DISK_FULL = "disk-full"
    CORRUPT_CHUNK = "corrupt-chunk"
    CORRUPT_PACK = "corrupt-pack"
    CORRUPT_RECIPE = "corrupt-recipe"
    CORRUPT_INDEX = "corrupt-index"
    CORRUPT_OBJECT = "corrupt-object"
    HOSTILE_TREE = "hostile-tree"
    FORMAT_TOO_NEW = "format-too-new"
    FORMAT_UNKNOWN = "format-unknown"
    FORMAT_INVALID = "format-invalid"
    MOUNT_FAILED = "mount-failed"
    MOUNT_STALE = "mount-stale"
    MOUNT_BUSY = "mount-busy"
    FUSE_UNAVAILABLE = "fuse-unavailable"
    CONTROL_FAILED = "control-failed"
    INTERNAL = "internal"
    INTERRUPTED = "interrupted"
    CHANGES_IN_THE_WAY = "changes-in-the-way"
    MERGE_DRIVER_NOT_FOUND = "merge-driver-not-found"
    MERGE_DRIVER_FAILED = "merge-driver-failed"
    MERGE_CONFLICTS = "merge-conflicts"
    MERGE_IN_PROGRESS = "merge-in-progress"
    NO_MERGE_IN_PROGRESS = "no-merge-in-progress"


class MlbfsError(Exception):
    """Base of all errors; never raised itself.

    Attributes:
        message: One plain line, without a period after an id.
        kind: Stable code for programs.
        hint: What to type or do next, or None.
    """

    default_kind = ErrorKind.INTERNAL

    def __init__(
        self, message: str, *, kind: ErrorKind | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind = self.default_kind if kind is None else kind
        self.hint = hint


class UserError(MlbfsError):
    """The request is wrong; doing it again will not help."""

    default_kind = ErrorKind.INVALID_ARGUMENT


class InvalidInputError(UserError):
    """An argument, path or ref name is not acceptable."""


class UnsupportedError(UserError):
    """The request is valid, but this version, platform or permission cannot do it."""

    default_kind = ErrorKind.UNSUPPORTED


class NotFoundError(MlbfsError):
    """What was named does not exist; `kind` tells which sort of thing."""

    default_kind = ErrorKind.PATH_NOT_FOUND


class AlreadyExistsError(MlbfsError):
    """What should be made is there already."""

    default_kind = ErrorKind.ALREADY_EXISTS


class ConflictError(MlbfsError):
    """Someone else won a race or holds a lock; retrying may help."""

    default_kind = ErrorKind.LOCKED


class ReadOnlyError(MlbfsError):
    """The target cannot be changed."""

    default_kind = ErrorKind.READ_ONLY


class StorageError(MlbfsError):
    """The device or the file system below failed."""

    default_kind = ErrorKind.IO_ERROR


class StoreFullError(StorageError):
    """The device is full; nothing was published."""

    default_kind = ErrorKind.DISK_FULL


class InterruptedByUserError(MlbfsError):
    """Whoever asked for it has given it up; nothing was changed."""

    default_kind = ErrorKind.INTERRUPTED


class CorruptionError(MlbfsError):
    """Bytes do not match their id or checksum."""

    default_kind = ErrorKind.CORRUPT_PACK


class FormatError(CorruptionError):
    """Bytes cannot be parsed as the format they claim to be."""

    default_kind = ErrorKind.FORMAT_INVALID


class FormatVersionError(MlbfsError):
    """The format is of a version that this mlbfs does not read."""

    default_kind = ErrorKind.FORMAT_TOO_NEW


class InternalError(MlbfsError):
    """A promise of our own was broken; please report it."""


def negative_span(offset: int, length: int) -> InvalidInputError:
    """Returns the error for a read that asks for bytes before the start, or for less than none."""
    return InvalidInputError(
        f"cannot read {length} bytes at offset {offset}",
        hint="offset and length count from 0; the length of a file is its 'size'",
    )


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


def storage_error(err: OSError, what: str) -> StorageError:
    """Returns the storage error that says which step (`what`) the device refused, and why."""
    reason = err.strerror or str(err)
    if err.errno in _FULL:
        return StoreFullError(f"{what}: {reason}", hint="free some space and run it again")
    if err.errno in _REFUSED:
        return StorageError(f"{what}: {reason}", kind=ErrorKind.PERMISSION_DENIED)
    return StorageError(f"{what}: {reason}")
