"""What a file operation on a workspace may answer instead of a result.

These are answers of the file-system protocol, not failures of the program: most of them are
everyday (`NoEntry` for each name that is looked up and not there). So they stand beside
`MlbfsError`, not below it. They carry no numbers; the mount has the one table of errno values.

Layer: workspace. Imports the leaves only.
"""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlbfs.errors import StorageError, StoreFullError, storage_error

if TYPE_CHECKING:
    from collections.abc import Iterator

_FULL = (errno.ENOSPC, errno.EDQUOT)


class VfsError(Exception):
    """Base of all answers; never raised itself."""


class NoEntry(VfsError):  # noqa: N818 - the class names an answer, as the others do
    """The name does not exist."""


class Exists(VfsError):  # noqa: N818
    """The name exists already."""


class NotDirectory(VfsError):  # noqa: N818
    """The inode is not a directory."""


class IsDirectory(VfsError):  # noqa: N818
    """The inode is a directory."""


class NotEmpty(VfsError):  # noqa: N818
    """The directory has entries."""


class NameTooLong(VfsError):  # noqa: N818
    """The name is longer than 255 bytes."""


class Invalid(VfsError):  # noqa: N818
    """The arguments make no sense, or a directory would move below itself."""


class NotPermitted(VfsError):  # noqa: N818
    """The operation is not allowed on this kind of inode."""


class ReadOnly(VfsError):  # noqa: N818
    """Nothing can be changed here."""


class NoSpace(VfsError):  # noqa: N818
    """The device below is full."""


class Io(VfsError):  # noqa: N818
    """The device or the store below failed; the reason is the argument."""


class NoData(VfsError):  # noqa: N818
    """There is no extended attribute of that name."""


class CrossLink(VfsError):  # noqa: N818
    """The two names do not lie in one file system."""


class Stale(VfsError):  # noqa: N818
    """The inode number means nothing (any more)."""


class TooBig(VfsError):  # noqa: N818
    """The file would be longer than the file system below allows."""


class TooManyLinks(VfsError):  # noqa: N818
    """The inode cannot get another name."""


class Unsupported(VfsError):  # noqa: N818
    """This file system does not do that."""


def from_os_error(err: OSError) -> VfsError:
    """Returns the answer for an error of the file system below."""
    if err.errno in _FULL:
        return NoSpace(err.strerror)
    if err.errno == errno.EFBIG:
        return TooBig(err.strerror)
    return Io(str(err))  # with the path, where there is one


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turns answers, and errors of the system, into errors of the program.

    For what people ask of a workspace as a whole (its status, a commit): there, a file operation
    that fails means that the device failed.
    """
    try:
        yield
    except NoSpace as err:
        raise StoreFullError(f"{what}: {err}", hint="free some space and run it again") from err
    except VfsError as err:
        raise StorageError(f"{what}: {str(err) or type(err).__name__}") from err
    except OSError as err:
        raise storage_error(err, what) from err
