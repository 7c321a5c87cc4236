"""Damaged packs behind a mount: an error for that read and a line in the log, never wrong bytes."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mlbfs.errors import CorruptionError
from mlbfs.mount import session

pytestmark = [pytest.mark.fuse, pytest.mark.slow]  # each test has its own mount


def flip(path, offset: int) -> None:
    """Flips the bits of one byte."""
    path.chmod(0o600)
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0xFF]))


def test_flipped_byte(mounts, builder) -> None:
    """A read of damaged bytes is EIO; other files read on; the log names the pack and fsck.

    The promise of a mount (S26).
    """
    mounts.expected += ["read of inode"]
    (pack,) = (builder.git_dir / "mlbfs/packs").glob("*.pack")
    flip(pack, 200)
    place = mounts.mount("v1")
    with pytest.raises(OSError) as caught:
        (place / "binary").read_bytes()
    assert caught.value.errno == errno.EIO
    assert (place / "hello.txt").read_bytes() == b"hello\n"
    (line,) = {
        line.partition(" ERROR ")[2] for line in mounts.log().splitlines() if " ERROR " in line
    }
    assert pack.stem[:8] in line
    assert "('binary')" in line
    assert "mlbfs fsck" in line


def test_cut_pack(mounts, builder) -> None:
    """A read beyond the end of a truncated pack is EIO."""
    mounts.expected += ["read of inode"]
    place = mounts.mount("v1")
    (pack,) = (builder.git_dir / "mlbfs/packs").glob("*.pack")
    pack.chmod(0o600)
    os.truncate(pack, 100)
    with pytest.raises(OSError) as caught:
        (place / "binary").read_bytes()
    assert caught.value.errno == errno.EIO
    assert (place / "folder/below/deep.txt").read_bytes() == b"deep\n"


def test_deleted_data_file(mounts, builder) -> None:
    """A file whose bytes were deleted below the mount: its reads are EIO, all else goes on."""
    mounts.expected += [".1'"]
    place = mounts.mount("main")
    for number in range(3):
        (place / f"file{number}").write_bytes(b"bytes\n")
    session.unmount(place)  # it has the bytes open
    place = mounts.mount("main")
    folder = builder.git_dir / "mlbfs/workspaces/main/data"
    lost = next(path for path in folder.iterdir() if path.read_bytes() == b"bytes\n")
    inode = int(lost.name.partition(".")[0], 16)
    lost.unlink()
    (name,) = [entry.name for entry in os.scandir(place) if entry.inode() == inode]
    for change in (Path.read_bytes, lambda path: os.truncate(path, 3)):
        with pytest.raises(OSError) as caught:
            change(place / name)
        assert caught.value.errno == errno.EIO
    assert str(lost) in mounts.log()
    assert len(list(place.glob("file*"))) == 3
    (place / name).unlink()
    (place / name).write_bytes(b"again\n")
    assert (place / name).read_bytes() == b"again\n"


def test_damage_is_told_once(mounts, builder) -> None:
    """Many reads of the same damage leave one line."""
    mounts.expected += ["read of inode"]
    (pack,) = (builder.git_dir / "mlbfs/packs").glob("*.pack")
    place = mounts.mount("v1")
    pack.rename(pack.with_suffix(".away"))
    for _ in range(3):
        with pytest.raises(OSError) as caught:
            (place / "binary").read_bytes()
        assert caught.value.errno == errno.EIO
    (line,) = [line for line in mounts.log().splitlines() if " ERROR " in line]
    assert pack.name in line
    assert "mlbfs fsck" in line
    pack.with_suffix(".away").rename(pack)
    assert (place / "binary").read_bytes()[:5] == bytes(range(5))


def test_index_missing(mounts, builder) -> None:
    """Without the chunk index a mount is refused, and the hint says what brings it back."""
    (builder.git_dir / "mlbfs/index.lmdb").unlink()
    with pytest.raises(CorruptionError) as caught:
        mounts.mount("main")
    assert "fsck --repair" in (caught.value.hint or "")
