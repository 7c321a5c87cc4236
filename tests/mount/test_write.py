"""Changing a mounted branch through a real mount."""

from __future__ import annotations

import errno
import mmap
import os
import stat
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.fuse

BINARY = bytes(range(256)) * 700


def test_create_and_read_back(work: Path) -> None:
    """What was written reads back, and its length and listing show it at once."""
    path = work / "new.bin"
    path.write_bytes(BINARY)
    assert path.read_bytes() == BINARY
    assert path.stat().st_size == len(BINARY)
    assert os.listdir(work) == ["new.bin"]


def test_exclusive_create(work: Path) -> None:
    """O_EXCL refuses a name that is there."""
    (work / "file").write_bytes(b"1")
    with pytest.raises(FileExistsError):
        os.open(work / "file", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    assert (work / "file").read_bytes() == b"1"


def test_truncate_on_open(work: Path) -> None:
    """O_TRUNC empties the file, O_CREAT without it does not."""
    (work / "file").write_bytes(b"long content")
    os.close(os.open(work / "file", os.O_CREAT | os.O_WRONLY))
    assert (work / "file").read_bytes() == b"long content"
    (work / "file").write_bytes(b"short")
    assert (work / "file").read_bytes() == b"short"


def test_truncate_both_ways(work: Path) -> None:
    """A file is cut, and grows with zeros."""
    path = work / "file"
    path.write_bytes(b"0123456789")
    os.truncate(path, 4)
    assert path.read_bytes() == b"0123"
    os.truncate(path, 8)
    assert path.read_bytes() == b"0123\0\0\0\0"


def test_append(work: Path) -> None:
    """Two open files append behind one another, wherever they read before."""
    path = work / "log"
    with open(path, "ab", buffering=0) as one, open(path, "ab", buffering=0) as two:
        for number in range(10):
            (one if number % 2 else two).write(b"%d\n" % number)
    assert path.read_bytes() == b"".join(b"%d\n" % number for number in range(10))


def test_write_into_committed_file(branch_mount: Path) -> None:
    """A change in the middle of a committed file leaves the rest as it was."""
    path = branch_mount / "binary"
    with open(path, "r+b") as file:
        file.seek(100_000)
        file.write(b"changed")
    expected = BINARY[:100_000] + b"changed" + BINARY[100_007:]
    assert path.read_bytes() == expected
    assert path.stat().st_size == len(BINARY)


def test_open_file_sees_later_write(work: Path) -> None:
    """A reader that was open before a write reads what was written (S15)."""
    path = work / "file"
    path.write_bytes(b"before")
    with open(path, "rb", buffering=0) as reader:
        assert reader.read() == b"before"
        with open(path, "r+b") as writer:
            writer.write(b"AFTER!")
        reader.seek(0)
        assert reader.read() == b"AFTER!"


def test_rename_file_over_file(work: Path) -> None:
    """Rename replaces the target at once; an open target goes on (S6, S7)."""
    (work / "a").write_bytes(b"a")
    (work / "b").write_bytes(b"b")
    with open(work / "b", "rb") as old:
        (work / "a").rename(work / "b")
        assert old.read() == b"b"
    assert os.listdir(work) == ["b"]
    assert (work / "b").read_bytes() == b"a"


def test_rename_committed_folder(branch_mount: Path, work: Path) -> None:
    """A committed folder moves with everything in it, and back."""
    (branch_mount / "folder").rename(work / "moved")
    assert (work / "moved/below/deep.txt").read_bytes() == b"deep\n"
    assert not (branch_mount / "folder").exists()
    (work / "moved").rename(branch_mount / "folder")
    assert (branch_mount / "folder/below/deep.txt").read_bytes() == b"deep\n"


def test_unlink_while_open(work: Path) -> None:
    """An open file without a name goes on until it is closed (S7)."""
    path = work / "file"
    with open(path, "w+b") as file:
        file.write(b"foo")
        file.flush()
        with open(path, "ab") as other:
            path.unlink()
            assert os.listdir(work) == []
            other.write(b"bar")
        os.close(os.dup(file.fileno()))
        file.seek(0)
        assert file.read() == b"foobar"
        assert os.fstat(file.fileno()).st_nlink == 0


def test_unlink_committed_file(branch_mount: Path) -> None:
    """A committed file goes, and can be made anew."""
    path = branch_mount / "hello.txt"
    path.unlink()
    assert "hello.txt" not in os.listdir(branch_mount)
    assert not path.exists()
    path.write_bytes(b"again\n")
    assert path.read_bytes() == b"again\n"


def test_folders(work: Path) -> None:
    """Folders are made and removed; one with entries is not."""
    (work / "a/b").mkdir(parents=True)
    with pytest.raises(OSError) as caught:
        (work / "a").rmdir()
    assert caught.value.errno == errno.ENOTEMPTY
    (work / "a/b").rmdir()
    (work / "a").rmdir()
    assert os.listdir(work) == []


def test_remembered_absence_ends_with_creation(work: Path) -> None:
    """The kernel remembers that a name is missing; making it ends that, by every way to make."""
    makers = {
        "file": lambda path: path.write_bytes(b""),
        "folder": lambda path: path.mkdir(),
        "symlink": lambda path: path.symlink_to("target"),
        "fifo": lambda path: os.mkfifo(path),
        "link": lambda path: os.link(work / "file", path),
        "renamed": lambda path: (work / "link").rename(path),
    }
    for name, make in makers.items():
        path = work / name
        assert not os.path.lexists(path)
        make(path)
        assert os.path.lexists(path)


def test_links(work: Path) -> None:
    """Symbolic and hard links."""
    (work / "file").write_bytes(b"content")
    (work / "symlink").symlink_to("file")
    os.link(work / "file", work / "hard")
    assert os.readlink(work / "symlink") == "file"
    assert (work / "hard").stat().st_nlink == 2
    assert (work / "hard").stat().st_ino == (work / "file").stat().st_ino
    (work / "file").unlink()
    assert (work / "hard").read_bytes() == b"content"
    assert (work / "hard").stat().st_nlink == 1


def test_mode_and_times(work: Path) -> None:
    """Chmod and utimes with nanoseconds (S40)."""
    path = work / "file"
    path.write_bytes(b"")
    path.chmod(0o751)
    os.utime(path, ns=(1_234_567_890_123_456_789, 987_654_321_987_654_321))
    found = path.stat()
    assert stat.S_IMODE(found.st_mode) == 0o751
    assert found.st_atime_ns == 1_234_567_890_123_456_789
    assert found.st_mtime_ns == 987_654_321_987_654_321


def test_committed_file_becomes_executable(branch_mount: Path) -> None:
    """Chmod of a committed file leaves its bytes alone."""
    path = branch_mount / "caf\udce9"
    path.chmod(0o755)
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert path.read_bytes() == b"latin-1 name\n"


def test_names_that_are_not_utf8(work: Path) -> None:
    """Names are kept byte for byte (S3)."""
    folder = os.fsencode(work)
    with open(folder + b"/\xff\xfe", "wb") as file:
        file.write(b"x")
    assert os.listdir(folder) == [b"\xff\xfe"]


def test_extended_attributes(work: Path) -> None:
    """Attributes of users are kept; others are not offered (S60)."""
    path = work / "file"
    path.write_bytes(b"")
    os.setxattr(path, "user.one", b"1")
    assert os.getxattr(path, "user.one") == b"1"
    assert os.listxattr(path) == ["user.one"]
    with pytest.raises(OSError) as caught:
        os.getxattr(path, "user.two")
    assert caught.value.errno == errno.ENODATA
    os.removexattr(path, "user.one")
    assert os.listxattr(path) == []
    with pytest.raises(OSError) as caught:
        os.setxattr(path, "trusted.one", b"1")
    assert caught.value.errno == errno.EOPNOTSUPP


def test_shared_map_writes(work: Path) -> None:
    """Writes through a shared map reach the file."""
    path = work / "file"
    path.write_bytes(bytes(8192))
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 8192) as view:
        view[4000:4005] = b"12345"
        view.flush()
    assert path.read_bytes()[4000:4005] == b"12345"


def test_sync(work: Path) -> None:
    """Fsync and fdatasync of files and folders succeed."""
    with open(work / "file", "wb") as file:
        file.write(b"x")
        file.flush()
        os.fsync(file.fileno())
        os.fdatasync(file.fileno())
    descriptor = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)


def test_listing_while_it_changes(work: Path) -> None:
    """What stays in a folder is listed once, whatever is removed meanwhile."""
    for number in range(200):
        (work / f"{number:03d}").touch()
    seen = []
    with os.scandir(work) as entries:
        for entry in entries:
            seen.append(entry.name)
            if int(entry.name) % 2:
                (work / entry.name).unlink()
    assert sorted(seen) == [f"{number:03d}" for number in range(200)]
    assert sorted(os.listdir(work)) == [f"{number:03d}" for number in range(0, 200, 2)]
