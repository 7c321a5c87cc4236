"""SQLite on a real mount: both journals, two processes, and kills of the writer and the daemon."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from mlbfs.mount import session
from tests.mount.programs import mlbfs

if TYPE_CHECKING:
    from pathlib import Path

    from tests.mount.conftest import Mounts

pytestmark = pytest.mark.fuse

SQL_CHILD = """
import sqlite3, sys
base = sqlite3.connect(sys.argv[1], timeout=60)
for number in range(30):
    with base:
        base.execute("insert into t values(?, ?)", (sys.argv[2], number))
"""

SQL_KILLED = """
import sqlite3, sys
base = sqlite3.connect(sys.argv[1], timeout=60)
base.execute("pragma cache_size=1")
base.execute("begin immediate")
base.executemany("insert into t values('lost', ?)", [(n,) for n in range(20000)])
print("half", flush=True)
sys.stdin.read()
"""

SQL_COUNTER = """
import sqlite3, sys
base = sqlite3.connect(sys.argv[1], timeout=60)
base.execute("pragma synchronous=full")
number = 0
while True:
    with base:
        base.execute("insert into t values('counted', ?)", (number,))
        base.execute("update blob set data = zeroblob(?) where id = ?", (1000, number % 500))
    print(number, flush=True)
    number += 1
"""


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_sqlite(work: Path, journal: str) -> None:
    """A database works in both journal modes, with two connections."""
    path = work / "a.db"
    one = sqlite3.connect(path)
    assert one.execute(f"pragma journal_mode={journal}").fetchone() == (journal,)
    one.execute("create table t(a)")
    one.executemany("insert into t values(?)", [(n,) for n in range(1000)])
    one.commit()
    two = sqlite3.connect(path)
    assert two.execute("select sum(a) from t").fetchone() == (499500,)
    two.execute("delete from t where a >= 10")
    two.commit()
    two.close()
    assert one.execute("select count(*) from t").fetchone() == (10,)
    assert one.execute("pragma integrity_check").fetchone() == ("ok",)
    one.close()


@pytest.mark.slow
@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_sqlite_in_two_processes(work: Path, journal: str) -> None:
    """Two processes write in turn; a third is killed in its transaction, which is undone."""
    path = work / "b.db"
    base = sqlite3.connect(path, timeout=60)
    assert base.execute(f"pragma journal_mode={journal}").fetchone() == (journal,)
    base.execute("create table t(who, n)")
    running = [
        subprocess.Popen([sys.executable, "-c", SQL_CHILD, path, name]) for name in ("one", "two")
    ]
    assert [process.wait(120) for process in running] == [0, 0]
    killed = subprocess.Popen(
        [sys.executable, "-c", SQL_KILLED, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == b"half\n"
        killed.kill()
    rows = base.execute("select who, count(*), sum(n) from t group by who").fetchall()
    assert rows == [("one", 30, 435), ("two", 30, 435)]
    assert base.execute("pragma integrity_check").fetchone() == ("ok",)
    base.close()


def make_large(path: Path, journal: str) -> None:
    """Makes a database of some megabytes, so that changes of its committed form are extents."""
    with closing(sqlite3.connect(path)) as base:
        assert base.execute(f"pragma journal_mode={journal}").fetchone() == (journal,)
        base.execute("create table t(who, n)")
        base.execute("create table blob(id integer primary key, data)")
        with base:
            rows = ((n, n.to_bytes(4, "little") * 1500) for n in range(500))
            base.executemany("insert into blob values(?, ?)", rows)


@pytest.mark.slow
@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_sqlite_over_a_killed_daemon(mounts: Mounts, journal: str) -> None:
    """What SQLite committed in a committed database is there after the daemon was killed."""
    place = mounts.mount("main")
    make_large(place / "large.db", journal)
    assert (place / "large.db").stat().st_size > 2_000_000
    mlbfs(place, "commit", "-m", "a database")
    session.unmount(place)
    place = mounts.mount("main")
    writer = subprocess.Popen(
        [sys.executable, "-c", SQL_COUNTER, place / "large.db"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # it meets the end of the mount in the middle of its work
    )
    with writer:
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(20)]
        mounts.kill(place)
        told += [int(line) for line in writer.stdout]
    assert told == list(range(len(told)))
    place = mounts.mount("main")
    with closing(sqlite3.connect(place / "large.db")) as base:
        counted = [n for (n,) in base.execute("select n from t order by n")]
        assert counted[: len(told)] == told
        assert len(counted) <= len(told) + 1  # one may have been committed and not told
        assert base.execute("pragma integrity_check").fetchone() == ("ok",)
