"""The metadata database of a workspace: inodes, names, written ranges, extended attributes.

Owns: the SQLite schema and every statement on it. docs/workspace.md has the tables in prose.
Layer: workspace. The only module that imports apsw.

Invariants:
  W1. Each operation is one transaction; after a kill it has happened or it has not.
  W2. A transaction is in the write-ahead log, so in the kernel, before the operation is answered:
      a killed process loses nothing. Only `sync` makes it durable against a power cut.
  W3. Numbers handed out by `take` are never handed out again, whatever happens.

Concurrency: none of its own; the caller holds the workspace's lock.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import apsw

from mlbfs.errors import ErrorKind, FormatVersionError, StorageError, StoreFullError
from mlbfs.workspace.rows import SCHEMA, UNSYNCED, Entry, Node
from mlbfs.workspace.vfs_errors import Io, NoSpace, VfsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

DatabaseError = apsw.Error
"""What SQLite raises, for those who translate it."""

SCHEMA_VERSION = 2
"""2: `inode.content` is always true; in 1 it was true while `gen` was committed."""

FIRST_NEW_OFFSET = 1 << 32
"""Listing offsets below are positions in the directory's base; from here on, names of ours."""

WHITEOUT = 0
"""Inode number in the row of a name of the base that is gone."""

_BLOCK = 4096
"""Numbers reserved with one statement."""

_MAX_TAKEN = 16
"""Numbers of one counter that a transaction may take."""

INODE_COUNTER = "next_inode"
OFFSET_COUNTER = "next_offset"
DIRECTORY_COUNTER = "next_directory"
_COUNTERS = (INODE_COUNTER, OFFSET_COUNTER, DIRECTORY_COUNTER)

_CHECKPOINT_PAGES = 4096
"""Pages (16 MiB) in the log before it is folded into the database."""

_COLUMNS = (
    "ino,mode,nlink,uid,gid,rdev,atime,mtime,ctime,gen,data,parent,base,base_size,target,content"
)
_SELECT_NODE = f"SELECT {_COLUMNS} FROM inode"  # noqa: S608 - constants only
_INSERT_NODE = f"INSERT INTO inode({_COLUMNS}) VALUES({','.join('?' * 16)})"
_UPDATE_NODE = (
    "UPDATE inode SET mode=?,nlink=?,uid=?,gid=?,rdev=?,atime=?,mtime=?,ctime=?,gen=?,data=?,"
    "parent=?,base=?,base_size=?,target=?,content=? WHERE ino=?"
)
_COUNT_SYNC = "INSERT INTO meta VALUES('syncs',1) ON CONFLICT(key) DO UPDATE SET value=value+1"
_SELECT_ENTRY = "SELECT parent,name,ino,off,gen,born FROM entry"


def _values(node: Node) -> tuple[int | bytes | None, ...]:
    return (
        *(node.mode, node.nlink, node.uid, node.gid, node.rdev, node.atime, node.mtime),
        *(node.ctime, node.gen, node.data, node.parent, node.base, node.base_size),
        *(node.target, node.content),
    )


def from_database_error(err: apsw.Error) -> VfsError:
    """Returns the answer for an error of SQLite."""
    return (NoSpace if isinstance(err, apsw.FullError) else Io)(str(err))


