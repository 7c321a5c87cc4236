"""Operations on the database that share a transaction.

Each operation happens whole or not at all, and is in the journal before it is answered. The
transaction that several of them share is committed when it has grown, or when somebody needs it in
the database. It can always be made again: what it holds is known here, and is in the journal.

Owns: transactions of SQLite; when they are committed; what becomes of those that fail.
Layer: workspace. docs/workspace.md numbers the invariants.

Invariants:
  W1. An operation is undone as a whole: the transaction is rolled back, and the operations before
      it are done again.
  W2. An operation is in the journal or committed, so in the kernel, before it is answered.

Concurrency: none of its own; the caller holds the workspace's lock.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import apsw

from mlbfs.workspace.journal import Journal, Operation, Value
from mlbfs.workspace.statements import SET_META, STATEMENTS

if TYPE_CHECKING:
    from pathlib import Path

MAX_OPERATIONS = 256
"""Operations that share a transaction. More make it no cheaper, and all of them have to find room
in the log when the device is full (reserve.py)."""

MAX_STATEMENTS = 1024
"""An operation of more is committed by itself, so that its statements need not be kept."""

SALT = "journal_salt"
NUMBER = "journal_number"
"""Settings: what checksums in the journal are made with, and the last operation that is here."""


class Batch:
    """The transaction that operations share."""

    def __init__(self, database: apsw.Connection, path: Path) -> None:
        """Opens the journal and does what the database has not.

        Raises:
            apsw.Error: The database refused.
            OSError: The journal cannot be read.
        """
        self._run = database.execute
        self._db = database
        self._done: list[Operation] = []
        self._operation: Operation | None = None
        self._is_settling = False
        self._is_lost = False
        self._number = 0
        self._journal = Journal(path)
        try:
            self._recover()
        except BaseException:
            self._journal.close()
            raise

    def _recover(self) -> None:
        """Does what the journal has and the database has not, and begins a new journal."""
        settings: dict[str, Value] = dict(
            self._run("SELECT key,value FROM meta WHERE key IN (?,?)", (SALT, NUMBER))
        )
        salt, number = settings.get(SALT), settings.get(NUMBER)
        self._run("BEGIN IMMEDIATE")
        if isinstance(salt, bytes) and isinstance(number, int):
            self._number = number
            for done, operation in self._journal.replay(salt, number):
                self._do(operation)
                self._number = done
        salt = os.urandom(8)
        self._run(STATEMENTS[SET_META], (SALT, salt))
        self._commit(self._number)
        self._journal.start(salt)

    @property
    def is_open(self) -> bool:
        """Whether an operation is under way."""
        return self._operation is not None

    @property
    def has_room(self) -> bool:
        """Whether another operation can be done without a commit."""
        return len(self._done) < MAX_OPERATIONS and not self._is_lost

    def start(self) -> None:
        """Begins an operation.

        Raises:
            apsw.Error: The operations before cannot be committed.
        """
        assert self._operation is None, "operations do not nest"
        self.restore()
        if not self.has_room:
            self.commit()
        if not self._db.in_transaction:
            self._run("BEGIN IMMEDIATE")
        self._operation = []
        self._is_settling = False

    def change(self, number: int, values: tuple[Value, ...]) -> None:
        """Runs a statement of the operation that is under way, or as one of its own."""
        operation = self._operation
        if operation is None:
            self._change_alone(number, values)
            return
        self._run(STATEMENTS[number], values)
        if len(operation) < MAX_STATEMENTS:
            operation.append((number, values))
        else:
            self._is_settling = True

    def _change_alone(self, number: int, values: tuple[Value, ...]) -> None:
        self.start()
        try:
            self.change(number, values)
            self.finish()
        except BaseException:
            self.abandon()
            raise

    def settle(self) -> None:
        """Has the operation committed when it ends."""
        self._is_settling = True

    def finish(self) -> None:
        """Ends an operation: it has happened.

        Raises:
            apsw.Error: It has not, and is to be abandoned.
        """
        operation = self._operation
        assert operation is not None, "an operation is under way"
        if not operation:
            self._operation = None
            return
        number = self._number + 1
        if not self._is_settling and self._journal.append(number, operation):  # W2
            self._number = number
            self._done.append(operation)
        else:
            # With its number: a record may be there, whatever the system said of it.
            self._commit(number)
        self._operation = None

    def abandon(self) -> None:
        """Ends an operation: it has not happened (W1)."""
        operation, self._operation = self._operation, None
        if operation or not self._db.in_transaction:
            self._redo()

    def commit(self) -> None:
        """Commits what was done so far.

        Raises:
            apsw.Error: It cannot be; it is done and in the journal as before.
        """
        self.restore()
        if not self._done:
            self.set_aside()  # a transaction without changes
            return
        try:
            self._commit(self._number)
        except apsw.Error:
            self._redo()
            raise

    def set_aside(self) -> None:
        """Takes the operations out of the database, so that its log can be folded in.

        They are back with the next `restore`.
        """
        if self._db.in_transaction:
            self._run("ROLLBACK")
        self._is_lost = bool(self._done)

    def restore(self) -> None:
        """Does again what a failure of the database took away.

        Raises:
            apsw.Error: The database still refuses.
        """
        if self._is_lost:
            self._again()

    def close(self) -> None:
        """Closes the journal; what is in it and not committed is done when it is opened again."""
        self._journal.close()

    def _commit(self, number: int) -> None:
        self._run(STATEMENTS[SET_META], (NUMBER, number))
        self._run("COMMIT")
        self._number = number
        self._done.clear()
        self._journal.rewind()

    def _redo(self) -> None:
        """Rolls back and does the operations before again; if that fails, `restore` tries."""
        self.set_aside()
        try:
            self.restore()
        except apsw.Error:
            self._is_lost = True

    def _again(self) -> None:
        if self._db.in_transaction:  # an attempt that failed half-way
            self._run("ROLLBACK")
        self._run("BEGIN IMMEDIATE")
        for operation in self._done:
            self._do(operation)
        self._is_lost = False

    def _do(self, operation: Operation) -> None:
        for number, values in operation:
            self._run(STATEMENTS[number], values)
