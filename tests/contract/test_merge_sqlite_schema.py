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


# Tables that both sides changed


BOTH = database(
    "CREATE TABLE t (k INTEGER PRIMARY KEY, a, b INT, c TEXT); CREATE INDEX ia ON t (a);"
    "CREATE TABLE u (k REFERENCES t (k)); INSERT INTO u VALUES (1);"
    "INSERT INTO t VALUES (1, 'x', 1, 'p'), (2, 'y', 2, 'q')"
)


def _anew(columns: str, kept: str) -> str:
    return (
        f"CREATE TABLE n ({columns}); INSERT INTO n ({kept}) SELECT {kept} FROM t; DROP TABLE t;"
        "ALTER TABLE n RENAME TO t; CREATE INDEX ia ON t (a);"
    )


@pytest.mark.parametrize(
    ("one", "other", "columns"),
    [
        (
            "ALTER TABLE t ADD COLUMN d DEFAULT 7;",
            "ALTER TABLE t DROP COLUMN b;",
            {"k", "a", "c", "d"},
        ),
        (
            "ALTER TABLE t ADD COLUMN d DEFAULT 7;",
            "ALTER TABLE t RENAME b TO w;",
            {"k", "a", "c", "d", "w"},
        ),
        (
            "ALTER TABLE t RENAME a TO z;",
            "ALTER TABLE t RENAME b TO w;",
            {"k", "z", "w", "c"},
        ),
        ("ALTER TABLE t DROP COLUMN b;", "ALTER TABLE t DROP COLUMN c;", {"k", "a"}),
        (
            _anew("k INTEGER PRIMARY KEY, a, b INT, c TEXT, CHECK (b <= 90)", "k, a, b, c"),
            _anew("k INTEGER PRIMARY KEY, a NOT NULL, b INT, c TEXT, d", "k, a, b, c"),
            {"k", "a", "b", "c", "d"},
        ),
        (
            _anew("k INTEGER PRIMARY KEY, a, b INT, c TEXT, CHECK (b <= 90)", "k, a, b, c"),
            "ALTER TABLE t RENAME b TO w;",
            {"k", "a", "w", "c"},
        ),
    ],
)
def test_tables_that_both_changed_in_ways_that_fit(one: str, other: str, columns: set[str]) -> None:
    """The table has what both made of it, with the rows of both."""
    mine = one + "INSERT INTO t (k, c) SELECT 3, 'mine' WHERE 0; UPDATE t SET k = 5 WHERE k = 2;"
    for found in both_ways(BOTH, mine, other + "DELETE FROM t WHERE k = 7"):
        assert found.conflicts == ()
        assert set(query(found, "SELECT name FROM pragma_table_info('t')")) == {
            (name,) for name in columns
        }
        assert query(found, "SELECT k FROM t ORDER BY k") == [(1,), (5,)]
        for name, values in (("a", "xy"), ("z", "xy"), ("b", (1, 2)), ("w", (1, 2)), ("c", "pq")):
            if name in columns:
                assert [row[0] for row in query(found, f"SELECT {name} FROM t")] == [*values]
        assert query(found, "PRAGMA foreign_key_check") == []
        index = query(found, "SELECT name FROM sqlite_schema WHERE type = 'index'")
        assert index == [("ia",)]


CHANGES = (
    "ALTER TABLE t RENAME a TO z;",
    "ALTER TABLE t RENAME b TO w;",
    "ALTER TABLE t ADD COLUMN d DEFAULT 7;",
    "ALTER TABLE t ADD COLUMN e TEXT; CREATE INDEX ie ON t (e);",
)
CELLS = st.dictionaries(
    st.integers(1, 4), st.tuples(st.sampled_from("ab"), st.sampled_from("pq")), max_size=3
)


