"""The parser of /proc/self/mountinfo and the name of a mount's source."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbfs.mount.mountinfo import (
    decode_source,
    encode_source,
    mount_at,
    mount_of,
    parse_mountinfo,
    read_mountinfo,
)

TEXT = rb"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw
40 27 0:39 / /home/a\040b\134c\011d rw,nosuid,nodev - fuse.mlbfs mlbfs:/r/.git rw,user_id=0
41 40 0:40 / /home/a\040b\134c\011d/in ro - fuse.mlbfs mlbfs:/caf%C3%A9%2C%20b/.git ro
42 27 0:41 / /over rw - tmpfs first rw
43 42 0:42 / /over rw - tmpfs second rw
broken line
44 27 0:43 / /none rw
"""


def test_fields() -> None:
    """Every field of a line comes out, with escapes undone and optional fields passed over."""
    entries = {entry.mount_id: entry for entry in parse_mountinfo(TEXT)}
    assert set(entries) == {22, 27, 40, 41, 42, 43}
    ours = entries[40]
    assert ours.point == Path("/home/a b\\c\td")
    assert (ours.parent_id, ours.device, ours.kind) == (27, "0:39", "fuse.mlbfs")
    assert ours.git_dir == Path("/r/.git")
    assert (ours.is_mlbfs, ours.is_read_only) == (True, False)
    assert entries[41].git_dir == Path("/café, b/.git")
    assert entries[41].is_read_only
    assert (entries[27].kind, entries[27].source, entries[27].git_dir) == ("ext4", "/dev/vda", None)


def test_mount_at_takes_the_topmost() -> None:
    """Of several mounts at one place the last one counts."""
    entries = parse_mountinfo(TEXT)
    found = mount_at(entries, Path("/over"))
    assert found is not None
    assert found.source == "second"
    assert mount_at(entries, Path("/over/x")) is None


@pytest.mark.parametrize(
    ("path", "mount_id"),
    [("/home", 27), ("/home/a b\\c\td", 40), ("/home/a b\\c\td/x/y", 40), ("/over/x", 43)],
)
def test_mount_of_a_path(path: str, mount_id: int) -> None:
    """The mount of a path is the one with the longest mount point above it."""
    found = mount_of(parse_mountinfo(TEXT), Path(path))
    assert found is not None
    assert mount_id == found.mount_id


@given(st.binary(min_size=1).filter(lambda raw: b"\0" not in raw))
def test_source_round_trip(raw: bytes) -> None:
    """Any path survives as the source of a mount, in characters that no option parser splits."""
    source = encode_source(Path("/" + os.fsdecode(raw)))
    assert source.isascii()
    assert not set(source) & set(", \\\n\t")
    assert decode_source(source) == Path("/" + os.fsdecode(raw))


def test_source_of_others() -> None:
    """What is not ours has no repository."""
    assert decode_source("/dev/vda") is None


def test_this_machine_can_be_parsed() -> None:
    """The real table has a root."""
    assert mount_at(read_mountinfo(), Path("/")) is not None
