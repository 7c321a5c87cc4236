"""Cases about who may do what: mode bits of each class, supplementary groups, owners."""

from __future__ import annotations

from typing import TYPE_CHECKING

from case import Case, case

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLERS = {
    "1001:1001": 6,
    "1002:1001": 3,
    "1002:1002,1001": 3,
    "1002:1002,2002": 0,
    "1001:2001": 6,
    "0:0": 6,
}
"""Who, and how far the bits of its class lie to the left. The object is of 1001:1001."""

ON_A_FILE = """
    open f rdonly
    open f wronly
    open f rdwr
    open f rdonly,trunc
    open f wronly,append
    open f path
    open f rdonly,noatime
    truncate f 3
    access f r
    access f w
    access f x
    utime f now now
    utime f 5 6
    utime f now omit
    utime f omit omit
    setx f user.a v
    getx f user.a
    listx f
    rmx f user.a
    chmod f 644
    link f new
    rename f new
    exec x
""".strip().splitlines()

IN_A_FOLDER = """
    list d
    stat d
    stat d/a
    open d/a rdonly
    put d/a new
    create d/new 644
    mkdir d/new 755
    mkfifo d/new 644
    symlink t d/new
    link f d/new
    link d/a new
    unlink d/a
    rmdir d/sub
    rename d/a new
    rename f d/a
    rename d/a d/z
    rename d/sub new
    renameat2 d/a f exchange
    chdir d
    chmod d 700
    utime d now now
    setx d user.a v
""".strip().splitlines()


def rights_cases() -> Iterator[Case]:
    """Every class of bits, where the other classes have the opposite."""
    for caller, shift in CALLERS.items():
        for bits in range(8):
            mode = (0o777 ^ 0o111 * bits) & ~(7 << shift) | bits << shift
            before = f"chown f 1001 1001; chown x 1001 1001; chmod f {mode:o}; chmod x {mode:o}"
            for call in ON_A_FILE:
                yield case("rights", f"chmod . 777; {before}; as {caller}; {call.strip()}")
            before = f"chown d 1001 1001; chmod d {mode:o}"
            for call in IN_A_FOLDER:
                yield case("rights", f"chmod . 777; {before}; as {caller}; {call.strip()}")


_WHO = ("0:0", "1001:1001", "1001:1001,2001", "1002:1002,1001")


def chown_cases() -> Iterator[Case]:
    """Who may give what to whom, and what becomes of mode bits."""
    for caller in _WHO:
        for target in ("f", "d", "lf"):
            call = "lchown" if target == "lf" else "chown"
            for uid in (-1, 1001, 1002):
                for gid in (-1, 1001, 2001, 2002):
                    given = f"{call} {target} 1001 1001"
                    yield case("chown", f"{given}; as {caller}; {call} {target} {uid} {gid}")
    for caller in _WHO:
        for mode in ("644", "2755", "4755", "1777", "7777"):
            for gid in ("1001", "2001", "2002"):
                given = f"chown f 1001 {gid}; chown d 1001 {gid}"
                yield case("chown", f"{given}; as {caller}; chmod f {mode}; chmod d {mode}")
