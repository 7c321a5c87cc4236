"""What the kernel and open files hold of a mount: counts, numbers, attributes, over a long life."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlbfs.mount import session
from mlbfs.mount.live import request
from mlbfs.mount.messages import encode_signature
from mlbfs.workspace.testing import SIGNATURE

if TYPE_CHECKING:
    from mlbfs.mount.registry import MountRecord

pytestmark = [pytest.mark.fuse, pytest.mark.slow]

MANY = 100_000

MIB = 1 << 20

GROWTH_LIMIT = 16 * MIB
"""What the resident memory of a daemon may grow by once it has seen everything; a leak of one
object for each entry of a walk would be more."""


def resident(record: MountRecord) -> int:
    """Returns the resident memory of a daemon in bytes."""
    pages = int(Path(f"/proc/{record.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def drop_caches() -> None:
    """Has the kernel forget what is not in use; without the right to, it keeps it."""
    switch = Path("/proc/sys/vm/drop_caches")
    if os.access(switch, os.W_OK):
        switch.write_text("2\n")


def commit(record: MountRecord) -> dict[str, object]:
    who = encode_signature(SIGNATURE)
    return request(record, "commit", {"message": "m", "author": who, "committer": who})[0]


def walk(folder: Path) -> int:
    with os.scandir(folder) as entries:
        return sum(entry.stat().st_nlink for entry in entries)


@pytest.fixture
def many(builder) -> None:
    """A folder of 100,000 files on main."""
    files = {b"%06d" % number: b"file %d\n" % (number % 10) for number in range(MANY)}
    builder.commit("refs/heads/main", {b"many": files, b"other": {b"a": b"text\n"}})


@pytest.mark.parametrize("read_only", [False, True])
def test_walks_leak_nothing(mounts, many, read_only: bool) -> None:
    """The memory of the daemon stays where the first walk has brought it."""
    place = mounts.mount("main", read_only=read_only)
    (record,) = mounts.records
    sizes = []
    for _ in range(2):
        assert walk(place / "many") == MANY
        drop_caches()
        sizes.append(resident(record))
    assert sizes[-1] - sizes[0] < GROWTH_LIMIT
    assert (place / "many/000012").read_bytes() == b"file 2\n"


def test_rename_of_a_large_folder(mounts, many, builder) -> None:
    """Rows for the folder alone, whatever is in it."""
    place = mounts.mount("main")
    folder = builder.git_dir / "mlbfs/workspaces/main"
    inode = (place / "many/000012").stat().st_ino
    before = (folder / "overlay.sqlite-wal").stat().st_size
    (place / "many").rename(place / "other/moved")
    assert (folder / "overlay.sqlite-wal").stat().st_size - before < MIB
    assert (place / "other/moved/000012").stat().st_ino == inode
    assert walk(place / "other/moved") == MANY
    with open(place / "other/moved/000013", "rb") as file:
        (place / "other/moved/000013").unlink()
        drop_caches()
        assert file.read() == b"file 3\n"
        assert os.fstat(file.fileno()).st_nlink == 0
    done = commit(mounts.records[0])
    assert (done["added"], done["deleted"]) == (MANY - 1, MANY)
    session.unmount(place)
    place = mounts.mount("main")
    assert walk(place / "other/moved") == MANY - 1
    assert not (place / "many").exists()


def test_churn_leaks_nothing(mounts) -> None:
    """Files that come and go leave neither memory nor bytes."""
    place = mounts.mount("main")
    (record,) = mounts.records
    sizes = []
    for _ in range(3):
        for number in range(500):
            (place / f"t{number}").write_bytes(b"x")
        for number in range(500):
            (place / f"t{number}").unlink()
        sizes.append(resident(record))
    assert sizes[-1] - sizes[0] < GROWTH_LIMIT
    session.unmount(place)
    assert list((mounts.git_dir / "mlbfs/workspaces/main/data").iterdir()) == []


def test_attributes_over_a_commit(mounts) -> None:
    """A commit changes nothing that stat tells, and open files write on (S54)."""
    place = mounts.mount("main")
    with (
        open(place / "hello.txt", "r+b", buffering=0) as text,
        open(place / "binary", "r+b", buffering=0) as data,
    ):
        text.write(b"HELLO")
        data.write(b"changed")
        before = [os.stat(file.name) for file in (text, data)]
        assert commit(mounts.records[0])["modified"] == 2
        assert [os.stat(file.name) for file in (text, data)] == before
        drop_caches()
        assert [os.stat(file.name) for file in (text, data)] == before
        text.seek(0, os.SEEK_END)
        text.write(b"more\n")
        data.write(b" twice")
        assert os.fstat(text.fileno()).st_ino == before[0].st_ino
    assert (place / "hello.txt").read_bytes() == b"HELLO\nmore\n"
    assert (place / "binary").read_bytes()[:13] == b"changed twice"
    assert commit(mounts.records[0])["modified"] == 2


def test_open_file_without_a_name(mounts) -> None:
    """It is read and written until it is closed; then its bytes go, also over a commit."""
    place = mounts.mount("main")
    folder = mounts.git_dir / "mlbfs/workspaces/main/data"
    with open(place / "gone", "w+b", buffering=0) as file:
        file.write(b"k" * 100_000)
        (place / "gone").unlink()
        (place / "kept").write_bytes(b"kept\n")
        drop_caches()
        assert commit(mounts.records[0])["added"] == 1
        file.write(b"z")
        file.seek(0)
        assert file.read() == b"k" * 100_000 + b"z"
        assert len(list(folder.iterdir())) == 2
    session.unmount(place)
    assert len(list(folder.iterdir())) == 1


def test_hard_links(mounts) -> None:
    """Names of one file share bytes and number, and the file lives as long as one of them."""
    place = mounts.mount("main")
    os.link(place / "folder/data", place / "second")
    with open(place / "second", "ab") as file:
        file.write(b"added")
    first, second = os.stat(place / "folder/data"), os.stat(place / "second")
    assert (first.st_ino, first.st_nlink, first.st_size) == (second.st_ino, 2, 5005)
    (place / "folder/data").unlink()
    drop_caches()
    assert (place / "second").stat().st_nlink == 1
    assert (place / "second").read_bytes()[-5:] == b"added"
    done = commit(mounts.records[0])
    assert (done["added"], done["deleted"]) == (1, 1)
