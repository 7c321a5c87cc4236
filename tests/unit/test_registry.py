"""Records of live mounts: found, told from stale ones, removed."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pytest

from mlbfs.errors import StorageError
from mlbfs.mount.registry import (
    MountRecord,
    Registration,
    find_mounts,
    log_path,
    new_mount_id,
    remove_old_logs,
    remove_record,
    socket_path,
)

if TYPE_CHECKING:
    from pathlib import Path

RECORD = MountRecord(
    id="abc",
    pid=42,
    git_dir="/r/.git",
    directory="/mnt",
    ref="main",
    kind="branch",
    commit="00" * 20,
    read_only=False,
    device="0:39",
    started=1.5,
)


def test_registered_while_it_lives(tmp_path: Path) -> None:
    """A record is alive from registration to close, and then gone."""
    registration = Registration(tmp_path, RECORD)
    (found,) = find_mounts(tmp_path)
    assert (found.record, found.is_alive) == (RECORD, True)
    registration.close()
    assert find_mounts(tmp_path) == []


def test_stale_once_the_lock_is_gone(tmp_path: Path) -> None:
    """A record without its lock is stale, whatever process has its number now."""
    record = replace(RECORD, pid=os.getpid())
    registration = Registration(tmp_path, record)
    os.close(registration._file)  # as the kernel does at the end of a process
    (found,) = find_mounts(tmp_path)
    assert not found.is_alive
    remove_record(tmp_path, record)
    assert find_mounts(tmp_path) == []


def test_looking_twice_does_not_make_it_alive(tmp_path: Path) -> None:
    """Finding takes no lock that a second finder would mistake for a daemon's."""
    (tmp_path / "abc.json").write_text(json.dumps(asdict(RECORD)))
    assert [found.is_alive for _ in range(2) for found in find_mounts(tmp_path)] == [False, False]


def test_oldest_first(tmp_path: Path) -> None:
    """Mounts come in the order in which they were made."""
    later, sooner = replace(RECORD, id="a", started=2.0), replace(RECORD, id="b", started=1.0)
    registrations = [Registration(tmp_path, record) for record in (later, sooner)]
    assert [found.record.id for found in find_mounts(tmp_path)] == ["b", "a"]
    for registration in registrations:
        registration.close()


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"{}", b'{"id": 1}', b"\xff\xfe", b'{"id":"' + b"x" * 70000]
)
def test_other_files_are_passed_over(tmp_path: Path, data: bytes) -> None:
    """What is no record does no harm."""
    (tmp_path / "odd.json").write_bytes(data)
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "link.json").symlink_to("nowhere")
    assert find_mounts(tmp_path) == []


def test_unknown_fields_are_passed_over(tmp_path: Path) -> None:
    """A newer daemon may write more than this version knows."""
    (tmp_path / "abc.json").write_text(json.dumps(asdict(RECORD) | {"later": True}))
    (found,) = find_mounts(tmp_path)
    assert found.record == RECORD


def test_missing_run_directory(tmp_path: Path) -> None:
    """No mount was ever made: nothing is found, and nothing can be registered."""
    assert find_mounts(tmp_path / "run") == []
    with pytest.raises(StorageError):
        Registration(tmp_path / "run", RECORD)


def test_old_logs_go(tmp_path: Path) -> None:
    """The newest logs stay, and those of live mounts."""
    for number in range(5):
        path = log_path(tmp_path, str(number))
        path.write_text("")
        os.utime(path, (number, number))
    registration = Registration(tmp_path, replace(RECORD, id="0"))
    remove_old_logs(tmp_path, kept=2)
    assert sorted(path.name for path in tmp_path.glob("*.log")) == ["0.log", "3.log", "4.log"]
    registration.close()


def test_ids_differ(tmp_path: Path) -> None:
    """Names of mounts are not repeated, and the files of a mount bear its name."""
    assert new_mount_id() != new_mount_id()
    assert socket_path(tmp_path, "abc").name == "abc.sock"
