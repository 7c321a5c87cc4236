"""Fills a small device below a mount, and then makes room; run by test_workspace_full.py.

It runs in a mount namespace of its own, so that the device and the mount go with it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
from pathlib import Path

from mlbfs.errors import StoreFullError
from mlbfs.mount import session
from mlbfs.mount.live import request
from mlbfs.mount.messages import encode_signature
from mlbfs.workspace.testing import SIGNATURE, Bench

MLBFS = Path(sys.executable).with_name("mlbfs")

SMALL = {f"small{number}": b"%d\n" % number * 1000 for number in range(200)}
"""Files that are there before the device is full."""

BIG = bytes(range(256)) * 16384
"""4 MiB in the commit: a write into it is kept in place."""


def fill(path):
    """Writes until there is no room; returns how many bytes the file has."""
    written = 0
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            written += file.write(bytes(range(256)) * 256)
    assert path.stat().st_size >= written
    return path.stat().st_size


def refused(operation, *args):
    """Runs an operation that must find no room."""
    try:
        operation(*args)
    except OSError as err:
        if err.errno == errno.ENOSPC:
            return
        raise
    raise AssertionError(f"there was room for {operation} of {args}")


def check(place, filled):
    """Everything that was written is there."""
    for name, data in SMALL.items():
        assert (place / name).read_bytes() == data, name
    assert (place / "fill").stat().st_size == filled
    with open(place / "fill", "rb") as file:
        while piece := file.read(1 << 20):
            assert piece == (bytes(range(256)) * 4096)[: len(piece)]
    assert (place / "big").read_bytes() == b"changed" + BIG[7:]
    assert (place / "a").read_bytes() == b"text\n"


def take_away(place):
    """All that gives space back works on a full device."""
    (place / "more").unlink(missing_ok=True)  # there may have been room for its name
    for name in list(SMALL)[:100]:
        (place / name).unlink()
    os.truncate(place / "small100", 0)
    with open(place / "small101", "wb"):
        pass
    os.truncate(place / "small102", 10)
    (place / "folder").rmdir()
    (place / "a").unlink()
    (place / "d" / "one").unlink()
    (place / "d").rmdir()
    (place / "small103").rename(place / "small104")
    os.truncate(place / "big", 3_000_000)
    assert (place / "big").read_bytes() == b"changed" + BIG[7:3_000_000]


def commit(record):
    """Commits through the mount."""
    who = encode_signature(SIGNATURE)
    return request(record, "commit", {"message": "a commit", "author": who, "committer": who})


def refuse_commit(record):
    """A commit says that the device is full, and changes nothing."""
    try:
        commit(record)
    except StoreFullError:
        return
    raise AssertionError("there was room for a commit")


def main():
    device, place = Path(sys.argv[1]), Path(sys.argv[2])
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", device], check=True)
    bench = Bench(device / "repository")
    bench.commit({b"a": b"text\n", b"d/one": b"1\n", b"big": BIG})
    git_dir = bench.git.common_dir
    bench.close()
    record = session.mount(git_dir, "main", place)
    for name, data in SMALL.items():
        (place / name).write_bytes(data)
    (place / "folder").mkdir()
    with open(place / "big", "r+b") as file:
        file.write(b"changed")
    filled = fill(place / "fill")
    fill(device / "others")  # what the rounding of our blocks has left
    refused((place / "more").write_bytes, bytes(10_000))
    refuse_commit(record)
    check(place, filled)
    session.unmount(place)
    fill(device / "others")
    session.mount(git_dir, "main", place)
    check(place, filled)
    take_away(place)
    (place / "fill").unlink()
    (place / "again").write_bytes(bytes(100_000))
    left = sorted(os.listdir(place))
    assert left == sorted(["again", "big", *list(SMALL)[100:103], *list(SMALL)[104:]])
    session.unmount(place)
    record = session.mount(git_dir, "main", place)
    assert sorted(os.listdir(place)) == left
    os.truncate(device / "others", 0)
    answer, _ = commit(record)
    assert (answer["added"], answer["modified"], answer["deleted"]) == (100, 1, 2)
    assert (place / "small104").read_bytes() == SMALL["small103"]
    session.unmount(place)
    subprocess.run([MLBFS, "-C", device / "repository", "fsck"], check=True)
    sys.stdout.write("all is well\n")


if __name__ == "__main__":
    main()
