"""The error tree: kinds are append-only, messages are plain, specific classes sit below it."""

from __future__ import annotations

import errno
import importlib
import pkgutil

import pytest

import mlbfs
from mlbfs import errors
from mlbfs.errors import ErrorKind, MlbfsError, StorageError, StoreFullError, storage_error
from mlbfs.workspace.vfs_errors import VfsError

_LISTED = """
invalid-argument invalid-path invalid-ref-name unsupported permission-denied repository-not-found
not-mlbfs ref-not-found path-not-found file-not-found chunk-not-found object-not-found
mount-not-found workspace-not-found already-exists already-mounted branch-checked-out not-empty
ref-moved locked nothing-to-commit read-only io-error source-unreadable source-changed disk-full
corrupt-chunk corrupt-pack corrupt-recipe corrupt-index corrupt-object hostile-tree format-too-new
format-unknown format-invalid mount-failed mount-stale mount-busy fuse-unavailable control-failed
internal interrupted changes-in-the-way merge-driver-not-found merge-driver-failed merge-conflicts
merge-in-progress no-merge-in-progress
"""

KINDS = _LISTED.split()
"""Append-only: programs match on these. A new kind is added here at the end."""


def test_known_kinds_keep_their_names_and_order() -> None:
    """No kind is ever renamed or removed."""
    assert [str(kind) for kind in ErrorKind][: len(KINDS)] == KINDS


def test_every_kind_is_listed_here() -> None:
    """A new kind is a promise, so it is written down in this list too."""
    assert {str(kind) for kind in ErrorKind} == set(KINDS)


def test_error_carries_message_kind_and_hint() -> None:
    """The three parts stay apart; the text of the exception is the message alone."""
    err = errors.NotFoundError("no such thing", kind=ErrorKind.REF_NOT_FOUND, hint="look again")
    assert err.message == "no such thing"
    assert err.kind is ErrorKind.REF_NOT_FOUND
    assert err.hint == "look again"
    assert str(err) == "no such thing"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_full_device_is_a_kind_of_its_own(number: int) -> None:
    """A full disk can be told from a broken one."""
    assert isinstance(storage_error(OSError(number, "full"), "writing"), StoreFullError)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_what_the_user_may_not_do_has_its_own_code(number: int) -> None:
    """A program can tell it from a failing device."""
    err = storage_error(OSError(number, "refused"), "writing")
    assert err.kind is ErrorKind.PERMISSION_DENIED


def test_other_device_errors_are_storage_errors() -> None:
    """Any other refusal of the device keeps its reason."""
    err = storage_error(OSError(errno.EIO, "Input/output error"), "writing a pack")
    assert type(err) is StorageError
    assert err.message == "writing a pack: Input/output error"


def test_every_error_class_is_below_the_base() -> None:
    """No module raises a family of its own; answers of the file-system protocol stand beside."""
    for info in pkgutil.walk_packages(mlbfs.__path__, "mlbfs."):
        if info.name.endswith(("__main__", "_native")):
            continue
        module = importlib.import_module(info.name)
        for value in vars(module).values():
            if not isinstance(value, type) or value.__module__ != info.name:
                continue
            if issubclass(value, Exception) and not value.__name__.startswith("_"):
                assert issubclass(value, (MlbfsError, VfsError)), f"{info.name}.{value.__name__}"
