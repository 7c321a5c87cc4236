"""Cases about times, link counts and extended attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from case import Case, case

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMES = """
    create new 644
    create d/new 644
    open f rdonly,creat 644
    open f wronly,creat,trunc 644
    open e wronly,trunc
    mkdir new 755
    rmdir n
    unlink f
    unlink d/a
    unlink lf
    unlink p
    mkfifo new 644
    mknod new sock 644
    mknod new chr 644 1:3
    symlink t new
    link f new
    link lf new
    link p new
    link f d/new; unlink f; unlink d/new
    rename f new
    rename f d/new
    rename f x
    rename d/a x
    rename d new
    rename d n
    rename d/sub n
    rename d/sub new
    rename lf new
    rename f f
    link f new; rename f new
    renameat2 f x exchange
    renameat2 f d exchange
    renameat2 f d/sub exchange
    chmod f 600
    chmod f 644
    chmod d 700
    chmod p 600
    chown f 1001 1001
    chown f -1 -1
    chown d 1001 1001
    lchown lf 1001 1001
    chown lf 1001 1001
    utime f now now
    utime f 5 6
    utime f 5.123456789 6.987654321
    utime f 0 0
    utime f -1 -1
    utime f -1.5 -100.000000001
    utime f 2147483647 2147483648
    utime f 4294967295 4294967296
    utime f 15032385535 15032385536
    utime f 1000000000.000000001 1000000000.999999999
    utime f omit 6
    utime f 5 omit
    utime f omit omit
    utime f now omit
    utime f omit now
    utime f 5 6; put f X
    utime f 5 6; utime f omit now
    utime f 5 6; chmod f 600; link f new; rename f d/new
    utime f 5 6; truncate f 10
    utime f 5 6; truncate f 3
    utime f 5 6; setx f user.a v
    utime f 5.5 6.5; times f; put f X; utime f 5.5 6.5; times f
    utime d 5 6; utime n 7 8.9; times d; times n
    utime d 5 6; create d/new 644
    utime d 5 6; chmod d/a 600; put d/a X
    lutime lf 5 6.5; times lf; utime lf 7 8; times lf; times f
    utime p 5 6; utime s 5 6
    open f wronly @a; write @a 0 X; write @a 0 Y
    open f wronly @a; write0 @a
    open f wronly,append @a; write @a - X
    open f rdwr @a; truncate @a 3; truncate @a 3; truncate @a 300
    truncate f 10
    truncate f 0; truncate f 0
    truncate e 0
    truncate g 3; truncate g 100k
    open f rdwr,noatime @a; map @a shared 0 Z
    open f rdwr,noatime @a; map @a private 0 Z
    open f rdwr @a; fsync @a
    open f rdonly,noatime @a; open new rdwr,creat 644 @b; copyrange @a 0 @b 0 5
    open f rdonly @a; read @a 0 5
    open f wronly @a; utime @a 5 6; write @a 0 X
    open f wronly @a; unlink f; write @a 0 X
    setx f user.a v; setx f user.a v; rmx f user.a
    setx d user.a v; rmx d user.a
    setx d user.a v create; setx d user.a w replace
    getx f user.a
    listx f
    readlink lf
    list d
    stat f; lstat lf; access f r; namemax f
    chdir d
    exec x
    mkdir n 755
    create f 644
    unlink missing
    rmdir d
    link missing new
    rename missing f
    truncate d 3
    open d/new wronly,creat 600 @a; write @a 0 X; close @a