@settings(max_examples=40, deadline=None)
@given(CELLS, CELLS, CELLS, st.permutations(CHANGES), st.integers(1, 3), st.integers(0, 2))
def test_what_both_made_of_a_table_changes_nothing_about_rows(
    base: dict[int, tuple[str, str]],
    ours: dict[int, tuple[str, str]],
    theirs: dict[int, tuple[str, str]],
    changes: list[str],
    mine: int,
    others: int,
) -> None:
    """The merge is that of the rows alone, with the changes of both sides made afterwards.

    Each side changes rows first and then the table, some ways each; some rows stay as they are,
    for a new name is told by what lies under it.
    """

    def written(rows: dict[int, tuple[str, str]]) -> str:
        values = "".join(f", ('k{key}', '{a}', '{b}')" for key, (a, b) in rows.items())
        return f"DELETE FROM t; INSERT INTO t VALUES ('x', 'u', '1'), ('y', 'v', '2'){values};"

    first = "".join(changes[:mine])
    second = "".join(changes[mine : mine + 1 + others])
    start = database("CREATE TABLE t (k TEXT PRIMARY KEY NOT NULL, a, b);" + written(base))
    choice = "sqlite:conflict=ours"
    plain = changed(start, written(ours), written(theirs), choice)
    found = changed(start, written(ours) + first, written(theirs) + second, choice)
    assert found.open_conflicts == []
    assert len(found.conflicts) == len(plain.conflicts)
    assert plain.data is not None
    wanted = database(first + second, start=plain.data)
    names = [str(name) for (name,) in query(wanted, "SELECT name FROM pragma_table_info('t')")]
    rows = f"SELECT {', '.join(sorted(names))} FROM t ORDER BY k"
    assert query(found, rows) == query(wanted, rows)
    indexes = "SELECT name, sql FROM sqlite_schema WHERE type = 'index' ORDER BY 1"
    assert query(found, indexes) == query(wanted, indexes)


def test_constraints_of_both_sides_hold_in_a_composed_table() -> None:
    """A check of one follows the new name that the other gave to its column."""
    one = _anew("k INTEGER PRIMARY KEY, a, b INT, c TEXT, CHECK (b <= 90)", "k, a, b, c")
    for found in both_ways(
        BOTH, one, "ALTER TABLE t RENAME b TO w; UPDATE t SET w = 50 WHERE k = 1"
    ):
        assert found.conflicts == ()
        (sql,) = query(found, "SELECT replace(sql, '\"', '') FROM sqlite_schema WHERE name = 't'")
        assert "w <= 90" in str(sql[0])
    for found in both_ways(
        BOTH, one, "ALTER TABLE t RENAME b TO w; UPDATE t SET w = 91 WHERE k = 1"
    ):
        (conflict,) = found.open_conflicts
        assert "CHECK" in conflict.message


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ("ALTER TABLE t RENAME b TO w", "ALTER TABLE t RENAME b TO v", "'b'"),
        (
            "ALTER TABLE t ADD COLUMN d INT; ALTER TABLE t DROP COLUMN c",
            "ALTER TABLE t ADD COLUMN d TEXT",
            "'d'",
        ),
        (
            _anew("k INTEGER PRIMARY KEY, a, b TEXT, c TEXT", "k, a, b, c"),
            _anew("k INTEGER PRIMARY KEY, a, b REAL, c TEXT", "k, a, b, c"),
            "'b'",
        ),
        (
            "ALTER TABLE t ADD COLUMN d; UPDATE t SET b = 5",
            "ALTER TABLE t DROP COLUMN b",
            "dropped its column 'b', the other side changed it",
        ),
        (
            _anew("k INTEGER PRIMARY KEY, a, b INT, c TEXT, CHECK (b < 90)", "k, a, b, c"),
            "ALTER TABLE t DROP COLUMN b; ALTER TABLE t ADD COLUMN d",
            "no such column: b",
        ),
        (  # in quotes it would become a text
            _anew('k INTEGER PRIMARY KEY, a, b INT, c TEXT, CHECK ("b" < 90)', "k, a, b, c"),
            "ALTER TABLE t DROP COLUMN b; ALTER TABLE t ADD COLUMN d",
            "no such column",
        ),
    ],
)
def test_tables_that_both_changed_in_ways_that_do_not_fit(one: str, other: str, told: str) -> None:
    """A conflict of the schema that names what stands against it."""
    for found in both_ways(BOTH, one, other):
        (conflict,) = found.open_conflicts
        assert (conflict.kind, conflict.where) == (ConflictKind.SCHEMA, "table t")
        assert told in conflict.message


def test_an_added_column_keeps_its_default_and_check() -> None:
    """Operators, blobs and numbers are written again as they were."""
    base = database("CREATE TABLE t (a)")
    column = "c DEFAULT x'00ff' CHECK (c <> 1e-5 AND length(c) >= 1)"
    for found in both_ways(
        base,
        f"ALTER TABLE t ADD COLUMN {column}; INSERT INTO t (a) VALUES (1)",
        "ALTER TABLE t ADD COLUMN d DEFAULT 1e+2; INSERT INTO t (a) VALUES (2)",
    ):
        assert found.conflicts == ()
        assert query(found, "SELECT a, hex(c), d FROM t ORDER BY a") == [
            (1, "00FF", 100.0),
            (2, "00FF", 100.0),
        ]
