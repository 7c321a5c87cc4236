"""Words of a step: how numbers, flags, long names and long paths are written.

- `~255`: a name of 255 bytes.
- `^4095:f`: a path to `f` that is 4,095 bytes long.
- `creat,excl`: flags, by name.
- `4g+1`: a number; `100*x`: a text.
"""

from __future__ import annotations

import os
import re
import stat

OPEN = {
    "rdonly": os.O_RDONLY,
    "wronly": os.O_WRONLY,
    "rdwr": os.O_RDWR,
    "creat": os.O_CREAT,
    "excl": os.O_EXCL,
    "trunc": os.O_TRUNC,
    "append": os.O_APPEND,
    "directory": os.O_DIRECTORY,
    "nofollow": os.O_NOFOLLOW,
    "path": os.O_PATH,
    "direct": os.O_DIRECT,
    "sync": os.O_SYNC,
    "tmpfile": os.O_TMPFILE,
    "noatime": os.O_NOATIME,
}
RENAME = {"none": 0, "noreplace": 1, "exchange": 2, "whiteout": 4}
TYPES = {
    "reg": stat.S_IFREG,
    "fifo": stat.S_IFIFO,
    "sock": stat.S_IFSOCK,
    "chr": stat.S_IFCHR,
    "blk": stat.S_IFBLK,
    "dir": stat.S_IFDIR,
    "none": 0,
}
XATTR = {"any": 0, "create": os.XATTR_CREATE, "replace": os.XATTR_REPLACE}
FALLOCATE = {"keep": 1, "punch": 2, "collapse": 8, "zero": 16, "insert": 32, "none": 0}
WHENCE = {"set": 0, "cur": 1, "end": 2, "data": os.SEEK_DATA, "hole": os.SEEK_HOLE}

_LONG_NAME = re.compile(r"~([0-9]+)")
_LONG_PATH = re.compile(r"\^([0-9]+):(.*)")


def flags(table: dict[str, int], word: str) -> int:
    """Returns the flags that a word names, separated by commas."""
    value = 0
    for name in word.split(","):
        value |= table[name]
    return value


def path(word: str) -> str:
    """Returns the path that a word stands for; `''` is the empty one."""
    word = _LONG_NAME.sub(lambda found: "n" * int(found[1]), word)
    found = _LONG_PATH.fullmatch(word)
    if found is not None:
        word = "." + "/" * (int(found[1]) - 1 - len(found[2])) + found[2]
    return "" if word == "''" else word


def size(word: str) -> int:
    """Returns a number: terms with the units k, m, g, t, p and e, joined by `+` and `-`."""
    return sum(_size(term) for term in re.findall("-?[0-9]+[kmgtpe]?", word))


def _size(term: str) -> int:
    power = "kmgtpe".find(term[-1]) + 1
    return int(term[:-1]) << 10 * power if power else int(term)


def data(word: str) -> bytes:
    """Returns bytes: a text, or `N*c`, a letter so many times."""
    count, star, letter = word.rpartition("*")
    return size(count) * letter.encode() if star else word.encode()
