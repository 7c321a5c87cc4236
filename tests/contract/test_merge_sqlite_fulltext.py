"""Full-text tables whose content is another table."""

from __future__ import annotations

import pytest

from mlbfs.merge.conflicts import ConflictKind
from tests.contract.test_merge_sqlite import both_ways, changed, database, query

INDEXED = database(
    "CREATE TABLE t (id INTEGER PRIMARY KEY, body);"
    "CREATE VIRTUAL TABLE f USING fts5(body, content = 't', content_rowid='id');"
    "CREATE TRIGGER r AFTER INSERT ON t BEGIN INSERT INTO f (rowid, body) VALUES (9, 'never'); END;"
    "INSERT INTO t VALUES (1, 'first words'), (2, 'second words');"
    "INSERT INTO f (f) VALUES ('rebuild')"
)
REBUILD = ";INSERT INTO f (f) VALUES ('rebuild')"


def find(found: object, word: str) -> list[tuple[object, ...]]:
    return query(found, f"SELECT rowid FROM f WHERE f MATCH '{word}' ORDER BY 1")  # type: ignore[arg-type]


def test_an_index_of_another_table_is_built_again() -> None:
    """It finds the rows of both sides where they are now, and no trigger ran."""
    ours = "UPDATE t SET body = 'mine' WHERE id = 1; INSERT INTO t VALUES (3, 'ours')"
    theirs = "DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (3, 'theirs')"
    found = changed(INDEXED, ours + REBUILD, theirs + REBUILD)
    assert found.conflicts == ()
    assert query(found, "SELECT * FROM t") == [(1, "mine"), (3, "ours"), (4, "theirs")]
    for word, rows in (("mine", [(1,)]), ("ours", [(3,)]), ("theirs", [(4,)]), ("words", [])):
        assert find(found, word) == rows
    assert find(found, "never") == []


def test_an_index_of_another_table_comes_goes_and_changes_like_an_index() -> None:
    """One side made, dropped or defined it anew; the other changed rows."""
    work = "INSERT INTO t VALUES (3, 'more Words')"
    anew = (
        "DROP TABLE f; CREATE VIRTUAL TABLE f USING fts5(body, content='t', content_rowid='id',"
        " tokenize='trigram')"
    )
    plain = database("CREATE TABLE t (id INTEGER PRIMARY KEY, body)")
    made = anew.removeprefix("DROP TABLE f; ")
    for base, own, word in ((INDEXED, anew, "ord"), (plain, made, "ord")):
        for found in both_ways(base, own, work):
            assert found.conflicts == ()
            assert (3,) in find(found, word)
    for found in both_ways(INDEXED, "DROP TRIGGER r; DROP TABLE f", work):
        assert found.conflicts == ()
        assert query(found, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'f%'") == [(0,)]


@pytest.mark.parametrize("gone", ["DROP TABLE t", "ALTER TABLE t RENAME body TO text"])
def test_an_index_without_its_content_is_told(gone: str) -> None:
    """It cannot be built again."""
    base = database(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, body); CREATE TABLE z (a);"
        "CREATE VIRTUAL TABLE f USING fts5(body, content='t', content_rowid='id')"
    )
    for found in both_ways(base, gone, "INSERT INTO z VALUES (1)"):
        told = [(one.kind, one.where) for one in found.open_conflicts]
        assert (ConflictKind.SCHEMA, "table f") in told
