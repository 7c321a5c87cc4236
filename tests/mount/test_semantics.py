"""What docs/semantics.md promises and no other test shows, on real mounts."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlbfs.mount import session

if TYPE_CHECKING:
    from tests.mount.conftest import Builder, Mounts

pytestmark = pytest.mark.fuse

MLBFS = Path(sys.executable).with_name("mlbfs")
IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "A"), ("EMAIL", "a@example.org"))
}
IS_FULL = os.environ.get("MLBFS_CONFORMANCE") == "full"
CROWD = 1_000_000 if IS_FULL else 4_000
DT_DIR = 4


def commit(place: Path) -> str:
    """Commits what is in a mount and returns what the command says."""
    words = [MLBFS, "commit", place, "-m", "a change"]
    done = subprocess.run(
        words, capture_output=True, text=True, check=True, env=os.environ | IDENTITY
    )
    return done.stdout + done.stderr


def again(mounts: Mounts, place: Path) -> Path:
    """Unmounts the branch and mounts it again."""
    session.unmount(place)
    return mounts.mount("main")


# Between mounts


def test_what_is_not_committed_stays_in_its_mount(mounts: Mounts, builder: Builder) -> None:
    """Neither a tag nor the branch shown read-only sees it (S16, S17)."""
    place = mounts.mount("main")
    tag = mounts.mount("v1", "tag")
    branch = mounts.mount("main", "branch", read_only=True)
    (place / "hello.txt").write_text("changed\n")
    (place / "new").write_text("new\n")
    for other in (tag, branch):
        assert (other / "hello.txt").read_text() == "hello\n"
        assert not (other / "new").exists()
    commit(place)
    assert (tag / "hello.txt").read_text() == "hello\n"
    assert not (tag / "new").exists()
    with pytest.raises(OSError, match="Read-only") as refused:
        (tag / "new").write_text("new\n")
    assert refused.value.errno == errno.EROFS


def test_open_files_when_the_daemon_is_killed(mounts: Mounts) -> None:
    """They answer with an error; the next mount has what was closed (S20, S24)."""
    place = mounts.mount("main")
    (place / "closed").write_text("closed\n")
    with open(place / "closed", "r+b", buffering=0) as file:
        mounts.kill(place)
        with pytest.raises(OSError, match="connect") as refused:
            file.write(b"more")
        assert refused.value.errno in (errno.ENOTCONN, errno.ECONNABORTED)
    place = mounts.mount("main")
    assert (place / "closed").read_text() == "closed\n"


# Special files, links, bits


def test_devices_and_set_id_are_shown_and_mean_nothing(work: Path) -> None:
    """The kernel is told so by the mount (S33)."""
    flags = os.statvfs(work).f_flag
    assert flags & os.ST_NODEV
    assert flags & os.ST_NOSUID
    (work / "program").write_text("#!/bin/sh\n")
    (work / "program").chmod(0o6755)
    assert stat.S_IMODE((work / "program").stat().st_mode) == 0o6755


def test_hard_links_over_a_commit(mounts: Mounts) -> None:
    """One file before and after the commit, two files from the next mount on (S30)."""
    place = mounts.mount("main")
    (place / "one").write_text("both\n")
    (place / "two").hardlink_to(place / "one")
    said = commit(place)
    assert "share" in said or "link" in said
    assert (place / "one").stat().st_nlink == 2
    place = again(mounts, place)
    (place / "one").write_text("one\n")
    assert (place / "two").read_text() == "both\n"
    assert (place / "one").stat().st_nlink == 1


def test_link_counts_of_folders(mounts: Mounts) -> None:
    """Counted where they were made, 1 where they came with a commit (S31)."""
    place = mounts.mount("main")
    (place / "made" / "below").mkdir(parents=True)
    assert (place / "made").stat().st_nlink == 3
    (place / "made" / "below").rmdir()
    assert (place / "made").stat().st_nlink == 2
    assert (place / "folder").stat().st_nlink == 1
    (place / "folder" / "new").mkdir()
    assert (place / "folder").stat().st_nlink == 1


def test_special_files_over_a_commit(mounts: Mounts) -> None:
    """They are named, left out, and still there (S32, S52)."""
    place = mounts.mount("main")
    os.mkfifo(place / "fifo")
    os.mknod(place / "socket", stat.S_IFSOCK | 0o644)
    (place / "empty folder").mkdir()
    (place / "file").write_text("x\n")
    said = commit(place)
    for name in ("fifo", "socket", "empty folder"):
        assert name in said
    place = again(mounts, place)
    assert (place / "fifo").is_fifo()
    assert (place / "socket").is_socket()
    assert (place / "empty folder").is_dir()


# Attributes, times, numbers


def test_what_lasts_until_a_commit_and_a_mount(mounts: Mounts) -> None:
    """Times, modes and attributes last over mounts, and go with the mount after a commit (S51)."""
    place = mounts.mount("main")
    path = place / "hello.txt"
    path.chmod(0o600)
    os.utime(path, ns=(5, 6))
    os.setxattr(path, "user.note", b"mine")
    place = again(mounts, place)

    def seen() -> tuple[int, int, list[str]]:
        found = path.stat()
        return stat.S_IMODE(found.st_mode), found.st_mtime_ns, os.listxattr(path)

    assert seen() == (0o600, 6, ["user.note"])
    (place / "other").write_text("x\n")
    commit(place)
    assert seen() == (0o600, 6, ["user.note"])
    place = again(mounts, place)
    assert seen() == (0o644, (place / "other").stat().st_mtime_ns, [])


def test_times_of_what_is_committed(mounts: Mounts) -> None:
    """All three are the commit's (S43)."""
    place = mounts.mount("main")
    for name in ("hello.txt", "folder", "link", "folder/below/deep.txt"):
        found = (place / name).lstat()
        assert {found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns} == {
            1_700_000_000_000_000_000
        }


