"""Damaged packs behind a mount: an error for that read and a line in the log, never wrong bytes."""

from __future__ import annotations

import errno
import os

import pytest

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
    """A read of damaged bytes is EIO; other files read on; the log names the pack and fsck."""
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
