"""Cases about bytes: holes, ends, offsets, maps, and locks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from case import Case, case

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = """
    truncate f 0; truncate f 10
    truncate f 5; truncate f 20
    truncate f 100k; truncate f 3
    truncate f 4g+1
    truncate f 1t; open f rdwr @a; write @a 1t-1 X; read @a 1t-5 10
    truncate f 7e+1023p
    truncate f -1
    truncate missing 3
    open f rdonly @a; truncate @a 3
    open f path @a; truncate @a 3
    open d rdonly @a; truncate @a 3
    open f rdwr @a; truncate @a -1
    open f rdwr @a; write @a 100 X; read @a 0 200
    open f rdwr @a; write @a 100k X; truncate @a 50k; truncate @a 120k; read @a 100k 10
    open f rdwr @a; write @a 4096 X; read @a 0 5000
    open f rdwr @a; write @a 4g X; read @a 4g-5 10; fstat @a
    open f rdwr @a; write @a 15t X; fstat @a
    open f rdwr @a; write @a 17t X; fstat @a
    open f rdwr @a; write @a 7e X; fstat @a
    open f rdwr @a; write @a -1 X
    open f rdwr @a; read @a -1 5
    open f rdonly @a; write @a 0 X
    open f wronly @a; read @a 0 5
    open f rdwr,append @a; write @a 0 X; read @a 0 20
    open f rdwr,append @a; write @a - X; seek @a 0 cur; seek @a 0 set; write @a - Y
    open f rdwr,append @a; truncate @a 3; write @a - X
    open f wronly,append @a; open f wronly,append @b; write @a - 1; write @b - 2; write @a - 3
    open f wronly,append @a; other write @a - 1; write @a - 2
    open f rdwr,trunc @a; read @a 0 5; write @a 5 X; read @a 0 10
    open f rdwr @a; truncate f 0; write @a 3 X; read @a 0 9
    open f rdwr @a; unlink f; write @a 0 X; read @a 0 20; fstat @a; truncate @a 3; fstat @a
    open f rdwr @a; unlink f; chmod @a 600; chown @a 1001 1001; utime @a 5 6; fstat @a
    open f rdwr @a; unlink f; create f 600; write @a 0 X; fstat @a; setx @a user.a v; getx @a user.a
    open f rdwr @a; unlink f; fsync @a; linkfd @a new
    open f rdwr @a; rename x f; write @a 0 X; read @a 0 20; fstat @a
    open f rdwr @a; rename f d/a; write @a 0 X
    open f rdwr @a; link f h; unlink f; write @a 0 X; linkfd @a again
    open f rdonly @a; rename f new; read @a 0 20; same @a new
    open d rdonly @a; rename d new; same @a new
    open n rdonly @a; rmdir n; fstat @a; chmod @a 700; fstat @a
    open n rdonly @a; rmdir n; mkdir n 755; fsync @a
    open d rdonly @a; read @a 0 5
    open d rdonly @a; fsync @a; fdatasync @a
    open f rdwr @a; fsync @a; write @a 0 X; fdatasync @a
    open f rdonly @a; fsync @a
    open f path @a; fsync @a
    open f rdwr,sync @a; write @a 0 X
    open g rdwr @a; seek @a 0 data; seek @a 0 hole; seek @a 5000 data; seek @a 6000 hole
    open g rdwr @a; truncate @a 1m; seek @a 0 hole; seek @a 100k data; seek @a 100k hole
    open g rdwr @a; truncate @a 1m; write @a 512k X; seek @a 100k data; seek @a 512k hole
    open g rdwr @a; seek @a 0 end; seek @a 10 end; seek @a -1 set; seek @a 7e set
    open g rdwr @a; fallocate @a none 0 1m; fstat @a; read @a 4990 20
    open g rdwr @a; fallocate @a keep 0 1m; fstat @a
    open g rdwr @a; fallocate @a punch,keep 0 4096; read @a 0 5000
    open g rdwr @a; fallocate @a punch 0 4096
    open g rdwr @a; fallocate @a zero 0 100; read @a 0 200
    open g rdwr @a; fallocate @a none -1 10
    open g rdwr @a; fallocate @a none 0 0
    open g rdonly @a; fallocate @a none 0 10
    open f rdonly @a; open new rdwr,creat 644 @b; copyrange @a 0 @b 0 100; read @b 0 20
    open f rdonly @a; open g rdwr @b; copyrange @a 5 @b 10 3; read @b 0 20
    open f rdwr @a; copyrange @a 0 @a 5 5; copyrange @a 0 @a 3 5; read @a 0 20
    open f rdonly @a; open g rdonly @b; copyrange @a 0 @b 0 5
    open f rdonly @a; open g wronly,append @b; copyrange @a 0 @b 0 5
    open f rdonly @a; open d rdonly @b; copyrange @b 0 @a 0 5
    open f rdonly @a; open new rdwr,creat 644 @b; sendfile @b @a 0 100; read @b 0 20
    open f rdwr @a; map @a shared 2 ZZ; read @a 0 20
    open f rdwr @a; map @a private 2 ZZ; read @a 0 20
    open f rdonly @a; map @a shared 2 ZZ
    open f rdonly @a; map @a private 2 ZZ
    open f wronly @a; map @a private 2 ZZ
    open d rdonly @a; map @a private 2 ZZ
    open g rdwr @a; map @a shared 4090 ZZZZZZZZZZZ; unlink g; map @a shared 0 Y; fstat @a
    open g rdwr @a; write @a 0 5000*w; map @a shared 3 mm; write @a 1 V; map @a shared 6 nn
    open g rdonly,direct @a; readdirect @a 0 4096; readdirect @a 4096 4096; readdirect @a 8192 4096
    open g rdwr @a; write @a 0 100*d; open g rdonly,direct @b; readdirect @b 0 4096
    open g rdwr,direct @a
    open d rdonly,direct @a
    open x wronly @a; exec x
    exec x; unlink x
    chmod x 644; exec x
    exec d
    exec f
    exec e
    exec missing
    exec p
    put f more; put e more; put x #!/bin/true; exec x
    open f rdwr @a; dup @a @b; write @a - one; write @b - two; seek @a 0 cur
    pathconf . PC_NAME_MAX; pathconf . PC_PATH_MAX; pathconf f PC_NAME_MAX
    pathconf . PC_CHOWN_RESTRICTED; pathconf . PC_NO_TRUNC
    namemax .; namemax f; namemax d/sub
    open new rdwr,creat 0 @a; write @a 0 X; read @a 0 5; open new rdonly
    open new wronly,creat 444 @a; write @a 0 X; fstat @a
    open new rdonly,creat,trunc 644 @a; write @a 0 X; read @a 0 5
    open f wronly,creat 600; lstat f
    open new rdwr,creat,excl 600 @a; open new rdwr,creat,excl 600; open new rdwr,creat 644
    open . rdwr,tmpfile 600 @a; write @a 0 X; linkfd @a new
    open ld rdwr,tmpfile 600 @a
    open missing rdwr,tmpfile 600 @a
    open f rdwr,tmpfile 600 @a
