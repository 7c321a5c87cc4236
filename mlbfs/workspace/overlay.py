"""The metadata database of a workspace: inodes, names, written ranges, extended attributes.

Owns: the SQLite schema and what is asked of it; batch.py has its transactions and statements.py
what changes it. docs/workspace.md has the tables in prose.
Layer: workspace.

Invariants:
  W3. Numbers handed out by `take` are never handed out again, whatever happens.

Concurrency: none of its own; the caller holds the workspace's lock.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import apsw

from mlbfs.errors import (
    ErrorKind,
    FormatVersionError,
    StorageError,
    StoreFullError,
    storage_error,
)
from mlbfs.workspace.batch import Batch
from mlbfs.workspace.rows import SCHEMA, UNSYNCED, Entry, Node
from mlbfs.workspace.statements import (
    ADD_EXTENT,
    CLEAR_ENTRIES,
    CLEAR_EXTENTS,
    CLEAR_NODES,
    CLEAR_UNSYNCED,
    CLEAR_XATTRS,
    COLUMNS,
    CUT_EXTENTS,
    DELETE_ENTRY,
    DELETE_EXTENT,
    DELETE_EXTENTS,
    DELETE_META,
    DELETE_NAMES,
    DELETE_NODE,
    DELETE_UNSYNCED,
    DELETE_XATTR,
    DELETE_XATTRS,
    DROP_EXTENTS_FROM,
    FORGET_CONTENTS,
    INSERT_NODE,
    MOVE_ENTRY,
    NOTE_UNSYNCED,
    PUT_ENTRY,
    RENEW_ENTRY,
    SET_CONTENT,
    SET_GEN,
    SET_META,
    SET_XATTR,
    TOUCH,
    UPDATE_NODE,
)
from mlbfs.workspace.vfs_errors import Io, NoSpace, VfsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

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

_BUSY_TIMEOUT_MS = 10_000
"""To look into a workspace takes a millisecond; on a loaded machine more."""

_CHECKPOINT_PAGES = 4096
"""Pages (16 MiB) in the log before it is folded into the database."""

_SELECT_NODE = f"SELECT {COLUMNS} FROM inode"  # noqa: S608 - constants only
_SYNCS = "syncs"
"""A setting that changes with every sync."""

_SELECT_ENTRY = "SELECT parent,name,ino,off,gen,born FROM entry"


def _values(node: Node) -> tuple[int | bytes | None, ...]:
    return (
        *(node.mode, node.nlink, node.uid, node.gid, node.rdev, node.atime, node.mtime),
        *(node.ctime, node.gen, node.data, node.parent, node.base, node.base_size),
        *(node.target, node.content),
    )


@contextmanager
def _opening(path: Path) -> Iterator[None]:
    """Makes errors of SQLite and of the system those of a workspace that cannot be opened."""
    try:
        yield
    except OSError as err:
        raise storage_error(err, f"cannot open the journal beside {str(path)!r}") from err
    except apsw.Error as err:
        kind = StoreFullError if isinstance(err, apsw.FullError) else StorageError
        raise kind(f"workspace database {str(path)!r}: {err}") from err


def from_database_error(err: apsw.Error) -> VfsError:
    """Returns the answer for an error of SQLite."""
    return (NoSpace if isinstance(err, apsw.FullError) else Io)(str(err))


def _close(database: apsw.Connection) -> None:
    """Closes a connection, whatever the device says of folding in the log."""
    try:
        database.close()
    except apsw.Error as err:
        log.warning("the log of the workspace database is left for the next opening: %s", err)
        database.close(force=True)


class Overlay:
    """Rows of one workspace."""

    def __init__(self, path: Path) -> None:
        with _opening(path):
            self._db = apsw.Connection(str(path))
            self._db.set_busy_timeout(_BUSY_TIMEOUT_MS)  # somebody may look in (kept.py)
        self._run = self._db.execute
        try:
            with _opening(path):
                self._set_up(path)
                self._batch = Batch(self._db, path.with_name("journal"))
        except BaseException:
            _close(self._db)  # it holds a lock
            raise
        self._change = self._batch.change
        self.restore = self._batch.restore
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
        """Closes the database; the log is folded in, if the device lets it be.

        What it refuses is in the journal or in the log, and is done at the next opening.
        """
        try:
            self._batch.commit()
        except apsw.Error as err:
            log.warning("the journal keeps what the workspace database refuses: %s", err)
        self._batch.close()
        _close(self._db)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._batch.is_open

    @property
    def has_room(self) -> bool:
        """Whether a transaction will not wait for the disk: others before it can wait, too."""
        return self._batch.has_room

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
        if self._batch.is_open:
            yield
            return
        self.start()
        try:
            yield
        except BaseException as err:
            self.abandon()
            if isinstance(err, apsw.Error):
                raise from_database_error(err) from err
            raise
        self.finish()

    def start(self) -> None:
        """Begins a transaction that `finish` or `abandon` ends; none is under way.

        Raises:
            NoSpace: The device is full.
            Io: The database failed.
        """
        try:
            self._stock_up()
            self._batch.start()
        except apsw.Error as err:
            raise from_database_error(err) from err

    def finish(self) -> None:
        """Ends a transaction.

        Raises:
            NoSpace: The device is full; nothing happened.
            Io: The database failed; nothing happened.
        """
        try:
            self._batch.finish()
        except apsw.Error as err:
            self.abandon()
            raise from_database_error(err) from err

    def abandon(self) -> None:
        """Ends a transaction: nothing happened."""
        self._free[OFFSET_COUNTER] = (0, 0)
        self._batch.abandon()

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
        self._batch.commit()
        self._run("PRAGMA synchronous=FULL")
        try:
            with self.transaction():
                if with_bytes:
                    self._change(CLEAR_UNSYNCED, ())
                self.set(_SYNCS, self.get_int(_SYNCS, 0) + 1)
        finally:
            self._run("PRAGMA synchronous=NORMAL")
        self._synced = self.changes

    def fold(self) -> None:
        """Folds the log into the database, so that its room is used again from the front.

        Best effort, for a device that is full: what could not be folded in stays in the log.
        """
        with suppress(apsw.Error):
            self._batch.set_aside()
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
        """Stores a setting; its transaction is in the database when it ends."""
        with self.transaction():
            self._change(SET_META, (key, value))
            self._batch.settle()

    def delete(self, key: str) -> None:
        """Removes a setting; its transaction is in the database when it ends."""
        with self.transaction():
            self._change(DELETE_META, (key,))
            self._batch.settle()

    def take(self, counter: str) -> int:
        """Returns a number that this counter has never given before (W3)."""
        at, end = self._free[counter]
        if at == end:
            at, end = self._reserve(counter)
        self._free[counter] = (at + 1, end)
        return at

    def _reserve(self, counter: str) -> tuple[int, int]:
        if self._batch.is_open:
            # W3: a reservation must not be undone. An offset may: its row goes back with it.
            assert counter == OFFSET_COUNTER, "see _stock_up"
            return self._take_block(counter)
        self._batch.start()
        try:
            block = self._take_block(counter)
            self._batch.finish()
        except BaseException:
            self._batch.abandon()
            raise
        return block

    def _take_block(self, counter: str) -> tuple[int, int]:
        at = self.get_int(counter, 1)
        self._change(SET_META, (counter, at + _BLOCK))
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
        self._change(INSERT_NODE, (node.ino, *_values(node)))

    def update_node(self, node: Node) -> None:
        """Stores all columns of an inode."""
        self._change(UPDATE_NODE, (*_values(node), node.ino))

    def touch(self, node: Node) -> None:
        """Stores the times of an inode."""
        self._change(TOUCH, (node.mtime, node.ctime, node.ino))

    def set_gen(self, ino: int, gen: int) -> None:
        """Stores the generation of an inode."""
        self._change(SET_GEN, (gen, ino))

    def set_content(self, ino: int, content: bytes | None) -> None:
        """Stores under which id the bytes of a file are in the store; None if they are not."""
        self._change(SET_CONTENT, (content, ino))

    def forget_contents(self) -> None:
        """Forgets under which ids the bytes of files are in the store."""
        self._change(FORGET_CONTENTS, ())

    def delete_node(self, ino: int) -> None:
        """Removes an inode with all that hangs on it; its names must be gone."""
        self._change(DELETE_NODE, (ino,))
        self._change(DELETE_NAMES, (ino,))
        self._change(DELETE_EXTENTS, (ino,))
        self._change(DELETE_XATTRS, (ino,))
        self._change(DELETE_UNSYNCED, (ino,))

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
        for statement in (CLEAR_NODES, CLEAR_ENTRIES, CLEAR_EXTENTS, CLEAR_XATTRS):
            self._change(statement, ())

    def names(self, ino: int) -> list[Entry]:
        """Returns the names of an inode."""
        # The second condition tells SQLite that the partial index on names will do.
        rows = self._run(_SELECT_ENTRY + " WHERE ino=? AND ino!=0", (ino,))
        return [Entry(*row) for row in rows]

    def put_entry(self, parent: int, name: bytes, ino: int, off: int, gen: int) -> None:
        """Points a name to an inode; a row that is there keeps its offset and age."""
        self._change(PUT_ENTRY, (parent, name, ino, off, gen, gen))

    def renew_entry(self, entry: Entry, gen: int) -> None:
        """Marks a name as changed in a generation, if it still means the same."""
        self._change(RENEW_ENTRY, (gen, entry.parent, entry.name, entry.ino))

    def settle_entry(self, entry: Entry) -> None:
        """Marks a name as unchanged since the last commit, and as old as that."""
        self._run(
            "UPDATE entry SET gen=0,born=0 WHERE parent=? AND name=?", (entry.parent, entry.name)
        )

    def move_entry(self, entry: Entry, off: int) -> None:
        """Changes the listing offset of a name."""
        self._change(MOVE_ENTRY, (off, entry.parent, entry.name))

    def delete_entry(self, parent: int, name: bytes) -> None:
        """Removes the row of a name, so that the base shows."""
        self._change(DELETE_ENTRY, (parent, name))

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
                self._change(DELETE_EXTENT, (ino, old))
        self._change(ADD_EXTENT, (ino, start, stop))

    def clip_extents(self, ino: int, size: int) -> None:
        """Drops the ranges from `size` on."""
        self._change(DROP_EXTENTS_FROM, (ino, size))
        self._change(CUT_EXTENTS, (size, ino, size))

    def note_unsynced(self, ino: int) -> None:
        """Notes that a file has bytes that may not be durable, though rows speak of them."""
        self._change(NOTE_UNSYNCED, (ino,))

    def unsynced(self) -> list[int]:
        """Returns the files that `note_unsynced` named."""
        return [ino for (ino,) in self._run("SELECT ino FROM unsynced")]

    def set_extents(self, ino: int, extents: Iterable[tuple[int, int]]) -> None:
        """Stores all the ranges of a file."""
        self.clip_extents(ino, 0)
        for start, stop in extents:
            self._change(ADD_EXTENT, (ino, start, stop))

    # Extended attributes

    def xattrs(self, ino: int) -> dict[bytes, bytes]:
        """Returns the extended attributes of an inode."""
        return dict(self._run("SELECT name,value FROM xattr WHERE ino=? ORDER BY name", (ino,)))

    def set_xattr(self, ino: int, name: bytes, value: bytes) -> None:
        """Stores an extended attribute."""
        self._change(SET_XATTR, (ino, name, value))

    def delete_xattr(self, ino: int, name: bytes) -> None:
        """Removes an extended attribute."""
        self._change(DELETE_XATTR, (ino, name))
