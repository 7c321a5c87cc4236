"""Every statement of an everyday operation is answered from an index."""

from __future__ import annotations

import os

from mlbfs.workspace.attributes import RenameFlags, SetAttr
from mlbfs.workspace.testing import SIGNATURE


def test_no_operation_walks_a_table(paths):
    """A walk goes unnoticed in a small test and takes seconds with 10,000 files."""
    overlay = paths.workspace._core.overlay
    statements = set()

    def note(cursor, statement, bindings):
        statements.add((statement, len(bindings or ())))
        return True

    overlay._db.exec_trace = note
    paths.create(b"new", b"new\n")
    paths.mkdir(b"folder")
    paths.link(b"new", b"folder/link")
    paths.write(b"big", 5, os.urandom(9))
    paths.truncate(b"big", 7)
    paths.rename(b"d", b"folder/moved")
    paths.rename(b"folder", b"a", RenameFlags.EXCHANGE)
    paths.unlink(b"new")
    paths.mkdir(b"gone")
    paths.rmdir(b"gone")
    paths.dump()
    paths.workspace.setattr(paths.inode(b"run"), SetAttr(mode=0o600, mtime_ns=1))
    paths.workspace.setxattr(paths.inode(b"run"), b"user.x", b"1")
    paths.workspace.fsync(paths.inode(b"run"))
    paths.workspace.status()
    paths.workspace.commit("all", author=SIGNATURE)
    overlay._db.exec_trace = None
    assert len(statements) > 20
    for statement, count in sorted(statements):
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
            plan = overlay._db.execute("EXPLAIN QUERY PLAN " + statement, (1,) * count).fetchall()
            assert not [step for *_, step in plan if step.startswith("SCAN ")], statement