""".strip().splitlines()


def data_cases() -> Iterator[Case]:
    """Reading and writing at every kind of place."""
    for line in DATA:
        yield case("data", line.strip())
    for old in ("0", "1", "10", "4095", "4096", "4097", "5000", "64k", "1m"):
        for new in ("0", "1", "10", "4095", "4096", "4097", "5000", "64k", "1m+1"):
            given = f"truncate g {old}"
            yield case("data", f"{given}; truncate g {new}; truncate g 2m")
            yield case("data", f"{given}; open g rdwr @a; write @a {new} 10*w; read @a 0 2m")
            yield case("data", f"{given}; open g rdwr,append @a; truncate @a {new}; write @a - end")


LOCKS = """
    open f rdwr @a; flock @a ex; otherlock f ex; otherlock f sh; flock @a un; otherlock f ex
    open f rdwr @a; flock @a sh; otherlock f ex; otherlock f sh; flock @a ex
    open f rdwr @a; open f rdwr @b; flock @a ex; flock @b ex; flock @b sh; close @a; flock @b ex
    open f rdwr @a; flock @a ex; other flock @a sh; otherlock f ex; otherlock f sh
    open f rdonly @a; flock @a ex; otherlock f ex
    open f rdwr @a; flock @a ex; unlink f; otherlock f ex
    open f rdwr @a; flock @a ex; rename f g; otherlock g ex; otherlock x ex
    open f rdwr @a; lockf @a ex 0 10; otherlock f ex 0 10; otherlock f ex 10 5; otherlock f sh 9 1
    open f rdwr @a; lockf @a sh 0 10; otherlock f ex 0 10; otherlock f sh 0 10
    open f rdwr @a; lockf @a ex 0 10; lockf @a un 5 5; otherlock f ex 5 5; otherlock f ex 4 1
    open f rdwr @a; lockf @a ex 0 10; dup @a @b; close @b; otherlock f ex 0 10
    open f rdwr @a; open f rdwr @b; lockf @a ex 0 10; lockf @b ex 0 10; close @b; otherlock f ex 0 5
    open f rdonly @a; lockf @a ex 0 10; lockf @a sh 0 10
    open f wronly @a; lockf @a sh 0 10; lockf @a ex 0 10
    open f rdwr @a; lockf @a ex 0 10; flock @a ex; otherlock f ex; otherlock f ex 0 10
    open f rdwr @a; other lockf @a ex 0 10; lockf @a ex 0 10
    open f rdwr @a; lockf @a ex 100 10; otherlock f ex 0 100; otherlock f ex 0 101
    open d rdonly @a; flock @a ex; open d rdonly @b; flock @b sh
    open p rdwr @a; flock @a ex; otherlock p ex
    open lf rdwr @a; flock @a ex; otherlock f ex
    link f h; open f rdwr @a; flock @a ex; otherlock h ex; lockf @a ex 0 5; otherlock h ex 0 5
""".strip().splitlines()


def lock_cases() -> Iterator[Case]:
    """Locks of both kinds, between files and between processes."""
    for line in LOCKS:
        yield case("locks", line.strip(), looks=False)