def test_numbers_are_not_used_again(mounts: Mounts) -> None:
    """Of files made, removed and made again, also in the next mount (S44, S45)."""
    place = mounts.mount("main")
    seen: set[int] = set()
    for _ in range(2):
        for _ in range(5):
            (place / "new").write_text("x")
            number = (place / "new").stat().st_ino
            assert number not in seen
            seen.add(number)
            (place / "new").rename(place / "moved")
            (place / "moved").write_text("written\n")
            assert (place / "moved").stat().st_ino == number
            (place / "moved").unlink()
        place = again(mounts, place)


def test_two_dots_are_the_folder_above(work: Path) -> None:
    """Over a rename, too; as find and getcwd rely on it."""
    (work / "one" / "inner").mkdir(parents=True)
    (work / "two").mkdir()
    (work / "one" / "inner").rename(work / "two" / "inner")
    listed = {name: number for name, number, _ in raw_listing(work / "two" / "inner")}
    assert listed[b"."] == (work / "two" / "inner").stat().st_ino
    assert listed[b".."] == (work / "two").stat().st_ino
    assert (work / "two" / "inner" / "..").stat().st_ino == (work / "two").stat().st_ino
    inner = os.open(work / "two" / "inner", os.O_PATH)
    try:
        assert os.readlink(f"/proc/self/fd/{inner}") == os.fspath(work / "two" / "inner")
    finally:
        os.close(inner)


