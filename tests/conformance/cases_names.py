"""Cases about paths: what every call makes of every kind of path, and of two of them."""

# ruff: noqa: SIM905 - these are tables of words
from __future__ import annotations

from itertools import chain, combinations
from typing import TYPE_CHECKING

from case import Case, case

if TYPE_CHECKING:
    from collections.abc import Iterator

ONE_PATH = """
    open {} rdonly
    open {} wronly
    open {} rdwr,creat 640
    open {} rdonly,directory
    open {} rdonly,creat,excl 600
    open {} rdwr,creat,directory 600
    open {} path
    open {} rdonly,nofollow
    open {} wronly,trunc
    open {} wronly,tmpfile 600
    mkdir {} 750
    rmdir {}
    unlink {}
    mkfifo {} 640
    mknod {} sock 640
    mknod {} reg 640
    mknod {} chr 640 1:3
    mknod {} dir 750
    mknod {} none 640
    symlink t {}
    readlink {}
    stat {}
    lstat {}
    access {} rwx
    list {}
    chmod {} 600
    chown {} 1001 1002
    lchown {} 1001 1002
    truncate {} 3
    utime {} 5 6
    lutime {} 5 6
    setx {} user.a v
    getx {} user.a
    listx {}
    rmx {} user.a
    namemax {}
    chdir {}
    exec {}
    link {} new
    link f {}
""".strip().splitlines()

PATHS = """
    f f/ f/x f/. f/.. x e d d/ d/. d/.. . .. '' d/a d/a/ d/missing d/missing/ d/missing/x
    missing missing/ missing/x missing/. n n/ n/. lf lf/ lf/x ld ld/ ld/a ld/. ld/.. lm lm/ lm/x
    loop loop/ loop/x la p p/ p/x s s/ cd cd/ ~255 ~255/ ~256 ~256/x ~255/x d/~255 d/~256
    ^4095:f ^4096:f ^4095:missing ^4096:missing ^4095:d/a .//d//a ./in/../f ../in/f
""".split()


def one_path_cases() -> Iterator[Case]:
    """Every call with every kind of path."""
    for call in ONE_PATH:
        for path in PATHS:
            yield case("one path", call.strip().format(path))


TWO_PATHS = (
    "rename {} {}",
    "renameat2 {} {} noreplace",
    "renameat2 {} {} exchange",
    "renameat2 {} {} noreplace,exchange",
    "link {} {}",
)

ENDS = """
    f x e d n d/ n/ d/a d/sub d/sub/new d/new lf ld ld/ lm loop missing missing/ missing/x f/x .
    .. d/. d/.. p s ~255 ~256 d/~256
""".split()


def two_path_cases() -> Iterator[Case]:
    """Every call that takes two paths, with every pair of kinds."""
    for call in TWO_PATHS:
        for old in ENDS:
            for new in ENDS:
                yield case("two paths", call.format(old, new))
    for flags in ("whiteout", "noreplace,whiteout", "exchange,whiteout"):
        for pair in ("f new", "d new", "missing new", "f x"):
            yield case("two paths", f"renameat2 {pair} {flags}")
    for first, then in REPEATED:
        yield case("two paths", f"{first}; {then}")


REPEATED = [
    ("link f h", "rename f h"),
    ("link f h", "rename h f"),
    ("link f h", "renameat2 f h exchange"),
    ("link f h", "renameat2 f h noreplace"),
    ("rename d n", "list n"),
    ("rename d n", "rename n/sub d"),
    ("renameat2 d n exchange", "rename n d/sub"),
    ("renameat2 d f exchange", "put d more"),
    ("renameat2 d/sub f exchange", "list f"),
    ("rename lf moved", "readlink moved"),
    ("rename p q", "stat q"),
    ("rename f ~255", "stat ~255"),
    ("rename ~255 f", "mkdir ~255 755"),
    ("unlink f", "create f 600"),
    ("unlink d/a", "mkdir d/a 700"),
    ("unlink lf", "mkdir lf 700"),
    ("rmdir n", "create n 600"),
    ("unlink d/a", "rmdir d"),
    ("unlink d/sub/b", "rmdir d/sub"),
    ("rename d/sub n/sub", "rmdir d/sub"),
    ("rename f d/sub/b", "list d/sub"),
]

_OPTIONAL = ("creat", "excl", "trunc", "append", "directory", "nofollow")


def open_cases() -> Iterator[Case]:
    """Every combination of flags with every kind of object, and a write to what was opened."""
    subsets = list(
        chain.from_iterable(combinations(_OPTIONAL, n) for n in range(len(_OPTIONAL) + 1))
    )
    for access in ("rdonly", "wronly", "rdwr"):
        for subset in subsets:
            how = ",".join((access, *subset))
            for path in ("f", "missing", "d", "n", "lf", "ld", "lm", "loop", "s", "missing/"):
                yield case("open", f"open {path} {how} 640 @a; write @a - W; read @a 0 20")
    for path in ("f", "d", "lf", "lm", "missing", "p", "s"):
        for how in ("path", "path,directory", "path,nofollow", "path,creat", "path,trunc"):
            yield case("open", f"open {path} {how} 640 @a; read @a 0 3; chmod @a 600; fstat @a")
