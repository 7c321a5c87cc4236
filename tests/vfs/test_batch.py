"""Operations that share a transaction: each is whole, and is there after a kill."""

from __future__ import annotations

import errno
import os
import shutil

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbfs.workspace.batch import MAX_OPERATIONS, MAX_STATEMENTS
from mlbfs.workspace.journal import JOURNAL_SIZE, Journal
from mlbfs.workspace.overlay import Overlay
from mlbfs.workspace.statements import COLUMNS, STATEMENTS
from mlbfs.workspace.vfs_errors import Io


@pytest.fixture
def overlay(tmp_path):
    (tmp_path / "live").mkdir()
    overlay = Overlay(tmp_path / "live" / "overlay.sqlite")
    yield overlay
    overlay.close()


def put(overlay, number):
    """One operation: a name."""
    with overlay.transaction():
        overlay.put_entry(1, b"%d" % number, number + 10, number, 1)


def killed(overlay, tmp_path, *, spoil=None):
    """Returns the names that are found after a kill at this moment."""
    folder = tmp_path / "left"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(tmp_path / "live", folder)
    if spoil is not None:
        spoil(folder)
    found = Overlay(folder / "overlay.sqlite")
    names = {int(entry.name) for entry in found.entries(1)}
    found.close()
    return names


def committed(overlay, tmp_path):
    """Returns the names that the database has without its journal."""
    return killed(overlay, tmp_path, spoil=lambda folder: (folder / "journal").unlink())


def test_an_operation_is_there_after_a_kill_before_the_database_has_it(overlay, tmp_path):
    """That is what the journal is for."""
    for number in range(5):
        put(overlay, number)
        assert killed(overlay, tmp_path) == set(range(number + 1))
    assert committed(overlay, tmp_path) == set()


def test_what_the_database_has_is_not_done_again(overlay, tmp_path):
    """Also where the journal still holds it, behind the records of the next batch."""
    for number in range(MAX_OPERATIONS + 3):
        put(overlay, number)
    with overlay.transaction():
        overlay.delete_entry(1, b"2")
    everything = set(range(MAX_OPERATIONS + 3))
    assert committed(overlay, tmp_path) < everything
    assert killed(overlay, tmp_path) == everything - {2}


def test_a_journal_holds_up_to_its_first_damaged_record(overlay, tmp_path):
    """A record counts as a whole or not at all, and none behind it does (J1)."""
    lengths = []
    for number in range(4):
        put(overlay, number)
        lengths.append(overlay._batch._journal._at)

    def spoil_at(position):
        def spoil(folder):
            data = bytearray((folder / "journal").read_bytes())
            data[position] ^= 1
            (folder / "journal").write_bytes(data)

        return spoil

    for position in range(0, lengths[-1], 7):  # parts of every header and every statement
        whole = sum(length <= position for length in lengths)
        assert killed(overlay, tmp_path, spoil=spoil_at(position)) == set(range(whole)), position


def test_a_journal_of_an_earlier_opening_is_not_taken_for_this_one(tmp_path):
    """The numbers may follow on one another; the salt tells them apart (J1)."""
    (tmp_path / "live").mkdir()
    path = tmp_path / "live" / "overlay.sqlite"
    first = Overlay(path)
    for number in range(6):
        put(first, number)
    old = (tmp_path / "live" / "journal").read_bytes()
    left = tmp_path / "before"
    shutil.copytree(tmp_path / "live", left)
    first.close()
    shutil.rmtree(tmp_path / "live")
    shutil.copytree(left, tmp_path / "live")
    second = Overlay(path)
    with second.transaction():
        second.delete_entry(1, b"3")
    assert killed(second, tmp_path) == {0, 1, 2, 4, 5}
    restored = killed(second, tmp_path, spoil=lambda folder: (folder / "journal").write_bytes(old))
    assert restored == {0, 1, 2, 3, 4, 5}
    second.close()


def fail(overlay):
    with overlay.transaction():
        overlay.put_entry(1, b"2", 12, 2, 1)
        overlay.delete_entry(1, b"1")
        raise ZeroDivisionError


def test_an_operation_that_fails_leaves_those_before_it(overlay, tmp_path):
    """The transaction they share is rolled back and made again (W1)."""
    put(overlay, 1)
    with pytest.raises(ZeroDivisionError):
        fail(overlay)
    put(overlay, 3)
    assert [entry.name for entry in overlay.entries(1)] == [b"1", b"3"]
    assert killed(overlay, tmp_path) == {1, 3}


