"""What is in a folder: everything that two file systems must agree about."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import NamedTuple

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOATIME


class Look(NamedTuple):
    """One look at a folder: facts, and times in nanoseconds, by path."""

    facts: dict[str, str]
    times: dict[str, tuple[int, int, int]]


def look(folder: str) -> Look:
    """Looks at a folder, with all below it."""
    seen = Look({}, {})
    _look_at(folder, ".", seen)
    return seen


def _look_at(path: str, name: str, seen: Look) -> None:
    try:
        status = os.lstat(path)
    except PermissionError:
        seen.facts[name] = "out of reach"
        return
    seen.facts[name] = _facts(path, status)
    seen.times[name] = (status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns)
    if stat.S_ISDIR(status.st_mode):
        for below in _names(path):
            _look_at(f"{path}/{below}", f"{name}/{below}", seen)


def _facts(path: str, status: os.stat_result) -> str:
    mode = status.st_mode
    facts = [f"{mode:o}", f"{status.st_uid}:{status.st_gid}"]
    if not stat.S_ISDIR(mode):
        facts += [f"links={status.st_nlink}", f"size={status.st_size}"]
    if stat.S_ISLNK(mode):
        facts.append(os.readlink(path))
    elif stat.S_ISREG(mode):
        facts.append(_digest(path))
    elif stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        facts.append(f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}")
    if not stat.S_ISLNK(mode):
        facts += _attributes(path)
    return " ".join(facts)


def _names(path: str) -> list[str]:
    try:
        fd = os.open(path, _READ)
    except PermissionError:
        return []
    try:
        return sorted(os.listdir(fd))
    finally:
        os.close(fd)


def _digest(path: str) -> str:
    try:
        fd = os.open(path, _READ)
    except PermissionError:
        return "unreadable"
    with os.fdopen(fd, "rb") as file:
        try:
            # A hole of terabytes is not read through.
            head = file.read(4 << 20)
        except OSError as err:
            return f"unreadable: {err.errno}"
    return hashlib.sha256(head).hexdigest()[:12]


def _attributes(path: str) -> list[str]:
    try:
        names = sorted(os.listxattr(path))
        return [f"{name}={os.getxattr(path, name)[:20]!r}" for name in names]
    except PermissionError:
        return ["unreadable"]


def difference(old: Look, new: Look) -> list[str]:
    """Returns what changed between two looks, a line for each path."""
    lines = []
    for name in sorted(old.facts.keys() | new.facts.keys()):
        before, after = old.facts.get(name), new.facts.get(name)
        if before != after:
            lines.append(f"{name}: {after or 'gone'}")
    return lines


def moved(old: Look, new: Look, now_ns: int) -> list[str]:
    """Returns which times of each path moved, and whether to the present.

    Reading moves no access time in a mount, and may move it on ext4: that is left out.
    """
    lines = []
    for name in sorted(old.times.keys() & new.times.keys()):
        pairs = zip("amc", old.times[name], new.times[name], strict=True)
        letters = [_moved(letter, at, now_ns) for letter, was, at in pairs if was != at]
        is_link = new.facts[name].startswith("12")
        if is_link or "c=now" not in letters:  # it was read
            letters = [letter for letter in letters if letter != "a=now"]
        if letters:
            lines.append(f"{name}: {' '.join(letters)}")
    return lines


def _moved(letter: str, time_ns: int, now_ns: int) -> str:
    is_now = abs(time_ns - now_ns) < 60_000_000_000
    return f"{letter}=now" if is_now else f"{letter}={time_ns}"