def test_blocks(branch_mount: Path, work: Path) -> None:
    """Holes take nothing; what is committed counts by its length (S46, S4)."""
    with open(work / "sparse", "wb") as file:
        file.truncate(1 << 33)
    assert (work / "sparse").stat().st_blocks == 0
    with open(work / "sparse", "r+b") as file:
        file.seek(1 << 32)
        file.write(b"x")
    assert 0 < (work / "sparse").stat().st_blocks <= 16
    found = (branch_mount / "binary").stat()
    assert found.st_blocks == -(-found.st_size // 512)


# Folders with many entries


class _Dirent(ctypes.Structure):
    _fields_ = (
        ("number", ctypes.c_uint64),
        ("offset", ctypes.c_int64),
        ("length", ctypes.c_ushort),
        ("kind", ctypes.c_ubyte),
        ("name", ctypes.c_char * 256),
    )


_libc = ctypes.CDLL(None, use_errno=True)
_libc.opendir.restype = ctypes.c_void_p
_libc.opendir.argtypes = [ctypes.c_char_p]
_libc.readdir.restype = ctypes.POINTER(_Dirent)
_libc.telldir.restype = ctypes.c_long
for _name in ("readdir", "telldir", "closedir"):
    getattr(_libc, _name).argtypes = [ctypes.c_void_p]
_libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]


class Directory:
    """An open directory, as C programs have it."""

    def __init__(self, path: Path) -> None:
        self._dir = _libc.opendir(os.fsencode(path))
        assert self._dir, path

    def read(self) -> tuple[bytes, int, int] | None:
        """Returns name, inode number and kind of the next entry."""
        found = _libc.readdir(self._dir)
        return (found[0].name, found[0].number, found[0].kind) if found else None

    def tell(self) -> int:
        return int(_libc.telldir(self._dir))

    def seek(self, position: int) -> None:
        _libc.seekdir(self._dir, position)

    def close(self) -> None:
        _libc.closedir(self._dir)


def raw_listing(path: Path) -> list[tuple[bytes, int, int]]:
    """Returns what readdir(3) gives, dots too."""
    directory = Directory(path)
    entries = []
    while (entry := directory.read()) is not None:
        entries.append(entry)
    directory.close()
    return entries


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_positions_in_a_crowded_folder_hold_while_it_changes(
    mounts: Mounts, builder: Builder
) -> None:
    """Those of a commit and new ones, with others removed and made between two reads (S5)."""
    builder.commit("refs/heads/main", {b"crowd": {b"old%07d" % n: b"" for n in range(CROWD)}})
    crowd = mounts.mount("main") / "crowd"
    for number in range(CROWD // 20):
        (crowd / f"new{number:07}").touch()
    directory = Directory(crowd)
    seen: list[bytes] = []
    removed: set[bytes] = set()
    positions: list[tuple[int, bytes]] = []
    while True:
        position = directory.tell()
        entry = directory.read()
        if entry is None:
            break
        seen.append(entry[0])
        if len(seen) % 500 == 0:
            positions.append((position, entry[0]))
            for name in (seen[-100], seen[-50]):
                (crowd / os.fsdecode(name)).unlink()
                removed.add(name)
            (crowd / f"later{len(seen):07}").touch()
    assert len(seen) == len(set(seen))
    stayed = {b"old%07d" % n for n in range(CROWD)} | {b"new%07d" % n for n in range(CROWD // 20)}
    assert stayed <= set(seen)
    for position, name in positions:
        directory.seek(position)
        entry = directory.read()
        assert entry is not None
        assert entry[0] == name
    directory.close()
    now = set(map(os.fsencode, os.listdir(crowd)))
    assert stayed - removed <= now
    assert not removed & now
    for name in now:
        os.unlink(os.fsencode(crowd) + b"/" + name)
    assert os.listdir(crowd) == []
    crowd.rmdir()


def test_many_names(work: Path) -> None:
    """A file gets names until it has as many as on ext4 (S72)."""
    limit = 65_000 if IS_FULL else 200
    (work / "name").touch()
    for number in range(limit - 1):
        os.link(work / "name", work / f"name{number}")
    assert (work / "name").stat().st_nlink == limit
    if IS_FULL:
        with pytest.raises(OSError, match="Too many links"):
            os.link(work / "name", work / "one more")