class Overlay:
    """Rows of one workspace."""

    def __init__(self, path: Path) -> None:
        try:
            self._db = apsw.Connection(str(path))
            self._run = self._db.execute
            self._set_up(path)
        except apsw.Error as err:
            kind = StoreFullError if isinstance(err, apsw.FullError) else StorageError
            raise kind(f"workspace database {str(path)!r}: {err}") from err
        self._free = dict.fromkeys(_COUNTERS, (0, 0))
        self._synced = -1

    def _set_up(self, path: Path) -> None:
        run = self._run
        run("PRAGMA locking_mode=EXCLUSIVE")
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=NORMAL")
        run(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
        run("PRAGMA cache_size=-8192")
        version = self._one("PRAGMA user_version")
        if version == 0:
            with self._db:
                run(SCHEMA)
                run(f"PRAGMA user_version={SCHEMA_VERSION}")
        elif version == 1:
            with self._db:
                run("UPDATE inode SET content=NULL")
                run(f"PRAGMA user_version={SCHEMA_VERSION}")
        elif version != SCHEMA_VERSION:
            raise FormatVersionError(
                f"workspace database {str(path)!r} has version {version}",
                kind=ErrorKind.FORMAT_TOO_NEW,
                hint="update mlbfs",
            )
        run(UNSYNCED)

    def close(self) -> None:
        """Closes the database; the log is folded in."""
        self._db.close()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._db.in_transaction

    @property
    def changes(self) -> int:
        """Number of rows changed since the database was opened."""
        return self._db.total_changes()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Makes what is done inside one transaction; nested use joins the outer one.

        Raises:
            NoSpace: The device is full; nothing happened.
            Io: The database failed; nothing happened.
        """
        if self._db.in_transaction:
            yield
            return
        try:
            self._stock_up()
            self._run("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._roll_back()
                raise
            self._commit()
        except apsw.Error as err:
            raise from_database_error(err) from err

    def _commit(self) -> None:
        try:
            self._run("COMMIT")
        except apsw.Error:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        self._free[OFFSET_COUNTER] = (0, 0)
        if self._db.in_transaction:  # SQLite rolls back by itself on some errors
            self._run("ROLLBACK")

    def sync(self, *, with_bytes: bool = False) -> None:
        """Makes every transaction so far durable; without any since the last time, does nothing.

        Args:
            with_bytes: The bytes of every file that `note_unsynced` named are durable (W9), so it
                need not be noted any longer.

        With `synchronous=FULL` SQLite syncs the whole log at a commit, and with it all frames
        before; a row has to change for there to be a commit.
        """
        if self.changes == self._synced and not with_bytes:
            return
        self._run("PRAGMA synchronous=FULL")
        try:
            with self.transaction():
                if with_bytes:
                    self._run("DELETE FROM unsynced")
                self._run(_COUNT_SYNC)
        finally:
            self._run("PRAGMA synchronous=NORMAL")
        self._synced = self.changes

    def fold(self) -> None:
        """Folds the log into the database, so that its room is used again from the front.

        Best effort, for a device that is full: what could not be folded in stays in the log.
        """
        with suppress(apsw.Error):
            self._run("PRAGMA wal_checkpoint(RESTART)").fetchall()

    # Settings and counters

    def get(self, key: str) -> int | bytes | str | None:
        """Returns a setting, or None."""
        row = self._run("SELECT value FROM meta WHERE key=?", (key,)).fetchone()
        return None if row is None else row[0]

    def get_int(self, key: str, default: int) -> int:
        """Returns a setting that is a number."""
        found = self.get(key)
        return found if isinstance(found, int) else default

    def set(self, key: str, value: int | bytes | str) -> None:
        """Stores a setting."""
        self._run("INSERT OR REPLACE INTO meta VALUES(?,?)", (key, value))

    def delete(self, key: str) -> None:
        """Removes a setting."""
        self._run("DELETE FROM meta WHERE key=?", (key,))

    def take(self, counter: str) -> int:
        """Returns a number that this counter has never given before (W3)."""
        at, end = self._free[counter]
        if at == end:
            at, end = self._reserve(counter)
        self._free[counter] = (at + 1, end)
        return at

    def _reserve(self, counter: str) -> tuple[int, int]:
        # W3: a reservation must not be rolled back. An offset may: its row goes back with it.
        assert not self._db.in_transaction or counter == OFFSET_COUNTER, "see _stock_up"
        at = self.get_int(counter, 1)
        self.set(counter, at + _BLOCK)
        return at, at + _BLOCK

    def _stock_up(self) -> None:
        """Reserves numbers before a transaction, which may use up to `_MAX_TAKEN` (W3)."""
        for counter, (at, end) in self._free.items():
            if end - at < _MAX_TAKEN:
                self._free[counter] = self._reserve(counter)

    # Inodes

    def node(self, ino: int) -> Node | None:
        """Returns an inode, or None."""
        row = self._run(_SELECT_NODE + " WHERE ino=?", (ino,)).fetchone()
        return None if row is None else Node(*row)

    def nodes(self, where: str = "1", *values: int) -> list[Node]:
        """Returns the inodes that meet a condition."""
        return [Node(*row) for row in self._run(f"{_SELECT_NODE} WHERE {where}", values)]

    def insert_node(self, node: Node) -> None:
        """Adds an inode."""
        self._run(_INSERT_NODE, (node.ino, *_values(node)))

    def update_node(self, node: Node) -> None:
        """Stores all columns of an inode."""
        self._run(_UPDATE_NODE, (*_values(node), node.ino))

    def touch(self, node: Node) -> None:
        """Stores the times of an inode."""
        values = (node.mtime, node.ctime, node.ino)
        self._run("UPDATE inode SET mtime=?,ctime=? WHERE ino=?", values)

    def set_gen(self, ino: int, gen: int) -> None:
        """Stores the generation of an inode."""
        self._run("UPDATE inode SET gen=? WHERE ino=?", (gen, ino))

    def set_content(self, ino: int, content: bytes | None) -> None:
        """Stores under which id the bytes of a file are in the store; None if they are not."""
        self._run("UPDATE inode SET content=? WHERE ino=?", (content, ino))

    def forget_contents(self) -> None:
        """Forgets under which ids the bytes of files are in the store."""
        self._run("UPDATE inode SET content=NULL WHERE content IS NOT NULL")

    def delete_node(self, ino: int) -> None:
        """Removes an inode with all that hangs on it; its names must be gone."""
        self._run("DELETE FROM inode WHERE ino=?", (ino,))
        self._run("DELETE FROM entry WHERE parent=?", (ino,))
        self._run("DELETE FROM extent WHERE ino=?", (ino,))
        self._run("DELETE FROM xattr WHERE ino=?", (ino,))
        self._run("DELETE FROM unsynced WHERE ino=?", (ino,))

    # Names

    def entry(self, parent: int, name: bytes) -> Entry | None:
        """Returns the row of a name, whiteouts too, or None."""
        row = self._run(_SELECT_ENTRY + " WHERE parent=? AND name=?", (parent, name)).fetchone()
        return None if row is None else Entry(*row)

    def entry_at(self, parent: int, path: bytes) -> Entry | None:
        """Returns the row at a path below a directory, if all on the way have rows."""
        found = None
        for name in path.split(b"/"):
            found = self.entry(parent, name)
            if found is None:
                return None
            parent = found.ino
        return found

    def entries(self, parent: int) -> list[Entry]:
        """Returns all rows of a directory, by offset."""
        rows = self._run(_SELECT_ENTRY + " WHERE parent=? ORDER BY off", (parent,))
        return [Entry(*row) for row in rows]

    def entries_from(self, parent: int, off: int, limit: int) -> list[Entry]:
        """Returns the rows of a directory from a listing offset on, by offset."""
        rows = self._run(
            _SELECT_ENTRY + " WHERE parent=? AND off>=? ORDER BY off LIMIT ?",
            (parent, off, limit),
        )
        return [Entry(*row) for row in rows]

    def names_between(self, parent: int, first: bytes, last: bytes) -> frozenset[bytes]:
        """Returns the names of a directory's rows from one name to another, whiteouts too."""
        rows = self._run(
            "SELECT name FROM entry WHERE parent=? AND name BETWEEN ? AND ?",
            (parent, first, last),
        )
        return frozenset(name for (name,) in rows)

    def entries_since(self, gen: int) -> list[Entry]:
        """Returns the names that changed after a generation."""
        return [Entry(*row) for row in self._run(_SELECT_ENTRY + " WHERE gen>?", (gen,))]

    def has_changes(self, gen: int) -> bool:
        """Returns whether a name or an inode changed after a generation."""
        return bool(
            self._one(
                "SELECT EXISTS(SELECT 1 FROM entry WHERE gen>?)"
                " OR EXISTS(SELECT 1 FROM inode WHERE gen>?)",
                gen,
                gen,
            )
        )

    def clear_tree(self) -> None:
        """Removes all inodes and names."""
        for table in ("inode", "entry", "extent", "xattr"):
            self._run(f"DELETE FROM {table}")  # noqa: S608 - constants only

    def names(self, ino: int) -> list[Entry]:
        """Returns the names of an inode."""
        # The second condition tells SQLite that the partial index on names will do.
        rows = self._run(_SELECT_ENTRY + " WHERE ino=? AND ino!=0", (ino,))
        return [Entry(*row) for row in rows]

    def put_entry(self, parent: int, name: bytes, ino: int, off: int, gen: int) -> None:
        """Points a name to an inode; a row that is there keeps its offset and age."""
        self._run(
            "INSERT INTO entry VALUES(?,?,?,?,?,?) ON CONFLICT(parent,name)"
            " DO UPDATE SET ino=excluded.ino,gen=excluded.gen",
            (parent, name, ino, off, gen, gen),
        )

    def renew_entry(self, entry: Entry, gen: int) -> None:
        """Marks a name as changed in a generation, if it still means the same."""
        self._run(
            "UPDATE entry SET gen=? WHERE parent=? AND name=? AND ino=?",
            (gen, entry.parent, entry.name, entry.ino),
        )

    def settle_entry(self, entry: Entry) -> None:
        """Marks a name as unchanged since the last commit, and as old as that."""
        self._run(
            "UPDATE entry SET gen=0,born=0 WHERE parent=? AND name=?", (entry.parent, entry.name)
        )

    def move_entry(self, entry: Entry, off: int) -> None:
        """Changes the listing offset of a name."""
        self._run("UPDATE entry SET off=? WHERE parent=? AND name=?", (off, entry[0], entry[1]))

    def delete_entry(self, parent: int, name: bytes) -> None:
        """Removes the row of a name, so that the base shows."""
        self._run("DELETE FROM entry WHERE parent=? AND name=?", (parent, name))

    def has_names(self, parent: int) -> bool:
        """Returns whether a directory has a row that is no whiteout."""
        row = self._run("SELECT 1 FROM entry WHERE parent=? AND ino!=0 LIMIT 1", (parent,))
        return row.fetchone() is not None

    def count_base_rows(self, parent: int) -> int:
        """Returns how many names of its base a directory has rows for."""
        return self._one(
            "SELECT count(*) FROM entry WHERE parent=? AND off<?", parent, FIRST_NEW_OFFSET
        )

    def _one(self, statement: str, *values: int) -> int:
        """Returns the number that an aggregate or a pragma answers with."""
        row = self._run(statement, values).fetchone()
        assert row is not None, "there is always one row"
        return int(row[0])

    # Written ranges

    def extents(self, ino: int) -> list[tuple[int, int]]:
        """Returns the written ranges of a file that stands on a base."""
        rows = self._run("SELECT start,stop FROM extent WHERE ino=?", (ino,))
        return [(start, stop) for start, stop in rows]

    def add_extent(self, ino: int, removed: list[int], start: int, stop: int) -> None:
        """Adds a range in place of those it was joined with."""
        for old in removed:
            if old != start:
                self._run("DELETE FROM extent WHERE ino=? AND start=?", (ino, old))
        self._run("INSERT OR REPLACE INTO extent VALUES(?,?,?)", (ino, start, stop))

    def clip_extents(self, ino: int, size: int) -> None:
        """Drops the ranges from `size` on."""
        self._run("DELETE FROM extent WHERE ino=? AND start>=?", (ino, size))
        self._run("UPDATE extent SET stop=? WHERE ino=? AND stop>?", (size, ino, size))

    def note_unsynced(self, ino: int) -> None:
        """Notes that a file has bytes that may not be durable, though rows speak of them."""
        self._run("INSERT OR IGNORE INTO unsynced VALUES(?)", (ino,))

    def unsynced(self) -> list[int]:
        """Returns the files that `note_unsynced` named."""
        return [ino for (ino,) in self._run("SELECT ino FROM unsynced")]

    def set_extents(self, ino: int, extents: Iterable[tuple[int, int]]) -> None:
        """Stores all the ranges of a file."""
        self.clip_extents(ino, 0)
        rows = [(ino, start, stop) for start, stop in extents]
        self._db.executemany("INSERT INTO extent VALUES(?,?,?)", rows)

    # Extended attributes

    def xattrs(self, ino: int) -> dict[bytes, bytes]:
        """Returns the extended attributes of an inode."""
        return dict(self._run("SELECT name,value FROM xattr WHERE ino=? ORDER BY name", (ino,)))

    def set_xattr(self, ino: int, name: bytes, value: bytes) -> None:
        """Stores an extended attribute."""
        self._run("INSERT OR REPLACE INTO xattr VALUES(?,?,?)", (ino, name, value))

    def delete_xattr(self, ino: int, name: bytes) -> None:
        """Removes an extended attribute."""
        self._run("DELETE FROM xattr WHERE ino=? AND name=?", (ino, name))