""".strip().splitlines()


def time_cases() -> Iterator[Case]:
    """Which times of an object and of its folders a call moves."""
    for line in TIMES:
        yield case("times", line.strip(), times=True)
    for call in ("utime f 5 6", "utime f now now", "utime f now omit", "utime f omit now"):
        for mode in ("600", "666", "444", "464"):
            for caller in ("1001:1001", "1002:1002", "0:0"):
                given = f"chown f 1001 1001; chmod f {mode}; as {caller}"
                yield case("times", f"{given}; {call}", times=True)


LINKS = """
    link f h; link h i; unlink f; unlink h; unlink i
    link f h; put h X; put f YY
    link f h; chmod h 600; chown h 1001 1001
    link f d/h; rename d/h n/h; unlink f
    link f h; truncate h 3; setx h user.a v
    link lf hl; unlink lf; readlink hl
    link p hp; unlink p; stat hp
    link s hs; unlink s
    link cd hcd; unlink cd
    link d new
    link n new
    link d/ new
    link f n
    link f d
    link f f
    link f .
    link lm new
    link loop new
    link f h; rename h x
    link f h; rename x h
    link f h; renameat2 h x exchange
    link f h; open h rdwr @a; unlink h; write @a 0 X; same @a f
    link f h; same f h; unlink f; create f 644; same f h
    open f rdonly @a; link f h; same @a h; unlink f; same @a h; unlink h; fstat @a
    mkdir n/b 755; mkdir n/b/c 755; rmdir n/b; rmdir n/b/c; rmdir n/b; rmdir n
    mkdir n/b 755; rename n/b d/b; rmdir n
    mkdir n/b 755; create n/b/f 600; rename n/b d/sub; unlink d/sub/b; rename n/b d/sub
    create .a 600; create ... 600; create ..a 600; mkdir a\\b 755; create -x 600; list .
    create ~255 600; link ~255 h; rename ~255 d/~255; unlink d/~255; stat h
    mkdir ~255 755; create ~255/~255 600; rename ~255 d/~255; unlink d/~255/~255
    symlink ^4095:t new; readlink new
    symlink ^4096:t new
    symlink '' new
    symlink ~255 new; stat new; lstat new
    symlink ~256 new; stat new; lstat new
    symlink / new; symlink . here; list here; symlink .. up
    symlink f l1; symlink l1 l2; symlink l2 l3; stat l3; put l3 X; unlink l2; stat l3
    symlink d dd; create dd/new 600; rename dd/new dd/sub/new; unlink dd; rmdir dd
    symlink new s1; open s1 rdwr,creat 600; stat new
    symlink d/new s1; open s1 rdwr,creat 600; open s1 rdwr,creat,excl 600
    symlink missing/new s1; open s1 rdwr,creat 600; mkdir s1 755; mkdir s1/ 755
    symlink n ln; rmdir ln; rmdir ln/; rename ln/ new; unlink ln/; unlink ln
    chmod lf 600; lstat lf; lstat f
    chmod d 0; list d; stat d/a; chmod d 755
    chmod f 0; open f rdonly; access f rw; chmod f 7777
    mknod b blk 600 7:0; mknod c chr 600 5:1; mknod big chr 600 511:1048575
    mknod c chr 600 1:3; open c rdwr
    mknod c chr 600 1:5; chmod c 644; chown c 1001 1001; unlink c
    mknod r reg 600; put r X; unlink r
    mkfifo q 600; open q rdwr @a; write @a - hi; unlink q; fstat @a
    open s rdonly
    open cd rdonly
    rename cd n/cd; lstat n/cd; unlink n/cd
""".strip().splitlines()


def link_cases() -> Iterator[Case]:
    """Link counts, links of both kinds, and special files."""
    for line in LINKS:
        yield case("links", line.strip())


XATTRS = """
    setx {} user.a v; getx {} user.a; listx {}; rmx {} user.a; getx {} user.a; rmx {} user.a
    setx {} user.a v create; setx {} user.a w create; getx {} user.a
    setx {} user.a v replace; setx {} user.a v; setx {} user.a w replace; getx {} user.a
    setx {} user.a ''; getx {} user.a; listx {}
    setx {} user. v; getx {} user.; rmx {} user.
    setx {} user v
    setx {} a v; getx {} a; rmx {} a
    setx {} nope.a v; getx {} nope.a
    setx {} security.mlbfs v; getx {} security.mlbfs
    setx {} trusted.mlbfs v; getx {} trusted.mlbfs; listx {}
    setx {} system.mlbfs v; getx {} system.mlbfs
    getx {} system.posix_acl_access; getx {} security.capability; getx {} security.selinux
    setx {} user.~200 v; listx {}
    setx {} user.~250 v; listx {}
    setx {} user.~251 v
    setx {} user.a 1000*v; getx {} user.a
    setx {} user.a 64k*v; setx {} user.a 64k+1*v
    setx {} user.é v; listx {}
    setx {} user.a v; setx {} user.b w; setx {} user.c x; rmx {} user.b; listx {}
    setx {} user.a v; chmod {} 700; chown {} 1001 1001; getx {} user.a
    setx {} user.a v; rename {} new; getx new user.a; listx new
    chown {} 1001 1001; as 1002:1002; setx {} user.a v; getx {} user.a; rmx {} user.a
    chown {} 1001 1001; as 1001:1001; setx {} user.a v; getx {} user.a; setx {} trusted.a v
    chown {} 1001 1001; chmod {} 1777; as 1002:1002; setx {} user.a v; getx {} user.a
    chmod {} 0; chown {} 1001 1001; as 1001:1001; setx {} user.a v; getx {} user.a; listx {}
""".strip().splitlines()


def xattr_cases() -> Iterator[Case]:
    """Extended attributes of every kind of object."""
    for path in ("f", "d", "n", "p", "s", "lf", "lm", "missing"):
        for line in XATTRS:
            yield case("xattr", line.strip().replace("{}", path))
    yield case("xattr", "lsetx lf user.a v; lsetx lf trusted.a v")
    yield case("xattr", "link f h; setx f user.a v; getx h user.a; unlink f; getx h user.a")
    yield case("xattr", "open f rdwr @a; setx @a user.a v; unlink f; getx @a user.a; listx @a")
    yield case("xattr", "setx f user.a v; put f X; truncate f 0; getx f user.a")
    yield case("xattr", "setx f user.a v; rename f x; getx x user.a; create f 600; getx f user.a")
