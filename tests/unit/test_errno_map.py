"""The table of errno values has a row for every error."""

from __future__ import annotations

import errno
import logging

import pytest

from mlbfs import errors
from mlbfs.errors import CorruptionError, MlbfsError, NotFoundError, StoreFullError
from mlbfs.mount.errno_map import ERRNO_TABLE, errno_of, has_a_line, report
from mlbfs.workspace import vfs_errors
from mlbfs.workspace.vfs_errors import NoEntry, VfsError


def _classes(module: object, base: type) -> list[type]:
    values = vars(module).values()
    return [cls for cls in values if isinstance(cls, type) and issubclass(cls, base)]


@pytest.mark.parametrize("cls", _classes(vfs_errors, VfsError) + _classes(errors, MlbfsError))
def test_every_class_has_a_row(cls: type[Exception]) -> None:
    """No error is left to chance."""
    assert cls in ERRNO_TABLE


def test_subclasses_take_the_nearest_row() -> None:
    """An error that lives beside its raiser maps as its base does."""

    class DeviceFullError(StoreFullError):
        """A leaf."""

    assert errno_of(DeviceFullError("full")) == errno.ENOSPC


def test_unknown_errors_are_eio() -> None:
    """What nobody thought of is an I/O error, never success."""
    assert errno_of(ZeroDivisionError()) == errno.EIO


def test_everyday_answers_leave_no_line(caplog: pytest.LogCaptureFixture) -> None:
    """A missing name is not worth a log line."""
    assert report(NoEntry(b"x"), "lookup", 1) == errno.ENOENT
    assert caplog.records == []


def test_damage_names_fsck(caplog: pytest.LogCaptureFixture) -> None:
    """Damaged bytes leave one line that says what to run."""
    assert report(CorruptionError("pack 77c0e1 is damaged"), "read", 0x2A) == errno.EIO
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "pack 77c0e1" in record.getMessage()
    assert "mlbfs fsck" in record.getMessage()


def test_damage_names_the_file(caplog: pytest.LogCaptureFixture) -> None:
    """The path stands beside the number, and has to be found once only."""
    error = CorruptionError("pack 44c0e1 is damaged")
    assert has_a_line(error)
    report(error, "read", 0x2A, b"d/nm\xff")
    assert r"read of inode 0x2a ('d/nm\udcff'): pack 44c0e1 is damaged" in caplog.text
    assert not has_a_line(error)
    assert not has_a_line(NoEntry(b"x"))


def test_damage_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """A program that reads bad bytes in a loop does not fill the log."""
    for _ in range(3):
        assert report(CorruptionError("pack 010203 is damaged"), "read", 1) == errno.EIO
    assert len(caplog.records) == 1


def test_missing_content_keeps_its_hint(caplog: pytest.LogCaptureFixture) -> None:
    """Content that is elsewhere says where to get it."""
    error = NotFoundError("content is not here", hint="run 'git lfs fetch'")
    assert report(error, "read", 1) == errno.EIO
    assert "git lfs fetch" in caplog.text


def test_unexpected_errors_leave_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """A bug of ours can be found from the log."""
    with pytest.raises(ZeroDivisionError) as caught:
        raise ZeroDivisionError
    assert report(caught.value, "getattr", 1) == errno.EIO
    assert "Traceback" in caplog.text
