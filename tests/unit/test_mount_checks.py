"""What is asked of a machine and a mount point before a mount, and of a request on its way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlbfs.errors import (
    AlreadyExistsError,
    ErrorKind,
    InvalidInputError,
    NotFoundError,
    UnsupportedError,
)
from mlbfs.mount import checks, launch, session
from mlbfs.mount.checks import (
    check_fuse,
    check_not_in_repository,
    check_not_mounted,
    check_privileges,
)
from mlbfs.mount.detach import find_holders
from mlbfs.mount.launch import MountRequest
from mlbfs.mount.mountinfo import parse_mountinfo


def test_no_fuse_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without /dev/fuse is told how to get it."""
    monkeypatch.setattr(checks, "FUSE_DEVICE", tmp_path / "fuse")
    with pytest.raises(UnsupportedError, match="no /dev/fuse") as caught:
        check_fuse()
    assert caught.value.kind is ErrorKind.FUSE_UNAVAILABLE
    assert "modprobe" in str(caught.value.hint)


def test_fuse_device_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that the user may not use is another thing, with another hint."""
    monkeypatch.setattr(checks, "FUSE_DEVICE", tmp_path)
    with pytest.raises(UnsupportedError, match="cannot be opened") as caught:
        check_fuse()
    assert "chmod 666" in str(caught.value.hint)


def test_a_device_of_another_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file, or another device, at its place is not taken for it."""
    (tmp_path / "fuse").touch()
    for place in (tmp_path / "fuse", Path("/dev/null")):
        monkeypatch.setattr(checks, "FUSE_DEVICE", place)
        with pytest.raises(UnsupportedError, match="not the FUSE device") as caught:
            check_fuse()
        assert "mknod" in str(caught.value.hint)


ALL = "000001ffffffffff"
NO_ADMIN = "000001ffffdfffff"


@pytest.mark.parametrize(
    ("effective", "bounding", "locked", "is_root", "words"),
    [
        (ALL, ALL, 0, True, None),
        (ALL, ALL, 1, True, None),
        (NO_ADMIN, ALL, 0, True, "SYS_ADMIN"),
        ("0", ALL, 0, False, None),
        ("0", NO_ADMIN, 0, False, "SYS_ADMIN"),
        ("0", ALL, 1, False, "no_new_privs"),
    ],
)
def test_privileges(
    effective: str, bounding: str, locked: int, is_root: bool, words: str | None
) -> None:
    """Root needs the capability, others a fusermount3 that may have it."""
    status = f"Name:\tx\nCapEff:\t{effective}\nCapBnd:\t{bounding}\nNoNewPrivs:\t{locked}\n"
    if words is None:
        check_privileges(status, is_root=is_root)
        return
    with pytest.raises(UnsupportedError, match=words) as caught:
        check_privileges(status, is_root=is_root)
    assert caught.value.kind is ErrorKind.FUSE_UNAVAILABLE
    assert "container" in str(caught.value.hint)


def test_programs_are_found_in_system_folders() -> None:
    """The caller's PATH is not asked."""
    found = checks.find_helper("mount")
    assert found is not None
    assert os.access(found, os.X_OK)
    assert checks.find_helper("no-such-program") is None


@pytest.mark.parametrize("place", ["/r/.git", "/r/.git/mlbfs/x", "/r", "/"])
def test_repository_is_not_covered(place: str) -> None:
    """A mount in the Git directory, or over it, would wait for itself."""
    with pytest.raises(InvalidInputError):
        check_not_in_repository(Path(place), Path("/r/.git"))


@pytest.mark.parametrize("place", ["/r/.github", "/r/data", "/x"])
def test_places_beside_the_repository(place: str) -> None:
    """Folders beside the Git directory are fine, in the work tree too."""
    check_not_in_repository(Path(place), Path("/r/.git"))


def test_mounted_place() -> None:
    """A mount of ours gets the hint to unmount it; another one is named."""
    entries = parse_mountinfo(
        b"40 27 0:39 / /ours rw - fuse.mlbfs mlbfs:/r/.git rw\n"
        b"41 27 0:40 / /theirs rw - tmpfs it rw\n"
    )
    check_not_mounted(Path("/free"), entries)
    with pytest.raises(AlreadyExistsError) as caught:
        check_not_mounted(Path("/ours"), entries)
    assert "mlbfs umount" in str(caught.value.hint)
    with pytest.raises(AlreadyExistsError, match="a mount of it"):
        check_not_mounted(Path("/theirs"), entries)


def test_foreign_repository_is_left_alone(tmp_path: Path) -> None:
    """A Git directory that is not ours is refused, and nothing is written into it."""
    (tmp_path / "repo/.git").mkdir(parents=True)
    (tmp_path / "mnt").mkdir()
    with pytest.raises(NotFoundError) as caught:
        session.mount(tmp_path / "repo/.git", "main", tmp_path / "mnt")
    assert caught.value.kind is ErrorKind.NOT_MLBFS
    assert os.listdir(tmp_path / "repo/.git") == []


def test_holders_of_a_folder(tmp_path: Path) -> None:
    """Processes are found by working folder and by open file."""
    (tmp_path / "file").touch()
    with (
        open(tmp_path / "file", "rb"),
        subprocess.Popen([sys.executable, "-c", "input()"], cwd=tmp_path, stdin=-1) as other,
    ):
        found = {holder.pid: holder.what for holder in find_holders(tmp_path)}
        assert found[os.getpid()] == "open file"
        assert found[other.pid] == "working folder"
        other.communicate(b"\n")


def test_request_for_a_fresh_interpreter() -> None:
    """A request survives as an argument, whatever bytes its paths have."""
    request = MountRequest(
        "abc", Path("/r/.git"), None, Path(os.fsdecode(b"/m\xff \n")), debug=True
    )
    assert MountRequest.parse(request.encode()) == request
    assert request.encode().isascii()


def test_descriptors_to_close() -> None:
    """Everything but what is kept lies in a gap."""
    limit = os.sysconf("SC_OPEN_MAX")
    gaps = list(launch._gaps((0, 1, 2, 7)))
    assert gaps == [(1, 1), (2, 2), (3, 7), (8, limit)]
