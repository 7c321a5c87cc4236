"""Errors as JSON, for the pipe and the socket between a mount daemon and a command.

Owns: the JSON form of an error.
Layer: mount. Imports errors and vfs_errors, which are light, so that commands start quickly.
"""

from __future__ import annotations

from typing import Any

from mlbfs import errors
from mlbfs.errors import ErrorKind, InternalError, MlbfsError
from mlbfs.workspace.vfs_errors import VfsError

Json = dict[str, Any]

_CLASSES: dict[str, type[MlbfsError]] = {
    cls.__name__: cls
    for cls in vars(errors).values()
    if isinstance(cls, type) and issubclass(cls, MlbfsError)
}


def encode_error(error: BaseException) -> Json:
    """Returns the JSON form of any exception; what is not ours becomes an internal error."""
    if isinstance(error, VfsError):
        # An answer of the file system where a command met it: the device below, mostly.
        text = f"{type(error).__name__}: {error}"
        return {"class": "StorageError", "kind": ErrorKind.IO_ERROR.value, "message": text}
    if not isinstance(error, MlbfsError):
        text = f"{type(error).__name__}: {error}".replace("\n", " ")
        return {"class": "InternalError", "kind": ErrorKind.INTERNAL.value, "message": text}
    # A subclass that lives beside its raiser may not be importable over there.
    known = next(cls.__name__ for cls in type(error).__mro__ if cls.__name__ in _CLASSES)
    return {
        "class": known,
        "kind": error.kind.value,
        "message": error.message,
        "hint": error.hint,
    }


def decode_error(value: object) -> MlbfsError:
    """Returns the error that `encode_error` was given, as the nearest class of `errors`."""
    if not isinstance(value, dict):
        return InternalError("the mount daemon sent an error that cannot be read")
    cls = _CLASSES.get(str(value.get("class")), InternalError)
    hint = value.get("hint")
    return cls(
        str(value.get("message", "unknown error")),
        kind=_decode_kind(value.get("kind")),
        hint=None if hint is None else str(hint),
    )


def _decode_kind(value: object) -> ErrorKind:
    try:
        return ErrorKind(str(value))
    except ValueError:
        return ErrorKind.INTERNAL  # a newer daemon may know more kinds than this command
