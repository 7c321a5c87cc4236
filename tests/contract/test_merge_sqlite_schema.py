"""Tables that a side renamed, or that both sides changed, each in its own way."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbfs.merge.conflicts import ConflictKind
from tests.contract.test_merge_sqlite import both_ways, changed, database, query

# Renamed tables


NAMED = database(
    "CREATE TABLE p (id INTEGER PRIMARY KEY AUTOINCREMENT, a UNIQUE, up REFERENCES p (id));"
    "CREATE TABLE c (id INTEGER PRIMARY KEY, p REFERENCES p (id));"
    "INSERT INTO p VALUES (1, 'x', NULL), (2, 'p', 1); INSERT INTO c VALUES (1, 1);"
    "CREATE INDEX ia ON p (up); CREATE VIEW v AS SELECT a FROM p;"
    "CREATE TRIGGER r AFTER INSERT ON p BEGIN DELETE FROM c; END"
)
WORK = (
    "DROP TRIGGER r; INSERT INTO p VALUES (3, 'n', 2); INSERT INTO c VALUES (2, 3);"
    "UPDATE p SET a = 'X' WHERE id = 1; CREATE TABLE d (p REFERENCES p); INSERT INTO d VALUES (3);"
    "CREATE TRIGGER r AFTER INSERT ON p BEGIN DELETE FROM c; END"
)


def test_rows_follow_a_table_that_was_renamed() -> None:
    """Also with rows of its own; references, indexes, views and triggers go along."""
    own = "ALTER TABLE p RENAME TO q; DROP TRIGGER r; INSERT INTO q VALUES (3, 'o', 1);"
    own += "CREATE TRIGGER r AFTER INSERT ON q BEGIN DELETE FROM c; END"
    for found in both_ways(NAMED, own, WORK):
        assert found.conflicts == ()
        assert query(found, "SELECT count(*) FROM sqlite_schema WHERE name = 'p'") == [(0,)]
        rows = query(found, "SELECT q.a, up.a FROM q LEFT JOIN q AS up ON up.id = q.up ORDER BY 1")
        assert rows == [("X", None), ("n", "p"), ("o", "X"), ("p", "X")]
        for child, wanted in (("c", ["X", "n"]), ("d", ["n"])):
            sql = f"SELECT a FROM {child} JOIN q ON q.id = {child}.p ORDER BY 1"
            assert query(found, sql) == [(one,) for one in wanted]
            parents = query(found, f"SELECT \"table\" FROM pragma_foreign_key_list('{child}')")
            assert parents == [("q",)]
        assert query(found, "PRAGMA foreign_key_check") == []
        assert len(query(found, "SELECT * FROM v")) == 4
        tables = query(found, "SELECT tbl_name FROM sqlite_schema WHERE name IN ('ia', 'r')")
        assert tables == [("q",), ("q",)]


def test_a_table_that_was_renamed_by_both() -> None:
    """To one name it is one; to two names it is told."""
    rename = "ALTER TABLE p RENAME TO {};"
    ours, theirs = "DELETE FROM {} WHERE id = 2", "UPDATE {} SET a = 'X' WHERE id = 1"
    one = changed(NAMED, (rename + ours).format("q", "q"), (rename + theirs).format("q", "q"))
    assert one.conflicts == ()
    assert query(one, "SELECT id, a FROM q") == [(1, "X")]
    two = changed(NAMED, (rename + ours).format("q", "q"), (rename + theirs).format("w", "w"))
    told = {one.where: one.message for one in two.open_conflicts}
    assert told["table p"] == "each side gave it another name"
    assert {one.kind for one in two.open_conflicts} == {ConflictKind.SCHEMA}


def test_a_named_reference_follows_a_renamed_table() -> None:
    """The option names a table as the base has it."""
    base = database("CREATE TABLE runs (id INTEGER PRIMARY KEY, x); CREATE TABLE tags (run, name)")
    ours = "INSERT INTO runs VALUES (2, 'ours')"
    theirs = "INSERT INTO runs VALUES (2, 'theirs'); INSERT INTO tags VALUES (2, 't');"
    renamed = "ALTER TABLE runs RENAME TO trials; ALTER TABLE tags RENAME TO labels"
    found = changed(base, ours, theirs + renamed, "sqlite:ref=tags.run=runs.id")
    assert found.conflicts == ()
    assert query(found, "SELECT x FROM labels JOIN trials ON id = run") == [("theirs",)]


@pytest.mark.parametrize(
    ("schema", "own"),
    [
        # two tables of one definition, neither with rows that tell
        ("CREATE TABLE t (a)", "DROP TABLE t; CREATE TABLE u (a); CREATE TABLE w (a)"),
        # one definition, but not a row of it is there
        (
            "CREATE TABLE t (a); INSERT INTO t VALUES (1)",
            "DROP TABLE t; CREATE TABLE u (a); INSERT INTO u VALUES (7)",
        ),
        # half of the rows here, half of them there
        (
            "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)",
            "CREATE TABLE u (a); INSERT INTO u VALUES (1); CREATE TABLE w (a);"
            "INSERT INTO w VALUES (2); DROP TABLE t",
        ),
        # another definition
        (
            "CREATE TABLE t (a); INSERT INTO t VALUES (1)",
            "CREATE TABLE u (a INT); INSERT INTO u SELECT * FROM t; DROP TABLE t",
        ),
    ],
)
def test_what_may_be_no_new_name_stays_in_conflict(schema: str, own: str) -> None:
    """In doubt, a table was dropped and another one made."""
    for found in both_ways(database(schema), own, "INSERT INTO t VALUES (5)"):
        (conflict,) = found.open_conflicts
        assert (conflict.kind, conflict.where) == (ConflictKind.SCHEMA, "table t")


def test_rows_tell_which_of_two_tables_has_the_new_name() -> None:
    """Most of the rows lie in one of them."""
    base = database("CREATE TABLE t (a); INSERT INTO t VALUES (1), (2), (3)")
    own = "ALTER TABLE t RENAME TO u; CREATE TABLE w (a); INSERT INTO w VALUES (1), (9)"
    for found in both_ways(base, own, "UPDATE t SET a = 5 WHERE a = 2; INSERT INTO t VALUES (4)"):
        assert found.conflicts == ()
        assert query(found, "SELECT a FROM u ORDER BY a") == [(1,), (3,), (4,), (5,)]
        assert query(found, "SELECT a FROM w ORDER BY a") == [(1,), (9,)]


ROWS = st.dictionaries(st.integers(1, 5), st.sampled_from("abc"), max_size=4)


def _written(rows: dict[int, str], name: str) -> str:
    return f"DELETE FROM {name};" + "".join(
        f"INSERT INTO {name} VALUES ('k{key}', '{value}');" for key, value in rows.items()
    )


@settings(max_examples=40, deadline=None)
@given(ROWS, ROWS)
def test_a_new_name_changes_nothing_about_rows(
    ours: dict[int, str], theirs: dict[int, str]
) -> None:
    """The merge is the one that there would be without it."""
    base = database(
        "CREATE TABLE t (k PRIMARY KEY NOT NULL, v); INSERT INTO t VALUES ('k1', 'a'), ('k2', 'b');"
        "INSERT INTO t VALUES ('still', 'there')"
    )
    still = "INSERT INTO {} VALUES ('still', 'there')"
    plain = changed(
        base, _written(ours, "t") + still.format("t"), _written(theirs, "t") + still.format("t")
    )
    mine = "ALTER TABLE t RENAME TO u;" + _written(ours, "u") + still.format("u")
    found = changed(base, mine, _written(theirs, "t") + still.format("t"))
    assert [one.message for one in found.conflicts] == [one.message for one in plain.conflicts]
    rows = query(plain, "SELECT * FROM t ORDER BY k")
    assert query(found, "SELECT * FROM u ORDER BY k") == rows