def test_a_database_that_refuses_takes_nothing_away(overlay, tmp_path):
    """What was answered stays, in the journal and, once it can be, in the database."""
    before = set()
    while overlay.has_room:
        put(overlay, len(before))
        before.add(len(before))
    overlay._run("PRAGMA query_only=1")
    with pytest.raises(Io):
        put(overlay, 1000)
    with pytest.raises(apsw.Error):
        overlay.restore()
    overlay._run("PRAGMA query_only=0")
    overlay.restore()
    assert {int(entry.name) for entry in overlay.entries(1)} == before
    assert killed(overlay, tmp_path) == before
    put(overlay, 1000)
    assert killed(overlay, tmp_path) == before | {1000}


def test_an_operation_too_large_for_the_journal_is_committed(overlay, tmp_path):
    """By the number of its statements, or by their length."""
    put(overlay, 0)
    with overlay.transaction():
        for number in range(1, MAX_STATEMENTS + 10):
            overlay.put_entry(1, b"%d" % number, number + 10, number, 1)
    assert committed(overlay, tmp_path) == set(range(MAX_STATEMENTS + 10))
    with overlay.transaction():
        overlay.set_xattr(1, b"user.x", bytes(JOURNAL_SIZE))
        overlay.delete_entry(1, b"0")
    assert committed(overlay, tmp_path) == set(range(1, MAX_STATEMENTS + 10))


def test_a_setting_is_in_the_database_at_once(overlay, tmp_path):
    """Others read settings there without knowing of journals."""
    put(overlay, 1)
    with overlay.transaction():
        overlay.set("base", b"commit")
    assert committed(overlay, tmp_path) == {1}
    put(overlay, 2)
    overlay.set("base", b"another")
    assert committed(overlay, tmp_path) == {1, 2}


values = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.binary(max_size=50), st.text(max_size=20)
)
operations = st.lists(
    st.lists(st.tuples(st.integers(0, 30), st.lists(values, max_size=5).map(tuple)), max_size=4),
    max_size=5,
)


@settings(deadline=None, max_examples=50)
@given(operations, st.binary(min_size=8, max_size=8))
def test_a_journal_gives_back_what_was_appended(tmp_path_factory, done, salt):
    """Every value that a statement can have, in order."""
    path = tmp_path_factory.mktemp("journal") / "journal"
    journal = Journal(path)
    journal.start(salt)
    for number, operation in enumerate(done, 8):
        assert journal.append(number, operation)
    assert list(journal.replay(salt, 7)) == list(enumerate(done, 8))
    assert list(journal.replay(salt, 8)) == []
    journal.close()


def test_a_statement_keeps_its_number():
    """A journal may hold it until a later version opens the workspace."""
    names = COLUMNS.split(",")
    assert len(names) == 16
    first_words = [" ".join(statement.split()[:3]) for statement in STATEMENTS]
    assert first_words == [
        *("INSERT OR REPLACE", "DELETE FROM meta", f"INSERT INTO inode({COLUMNS})"),
        *["UPDATE inode SET"] * 5,
        *("DELETE FROM inode", "DELETE FROM entry", "DELETE FROM extent", "DELETE FROM xattr"),
        *("INSERT INTO entry", "UPDATE entry SET", "UPDATE entry SET", "DELETE FROM entry"),
        *("DELETE FROM extent", "INSERT OR REPLACE", "DELETE FROM extent", "UPDATE extent SET"),
        *("INSERT OR REPLACE", "DELETE FROM xattr"),
        *("DELETE FROM inode", "DELETE FROM entry", "DELETE FROM extent", "DELETE FROM xattr"),
        *("INSERT OR IGNORE", "DELETE FROM unsynced", "DELETE FROM unsynced"),
    ]


def test_a_record_that_was_said_to_have_failed_is_not_done_twice(overlay, tmp_path, monkeypatch):
    """The system may report an error for what it has written; the database has it then."""
    pwrite = os.pwrite

    def lie(*args):
        pwrite(*args)
        raise OSError(errno.EIO, "it is there all the same")

    monkeypatch.setattr(os, "pwrite", lie)
    put(overlay, 1)
    monkeypatch.undo()
    assert killed(overlay, tmp_path) == {1}
    put(overlay, 2)
    assert killed(overlay, tmp_path) == {1, 2}
