"""Cases about the sticky bit, set-user-id, set-group-id and the umask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from case import Case, case

if TYPE_CHECKING:
    from collections.abc import Iterator


def sticky_cases() -> Iterator[Case]:
    """Who may remove and move what in a sticky folder."""
    calls = (
        "unlink d/a",
        "rmdir d/n",
        "rename d/a d/z",
        "rename d/n d/z",
        "rename d/a new",
        "rename f d/a",
        "rename d/n new",
        "rename n d/n",
        "renameat2 d/a f exchange",
        "link d/a d/z",
    )
    for folder in (1001, 1002, 0):
        for owner in (1001, 1002):
            for caller in ("1001:1001", "1002:1002", "1003:1003,1001", "0:0"):
                for call in calls:
                    uid = caller.partition(":")[0]
                    given = (
                        f"mkdir d/n 777; chown d/n {owner} 1001; chown d/a {owner} 1001;"
                        f"chmod d/a 666; chown f {uid} 1001; chown n {uid} 1001; chmod . 777;"
                        f"chown d {folder} 1001; chmod d 1777"
                    )
                    yield case("sticky", f"{given}; as {caller}; {call}")


SET_ID_CALLS = """
    open f wronly @a; write @a 0 X
    open f wronly,append @a; write @a - X
    open f wronly @a; write0 @a
    truncate f 3
    truncate f 10
    open f rdwr @a; truncate @a 20
    open f wronly,trunc
    open f rdwr @a; map @a shared 0 Z
    open f rdwr @a; map @a private 0 Z
    open f rdwr @a; fallocate @a none 0 8k
    chown f -1 -1
    chown f 1001 -1
    chown f -1 1001
    chown f -1 2001
    chown f 1002 1002
    chmod f 6755
    chmod f 2750
    chmod f 755
    utime f now now
    utime f 5 6
    setx f user.a v
    link f new
    rename f new
    open f rdonly @a; read @a 0 5
""".strip().splitlines()


def set_id_cases() -> Iterator[Case]:
    """When the bits that lend somebody's rights are taken away."""
    callers = ("0:0", "1001:1001", "1001:1001,2001", "1002:1002", "1002:1002,2001")
    for mode in ("4755", "2755", "2766", "6777", "4666", "6676", "6766", "7777"):
        for gid in ("1001", "2001"):
            for caller in callers:
                for call in SET_ID_CALLS:
                    given = f"chmod . 777; chown f 1001 {gid}; chmod f {mode}"
                    yield case("set id", f"{given}; as {caller}; {call.strip()}")
    for mode in ("2755", "2777", "3777", "6777"):
        for gid in ("1001", "2001"):
            for caller in ("0:0", "1001:1001", "1001:1001,2001", "1002:1002"):
                for call in _IN_SET_GROUP:
                    given = f"chown n 1001 {gid}; chmod n {mode}"
                    yield case("set id", f"{given}; as {caller}; {call}")


_IN_SET_GROUP = (
    "mkdir n/b 755",
    "mkdir n/b 2755",
    "mkdir n/b 7777; create n/b/c 6777",
    "create n/b 644",
    "create n/b 2755",
    "create n/b 2766",
    "create n/b 6777",
    "open n/b rdwr,creat 2755 @a; write @a 0 X",
    "mkfifo n/b 2755",
    "mknod n/b sock 2755",
    "mknod n/b reg 6755",
    "symlink t n/b",
    "chown n -1 -1",
    "chown n -1 1001",
    "chmod n 2700",
)


def umask_cases() -> Iterator[Case]:
    """What the umask takes away, and what it does not."""
    for mask in ("0", "22", "27", "77", "177", "777"):
        for call in ("create new", "mkdir new", "mkfifo new", "mknod new sock", "mknod new reg"):
            for mode in ("0", "644", "666", "755", "777", "1777", "4777", "2777", "7777"):
                yield case("umask", f"umask {mask}; {call} {mode}")
        yield case("umask", f"umask {mask}; symlink t new")
        yield case("umask", f"umask {mask}; open new rdwr,creat 666 @a; write @a 0 X")
        yield case("umask", f"umask {mask}; chmod f 7777")
