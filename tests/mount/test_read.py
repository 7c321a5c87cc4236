"""Reading a snapshot through a real mount."""

from __future__ import annotations

import errno
import mmap
import os
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.fuse

BINARY = bytes(range(256)) * 700
TIME = 1_700_000_000
ENTRIES = 20_000


def test_files_read_as_committed(snapshot_mount: Path) -> None:
    """Small text, an empty file and chunks all come back byte for byte."""
    assert (snapshot_mount / "hello.txt").read_bytes() == b"hello\n"
    assert (snapshot_mount / "empty").read_bytes() == b""
    assert (snapshot_mount / "binary").read_bytes() == BINARY
    assert (snapshot_mount / "folder/below/deep.txt").read_bytes() == b"deep\n"


def test_reads_at_any_offset(snapshot_mount: Path) -> None:
    """Ranges within, across and past the end read like a local file."""
    with open(snapshot_mount / "binary", "rb", buffering=0) as file:
        for offset, length in ((0, 1), (65_000, 2_000), (len(BINARY) - 3, 10), (len(BINARY), 5)):
            assert os.pread(file.fileno(), length, offset) == BINARY[offset : offset + length]


def test_direct_reads(snapshot_mount: Path) -> None:
    """O_DIRECT passes the page cache and reads the same (S9)."""
    descriptor = os.open(snapshot_mount / "binary", os.O_RDONLY | os.O_DIRECT)
    try:
        buffer = mmap.mmap(-1, 8192)
        assert os.preadv(descriptor, [buffer], 4096) == 8192
        assert buffer[:] == BINARY[4096 : 4096 + 8192]
    finally:
        os.close(descriptor)


def test_memory_map(snapshot_mount: Path) -> None:
    """A mapped file shows its bytes."""
    with (
        open(snapshot_mount / "binary", "rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view,
    ):
        assert view[100_000:100_256] == BINARY[100_000:100_256]


def test_listing(snapshot_mount: Path) -> None:
    """A listing has every name with its kind, and the two dots."""
    with os.scandir(os.fsencode(snapshot_mount)) as entries:
        found = {
            entry.name: stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode) for entry in entries
        }
    assert found == {
        b"hello.txt": stat.S_IFREG,
        b"empty": stat.S_IFREG,
        b"binary": stat.S_IFREG,
        b"run.sh": stat.S_IFREG,
        b"link": stat.S_IFLNK,
        b"caf\xe9": stat.S_IFREG,
        b"folder": stat.S_IFDIR,
    }
    shown = subprocess.run(["ls", "-a", snapshot_mount], capture_output=True, check=True).stdout
    assert shown.splitlines()[:2] == [b".", b".."]


def test_attributes(snapshot_mount: Path) -> None:
    """Modes, sizes, times and owner are those of a committed file."""
    found = (snapshot_mount / "binary").stat()
    assert stat.S_IMODE(found.st_mode) == 0o644
    assert found.st_size == len(BINARY)
    assert found.st_mtime == TIME
    assert found.st_blocks == len(BINARY) // 512
    assert (found.st_uid, found.st_gid, found.st_nlink) == (os.getuid(), os.getgid(), 1)
    assert stat.S_IMODE((snapshot_mount / "run.sh").stat().st_mode) == 0o755
    assert (snapshot_mount / "folder").stat().st_mode == stat.S_IFDIR | 0o755


def test_executable_runs(snapshot_mount: Path) -> None:
    """The executable bit is kept."""
    assert subprocess.run([snapshot_mount / "run.sh"], capture_output=True).stdout == b"ran\n"


def test_symbolic_link(snapshot_mount: Path) -> None:
    """A link has its target and is followed by the kernel."""
    assert os.readlink(snapshot_mount / "link") == "hello.txt"
    assert (snapshot_mount / "link").read_bytes() == b"hello\n"


def test_name_that_is_not_utf8(snapshot_mount: Path) -> None:
    """Names are kept byte for byte."""
    path = os.fsencode(snapshot_mount) + b"/caf\xe9"
    with open(path, "rb") as file:
        assert file.read() == b"latin-1 name\n"


def test_missing_name(snapshot_mount: Path) -> None:
    """What is not there is not there, the first and the second time."""
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            (snapshot_mount / "nothing").stat()
    with pytest.raises(OSError) as caught:
        (snapshot_mount / ("n" * 256)).stat()
    assert caught.value.errno == errno.ENAMETOOLONG


def test_changes_are_refused(snapshot_mount: Path) -> None:
    """Whatever would change a snapshot is EROFS (S17)."""
    changes = (
        lambda: (snapshot_mount / "new").write_bytes(b""),
        lambda: (snapshot_mount / "hello.txt").write_bytes(b"other"),
        lambda: (snapshot_mount / "hello.txt").unlink(),
        lambda: (snapshot_mount / "new").mkdir(),
        lambda: (snapshot_mount / "hello.txt").rename(snapshot_mount / "other"),
        lambda: (snapshot_mount / "hello.txt").chmod(0o600),
        lambda: os.truncate(snapshot_mount / "hello.txt", 1),
        lambda: os.setxattr(snapshot_mount / "hello.txt", "user.a", b"1"),
    )
    for change in changes:
        with pytest.raises(OSError) as caught:
            change()
        assert caught.value.errno == errno.EROFS


def test_room_is_that_of_the_disk(snapshot_mount: Path, shared) -> None:
    """Statfs tells of the file system that holds the repository (S47)."""
    here, below = os.statvfs(snapshot_mount), os.statvfs(shared.git_dir)
    assert here.f_blocks * here.f_frsize == below.f_blocks * below.f_frsize
    assert here.f_files == below.f_files
    assert here.f_namemax == 255


def test_inode_numbers_hold(snapshot_mount: Path) -> None:
    """Inode numbers are the same each time, and no two files share one."""
    paths = [snapshot_mount, *snapshot_mount.rglob("*")]
    first = [path.lstat().st_ino for path in paths]
    assert len(set(first)) == len(paths)
    assert first == [path.lstat().st_ino for path in paths]


def test_copy_tree(snapshot_mount: Path, tmp_path: Path) -> None:
    """Cp -r and diff -r see what a local folder would give."""
    subprocess.run(["cp", "-r", snapshot_mount, tmp_path / "copy"], check=True)
    subprocess.run(
        ["diff", "-r", "--no-dereference", snapshot_mount, tmp_path / "copy"], check=True
    )


@pytest.mark.slow
def test_listing_of_many(mounts, builder) -> None:
    """20,000 names come once each, with their attributes, from one folder."""
    builder.commit("refs/heads/many", {b"%05d" % number: b"x" for number in range(ENTRIES)})
    folder = mounts.mount("many", read_only=True)
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.stat().st_size == 1]
    assert sorted(names) == [f"{number:05d}" for number in range(ENTRIES)]
