"""What the driver of databases keeps, beside a model that goes row by row."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbfs.errors import InvalidInputError
from mlbfs.merge.conflicts import ConflictKind
from mlbfs.merge.driver import Take
from mlbfs.merge.versions import Side
from tests.contract.merging import merge

if TYPE_CHECKING:
    from tests.contract.merging import Merged


def database(*scripts: str, start: bytes | None = None) -> bytes:
    """Returns the bytes of a database after some SQL."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "db"
        if start is not None:
            path.write_bytes(start)
        with sqlite3.connect(path, isolation_level=None) as one:
            for script in scripts:
                one.executescript(script)
        one.close()
        return path.read_bytes()


def query(found: Merged | bytes, sql: str) -> list[tuple[object, ...]]:
    data = found if isinstance(found, bytes) else found.data
    assert data is not None, "the file is there"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "db"
        path.write_bytes(data)
        one = sqlite3.connect(path)
        try:
            assert one.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            return one.execute(sql).fetchall()
        finally:
            one.close()


def changed(base: bytes, ours: str, theirs: str, choice: str = "sqlite") -> Merged:
    return merge(choice, base, database(ours, start=base), database(theirs, start=base))


# Rows with a key, beside a model

VALUES = st.sampled_from(["a", "A", "", None, 1, 1.5, b"\0", b"1", "1"])
ROWS = st.dictionaries(st.sampled_from(["k1", "k2", "k3", "k4"]), st.tuples(VALUES, VALUES))
KEYED = {
    "key": "CREATE TABLE t (k TEXT PRIMARY KEY NOT NULL, x, y TEXT COLLATE NOCASE)",
    "no rowid": "CREATE TABLE t (k TEXT PRIMARY KEY, x, y TEXT COLLATE NOCASE) WITHOUT ROWID",
    "two": "CREATE TABLE t (c INT DEFAULT 1, k TEXT, x, y TEXT COLLATE NOCASE, PRIMARY KEY (k, c)) "
    "WITHOUT ROWID",
}


def filled(schema: str, rows: dict[str, tuple[object, object]]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "db"
        with sqlite3.connect(path) as one:
            one.execute(schema)
            one.executemany(
                "INSERT INTO t (k, x, y) VALUES (?, ?, ?)", [(k, *row) for k, row in rows.items()]
            )
        one.close()
        return path.read_bytes()


def exact(value: object) -> tuple[type, object]:
    return type(value), value


@settings(max_examples=150, deadline=None)
@given(ROWS, ROWS, ROWS, st.sampled_from(sorted(KEYED)))
def test_rows_and_cells_beside_a_model(
    base: dict[str, tuple[object, object]],
    ours: dict[str, tuple[object, object]],
    theirs: dict[str, tuple[object, object]],
    schema: str,
) -> None:
    """Inserts, updates and deletes of both sides; what both did in different ways is told."""
    files = [filled(KEYED[schema], rows) for rows in (base, ours, theirs)]
    # What SQLite keeps: a number in a column of texts is a text.
    base, ours, theirs = (
        {str(k): (x, y) for k, x, y in query(data, "SELECT k, x, y FROM t")} for data in files
    )
    wanted: dict[str, tuple[object, ...]] = {}
    conflicts = 0
    for key in {*ours, *theirs}:
        b, o, t = base.get(key), ours.get(key), theirs.get(key)
        if o is None or t is None:
            left = o if o is not None else t
            assert left is not None
            if b is None:
                wanted[key] = left
            elif [*map(exact, b)] != [*map(exact, left)]:
                conflicts += 1
                if o is not None:
                    wanted[key] = o
            continue
        cells = []
        for at in range(2):
            mine, other = exact(o[at]), exact(t[at])
            before = None if b is None else exact(b[at])
            conflicts += mine != other and before not in (mine, other)
            cells.append(t[at] if mine == before else o[at])
        wanted[key] = tuple(cells)
    found = merge("sqlite:conflict=ours", *files)
    rows = {k: (x, y) for k, x, y in query(found, "SELECT k, x, y FROM t")}
    assert {k: [*map(exact, row)] for k, row in rows.items()} == {
        k: [*map(exact, row)] for k, row in wanted.items()
    }
    assert len(found.conflicts) == conflicts
    assert not found.open_conflicts
    assert len(merge("sqlite", *files).open_conflicts) == conflicts


# Ids

RUNS = """
CREATE TABLE a_note (exp_id INT REFERENCES exp, text);
CREATE TABLE exp (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT);
CREATE TABLE run (id INTEGER PRIMARY KEY, exp_id INT NOT NULL REFERENCES exp (id), parent INT
    REFERENCES run, loss REAL);
CREATE TABLE tag (run INT REFERENCES run (id), name TEXT, PRIMARY KEY (run, name));
INSERT INTO exp (name) VALUES ('base');
INSERT INTO run VALUES (1, 1, NULL, 0.5);
INSERT INTO tag VALUES (1, 'old');
"""


def added(name: str, runs: int) -> str:
    text = (
        f"INSERT INTO exp (name) VALUES ('{name}');"
        f"INSERT INTO a_note SELECT max(id), '{name}' FROM exp;"
    )
    for at in range(runs):
        parent = "1" if at == 0 else "(SELECT max(id) FROM run)"
        text += (
            f"INSERT INTO run (exp_id, parent, loss) SELECT max(id), {parent}, {at} FROM exp;"
            f"INSERT INTO tag SELECT max(id), '{name}-{at}' FROM run;"
        )
    return text


FAMILY = """
SELECT e.name, r.loss, t.name, p.loss, pe.name FROM run r JOIN exp e ON e.id = r.exp_id
JOIN tag t ON t.run = r.id LEFT JOIN run p ON p.id = r.parent LEFT JOIN exp pe ON pe.id = p.exp_id
"""


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 4), st.integers(0, 4))
def test_ids_taken_twice_are_given_anew(mine: int, other: int) -> None:
    """Every row of both sides is there, and what refers to one follows."""
    base = database(RUNS)
    ours, theirs = (
        database(added(name, count), start=base) for name, count in (("a", mine), ("b", other))
    )
    found = merge("sqlite", base, ours, theirs)
    assert found.conflicts == ()
    wanted = {*query(ours, FAMILY), *query(theirs, FAMILY)}
    rows = query(found, FAMILY)
    assert set(rows) == wanted
    assert len(rows) == 1 + mine + other
    assert query(found, "PRAGMA foreign_key_check") == []
    assert query(found, "SELECT count(*) FROM exp") == [(3,)]
    notes = query(found, "SELECT text FROM a_note JOIN exp ON exp.id = exp_id WHERE text = name")
    assert sorted(notes) == [("a",), ("b",)]
    again = merge("sqlite", theirs, found.data or b"", theirs)
    assert again.result.content == Take(Side.OURS)


def test_the_same_row_of_both_is_there_once() -> None:
    """What both sides took from elsewhere is no second row."""
    base = database(RUNS)
    found = changed(base, added("a", 2), added("a", 2))
    assert found.conflicts == ()
    assert query(found, "SELECT count(*) FROM run") == [(3,)]
    assert found.note == ""


def test_a_unique_value_shows_that_rows_are_one() -> None:
    """Both made an experiment of one name: there is one, with the runs of both."""
    base = database(
        RUNS, "CREATE UNIQUE INDEX by_name ON exp (name); ALTER TABLE exp ADD COLUMN at"
    )
    same = added("x", 1)
    found = changed(base, added("a", 1) + same, same + added("b", 1))
    assert found.conflicts == ()
    names = query(found, "SELECT name, count(*) FROM exp GROUP BY 1 ORDER BY 1")
    assert names == [("a", 1), ("b", 1), ("base", 1), ("x", 1)]
    rows = query(found, "SELECT e.name, count(*) FROM run r JOIN exp e ON e.id = exp_id GROUP BY 1")
    assert sorted(rows) == [("a", 1), ("b", 1), ("base", 1), ("x", 2)]
    mine, other = (f"INSERT INTO exp (name, at) VALUES ('x', {at})" for at in (1, 2))
    for side, at in (("ours", 1), ("theirs", 2)):
        told = changed(base, added("a", 1) + mine + ";", other, f"sqlite:conflict={side}")
        assert [(one.where, one.settled) for one in told.conflicts] == [("exp[3].at", Side(side))]
        assert query(told, "SELECT at FROM exp WHERE name = 'x'") == [(at,)]
        assert not told.open_conflicts


def test_a_deleted_parent_of_a_new_child_is_refused() -> None:
    """The merged database would break a foreign key that both sides kept."""
    base = database(RUNS, "INSERT INTO exp (name) VALUES ('x')")
    found = changed(base, "INSERT INTO run VALUES (9, 2, NULL, 1)", "DELETE FROM exp WHERE id = 2")
    (conflict,) = found.open_conflicts
    assert conflict.kind is ConflictKind.CONSTRAINT
    assert conflict.message == "row 9 of run refers to a row of exp that is not there"


# Rules, kinds of tables, schemas


def test_unique_and_check_hold() -> None:
    """Two sides that used one unique value, or together break a check, are told with the row."""
    base = database(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n TEXT UNIQUE, a INT, b INT, "
        "CHECK (a + b < 10)); INSERT INTO t VALUES (1, 'x', 1, 1)"
    )
    found = changed(base, "UPDATE t SET n = 'y'", "INSERT INTO t VALUES (3, 'y', 1, 1)")
    assert [one.kind for one in found.open_conflicts] == [ConflictKind.CONSTRAINT]
    assert "UNIQUE" in found.open_conflicts[0].message
    found = changed(base, "UPDATE t SET a = 7", "UPDATE t SET b = 7")
    assert "CHECK" in found.open_conflicts[0].message


def test_unique_values_may_be_swapped() -> None:
    """What is broken only on the way is not broken."""
    base = database(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n TEXT UNIQUE, o); "
        "INSERT INTO t VALUES (1, 'x', 0), (2, 'y', 0)"
    )
    swap = "UPDATE t SET n = 'z' WHERE id = 1; UPDATE t SET n = 'x' WHERE id = 2;"
    found = changed(base, "UPDATE t SET o = 5", swap + "UPDATE t SET n = 'y' WHERE id = 1")
    assert found.conflicts == ()
    assert query(found, "SELECT * FROM t") == [(1, "y", 5), (2, "x", 5)]


def test_tables_without_a_key() -> None:
    """Rows lie at their rowid; both sides' new ones are there, the same one once."""
    base = database("CREATE TABLE m (step INT, loss REAL); INSERT INTO m VALUES (1, .5), (2, .4)")
    found = changed(
        base,
        "INSERT INTO m VALUES (3, .3), (4, .2); UPDATE m SET loss = 9 WHERE step = 1",
        "INSERT INTO m VALUES (3, .3), (4, .1); UPDATE m SET step = 7 WHERE step = 1; "
        "DELETE FROM m WHERE step = 2",
    )
    assert found.conflicts == ()
    assert query(found, "SELECT * FROM m ORDER BY 1, 2") == [(3, 0.3), (4, 0.1), (4, 0.2), (7, 9)]


def test_vacuum_of_a_table_without_a_key_is_told() -> None:
    """Rows that lie elsewhere are not mixed with those that lay there."""
    base = database(
        "CREATE TABLE m (a, b); INSERT INTO m VALUES (1, 1), (2, 2), (3, 3), (4, 4)",
        "DELETE FROM m WHERE a = 1",
    )
    found = changed(
        base, "UPDATE m SET b = 9 WHERE a = 3", "VACUUM; UPDATE m SET b = 8 WHERE a = 4"
    )
    assert "VACUUM" in found.open_conflicts[0].message
    alone = changed(base, "INSERT INTO m VALUES (5, 5)", "VACUUM")
    assert alone.conflicts == ()
    assert sorted(query(alone, "SELECT a, b FROM m")) == [(2, 2), (3, 3), (4, 4), (5, 5)]


def test_full_text_rtree_and_generated_columns() -> None:
    """Each works as by hand, and finds what came in."""
    base = database("""
        CREATE VIRTUAL TABLE docs USING fts5(title, body);
        CREATE VIRTUAL TABLE box USING rtree(id, x0, x1);
        CREATE TABLE g (id INTEGER PRIMARY KEY, a INT, twice INT AS (a * 2) STORED,
            v INT AS (a + 1));
        INSERT INTO docs VALUES ('one', 'first text'); INSERT INTO box VALUES (1, 0, 1);
        INSERT INTO g (a) VALUES (1);
    """)
    found = changed(
        base,
        "INSERT INTO docs (rowid, title, body) VALUES (5, 'ours', 'mine');"
        "INSERT INTO box VALUES (2, 5, 6); INSERT INTO g (a) VALUES (5)",
        "INSERT INTO docs (rowid, title, body) VALUES (6, 'theirs', 'other');"
        "UPDATE docs SET body = 'new words' WHERE rowid = 1;"
        "INSERT INTO box VALUES (3, 8, 9); INSERT INTO g (a) VALUES (7)",
    )
    assert found.conflicts == ()
    words = "SELECT rowid FROM docs WHERE docs MATCH '{}'"
    for word, rows in (("mine", [(5,)]), ("other", [(6,)]), ("words", [(1,)]), ("first", [])):
        assert query(found, words.format(word)) == rows
    assert query(found, "SELECT id FROM box WHERE x0 > 4") == [(2,), (3,)]
    assert query(found, "SELECT a, twice, v FROM g") == [(1, 2, 2), (5, 10, 6), (7, 14, 8)]
    clash = changed(
        base,
        "INSERT INTO docs (rowid, title) VALUES (9, 'a')",
        "INSERT INTO docs (rowid, title) VALUES (9, 'b')",
    )
    assert clash.open_conflicts[0].where == "docs[9].title"


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("CREATE VIRTUAL TABLE v USING fts4(a)", "'fts4'"),
        ("CREATE VIRTUAL TABLE v USING fts5(a, content='')", "'v'"),
        ('CREATE VIRTUAL TABLE v USING fts5(a, content = "")', "'v'"),
        (
            "CREATE TABLE v_content (a); CREATE TABLE t (a);"
            "CREATE VIRTUAL TABLE v USING fts5(a, content='t')",
            "'v'",
        ),
    ],
)
def test_what_cannot_be_merged_is_named(sql: str, named: str) -> None:
    """Refused, and ours stays."""
    base = database(sql, "CREATE TABLE z (a)")
    found = changed(base, "INSERT INTO z VALUES (1)", "INSERT INTO z VALUES (2)")
    (conflict,) = found.open_conflicts
    assert conflict.kind is ConflictKind.SCHEMA
    assert named in conflict.message


def test_a_table_named_like_one_of_a_module_is_merged() -> None:
    """Only the tables that a module makes for itself are left to it."""
    base = database(
        "CREATE VIRTUAL TABLE docs USING fts5(a); CREATE TABLE docs_meta (k PRIMARY KEY)"
    )
    found = changed(base, "INSERT INTO docs VALUES ('x')", "INSERT INTO docs_meta VALUES ('m')")
    assert found.conflicts == ()
    assert query(found, "SELECT * FROM docs_meta") == [("m",)]
    assert query(found, "SELECT * FROM docs") == [("x",)]


def test_another_primary_key_on_one_side_is_refused() -> None:
    """What told rows apart for one does not for the other."""
    base = database("CREATE TABLE t (a INT NOT NULL PRIMARY KEY, b INT NOT NULL)")
    other = "DROP TABLE t; CREATE TABLE t (a INT NOT NULL, b INT NOT NULL PRIMARY KEY)"
    for ours, theirs in (
        (other, "INSERT INTO t VALUES (1, 2)"),
        ("INSERT INTO t VALUES (1, 2)", other),
    ):
        (conflict,) = changed(base, ours, theirs).open_conflicts
        assert conflict.kind is ConflictKind.SCHEMA


def test_schemas_of_both_sides_come_together() -> None:
    """New tables, columns, indexes, views and triggers; none of the triggers runs."""
    base = database(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 'x');"
        "CREATE INDEX gone ON t (a); CREATE TABLE old (x)"
    )
    ours = (
        "ALTER TABLE t ADD COLUMN mine TEXT DEFAULT 'm'; INSERT INTO t VALUES (2, 'y', 'z');"
        "CREATE TABLE o (x); CREATE VIEW vo AS SELECT a FROM t"
    )
    theirs = (
        "ALTER TABLE t ADD COLUMN other INT DEFAULT 7; UPDATE t SET other = 8;"
        "INSERT INTO t VALUES (2, 'q', 9); CREATE TABLE n (x UNIQUE); INSERT INTO n VALUES (4);"
        "CREATE INDEX it ON t (a, other); DROP INDEX gone; DROP TABLE old;"
        "CREATE TRIGGER tr AFTER INSERT ON t BEGIN DELETE FROM n; END;"
        "CREATE VIEW vt AS SELECT other FROM t; PRAGMA user_version = 5"
    )
    found = changed(base, ours, theirs)
    assert found.conflicts == ()
    assert query(found, "SELECT id, a, mine, other FROM t") == [
        (1, "x", "m", 8),
        (2, "y", "z", 7),
        (3, "q", "m", 9),
    ]
    names = [
        row[0] for row in query(found, "SELECT name FROM sqlite_schema WHERE sql > '' ORDER BY 1")
    ]
    assert names == ["it", "n", "o", "t", "tr", "vo", "vt"]
    assert query(found, "SELECT * FROM n") == [(4,)]
    assert query(found, "PRAGMA user_version") == [(5,)]


@pytest.mark.parametrize(
    ("ours", "theirs", "where"),
    [
        ("ALTER TABLE t ADD COLUMN c INT", "ALTER TABLE t ADD COLUMN c TEXT", "table t"),
        (
            "ALTER TABLE t DROP COLUMN b",
            "UPDATE t SET b = 5; ALTER TABLE t RENAME a TO z",
            "table t",
        ),
        ("INSERT INTO t VALUES (9, 9)", "DROP TABLE t", "table t"),
        ("DROP TABLE t", "ALTER TABLE t ADD COLUMN c", "table t"),
        ("CREATE VIEW v AS SELECT 1", "CREATE VIEW v AS SELECT 2", "view v"),
        ("PRAGMA user_version = 1", "PRAGMA user_version = 2", "user_version"),
    ],
)
def test_schemas_that_do_not_fit_are_told(ours: str, theirs: str, where: str) -> None:
    """With kind and name, and the text of each side."""
    base = database("CREATE TABLE t (a INTEGER, b INT); INSERT INTO t VALUES (1, 2)")
    found = changed(base, ours, theirs)
    assert [(one.kind, one.where) for one in found.open_conflicts] == [(ConflictKind.SCHEMA, where)]


def test_rows_of_a_table_that_ours_dropped_are_told() -> None:
    """That theirs wrote into it since is not lost without a word."""
    base = database("CREATE TABLE t (a); CREATE TABLE u (a)")
    found = changed(base, "DROP TABLE t", "INSERT INTO t VALUES (1)")
    (conflict,) = found.open_conflicts
    assert (conflict.kind, conflict.where) == (ConflictKind.SCHEMA, "table t")
    assert changed(base, "DROP TABLE t", "INSERT INTO u VALUES (1)").conflicts == ()


# References that are not declared


LOOSE = "CREATE TABLE runs (id INTEGER PRIMARY KEY, x); CREATE TABLE tags (run_id, name);"


@pytest.mark.parametrize("declared", ["", "REFERENCES runs (id)"])
def test_named_references_follow_new_ids_as_declared_ones_do(declared: str) -> None:
    """The tag of a run of theirs goes with it, whether the schema or an option says so."""
    base = database(
        LOOSE.replace("run_id,", f"run_id {declared},"),
        "CREATE TABLE notes (Run TEXT, t); INSERT INTO runs VALUES (1, 'old')",
    )
    ours = "INSERT INTO runs VALUES (2, 'ours'); INSERT INTO tags VALUES (2, 'o')"
    theirs = (
        "INSERT INTO runs VALUES (2, 'theirs'); INSERT INTO tags VALUES (2, 't'), (1, 'u'), "
        "(NULL, 'v'); INSERT INTO notes VALUES ('2', 'n')"
    )
    names = ("tags.run_id=runs.id,notes.run=Runs.id", "notes.run=runs.id")[bool(declared)]
    found = changed(base, ours, theirs, f"sqlite:ref={names}")
    assert found.conflicts == ()
    assert query(found, "SELECT * FROM runs") == [(1, "old"), (2, "ours"), (3, "theirs")]
    tags = query(found, "SELECT * FROM tags ORDER BY name")
    assert tags == [(2, "o"), (3, "t"), (1, "u"), (None, "v")]
    assert query(found, "SELECT * FROM notes") == [("3", "n")]


def test_a_reference_of_another_database_is_no_mistake_and_a_wrong_one_is() -> None:
    """Tables that are not there are passed over; columns have to be there, and to hold ids."""
    base = database(LOOSE)
    sides = ("INSERT INTO runs VALUES (1, 1)", "INSERT INTO runs VALUES (1, 2)")
    assert changed(base, *sides, "sqlite:ref=other.x=runs.id").conflicts == ()
    for named, told in (
        ("tags.no=runs.id", "has no column 'no'"),
        ("tags.run_id=runs.x", "is no INTEGER PRIMARY KEY"),
    ):
        (conflict,) = changed(base, *sides, f"sqlite:ref={named}").open_conflicts
        assert told in conflict.message
    for named in ("", "tags", "tags.run_id", "a.b=c", "a.b=c.d,", "a.b=c.d=e.f", "a.=c.d"):
        with pytest.raises(InvalidInputError, match="names no reference"):
            changed(base, *sides, f"sqlite:ref={named}")


# Migrations


MIGRATED = database(
    "CREATE TABLE p (id INTEGER PRIMARY KEY AUTOINCREMENT, a, b DEFAULT 'd');"
    "CREATE TABLE c (id INTEGER PRIMARY KEY, p REFERENCES p (id));"
    "INSERT INTO p VALUES (1, 'x', 'y'), (2, 'p', 'q'); INSERT INTO c VALUES (1, 1);"
    "UPDATE sqlite_sequence SET seq = 40; CREATE INDEX ia ON p (a); CREATE INDEX ib ON p (b);"
    "CREATE TRIGGER r AFTER INSERT ON p BEGIN DELETE FROM c; END; CREATE VIEW v AS SELECT a FROM p"
)
WORK = (
    "DROP TRIGGER r; INSERT INTO p VALUES (50, 'n', 'm'); INSERT INTO c VALUES (2, 50);"
    "UPDATE p SET a = 'X' WHERE id = 1;"
    "CREATE TRIGGER r AFTER INSERT ON p BEGIN DELETE FROM c; END"
)
REBUILT = (
    "CREATE TABLE n (id INTEGER PRIMARY KEY AUTOINCREMENT, z INT DEFAULT 7, a TEXT NOT NULL, b);"
    "INSERT INTO n (id, a, b) SELECT id, a, b FROM p; DROP VIEW v; DROP TABLE p;"
    "ALTER TABLE n RENAME TO p; CREATE VIEW v AS SELECT a FROM p;"
    "CREATE INDEX ia ON p (a); CREATE INDEX ib ON p (b);"
    "CREATE TRIGGER r AFTER INSERT ON p BEGIN DELETE FROM c; END"
)


def both_ways(base: bytes, one: str, other: str) -> list[Merged]:
    """Returns the merges of two sides, with either of them as ours."""
    return [changed(base, one, other), changed(base, other, one)]


@pytest.mark.parametrize(
    ("migration", "columns", "rows"),
    [
        (
            "DROP INDEX ib; ALTER TABLE p DROP COLUMN b",
            "id, a",
            [(1, "X"), (2, "p"), (50, "n")],
        ),
        (
            "ALTER TABLE p RENAME b TO w",
            "id, a, w",
            [(1, "X", "y"), (2, "p", "q"), (50, "n", "m")],
        ),
        (
            REBUILT,
            "id, z, a, b",
            [(1, 7, "X", "y"), (2, 7, "p", "q"), (50, 7, "n", "m")],
        ),
    ],
    ids=["dropped", "renamed", "made anew"],
)
def test_rows_follow_a_migration(
    migration: str, columns: str, rows: list[tuple[object, ...]]
) -> None:
    """Whichever side made it: rows, references, indexes, triggers and numbers are there."""
    for found in both_ways(MIGRATED, migration, WORK):
        assert found.conflicts == ()
        assert query(found, f"SELECT {columns} FROM p") == rows
        names = query(found, "SELECT group_concat(name, ', ') FROM pragma_table_info('p')")
        assert names == [(columns,)]
        assert query(found, "SELECT * FROM c") == [(1, 1), (2, 50)]
        assert query(found, "SELECT \"table\" FROM pragma_foreign_key_list('c')") == [("p",)]
        assert query(found, "SELECT seq FROM sqlite_sequence WHERE name = 'p'") == [(50,)]
        there = {row[0] for row in query(found, "SELECT name FROM sqlite_schema")}
        assert there >= {"ia", "r", "v"}
        assert not [name for name in there if name.startswith("before")]
        assert ("ib" in there) is ("b" in columns or "w" in columns)


def test_numbers_that_were_given_are_not_given_again_after_a_migration() -> None:
    """A table that is made anew remembers what AUTOINCREMENT gave to rows that are gone."""
    work = "DROP TRIGGER r; UPDATE p SET a = 'X' WHERE id = 2"
    for found in both_ways(MIGRATED, "ALTER TABLE p RENAME b TO w", work):
        assert found.conflicts == ()
        assert query(found, "SELECT seq FROM sqlite_sequence WHERE name = 'p'") == [(40,)]


def test_values_tell_a_new_column_from_a_renamed_one() -> None:
    """With other values in it, a column in the place of one that went is another."""
    base = database(
        "CREATE TABLE t (k INTEGER PRIMARY KEY, a, b); INSERT INTO t VALUES (1, 'x', 'y')"
    )
    anew = "ALTER TABLE t DROP COLUMN b; ALTER TABLE t ADD COLUMN c; UPDATE t SET c = 5"
    for found in both_ways(base, anew, "INSERT INTO t VALUES (2, 'n', 'm')"):
        assert found.conflicts == ()
        assert query(found, "SELECT k, a, c FROM t") == [(1, "x", 5), (2, "n", None)]


def test_rows_without_a_key_keep_their_place_in_a_migration() -> None:
    """The rowid goes along."""
    base = database("CREATE TABLE t (a, b); INSERT INTO t (rowid, a, b) VALUES (5, 'x', 'y')")
    work = "INSERT INTO t (rowid, a, b) VALUES (9, 'n', 'm')"
    for found in both_ways(base, "ALTER TABLE t RENAME b TO c", work):
        assert found.conflicts == ()
        assert query(found, "SELECT rowid, a, c FROM t") == [(5, "x", "y"), (9, "n", "m")]


@pytest.mark.parametrize(
    "migration",
    [
        "ALTER TABLE t RENAME b TO c",
        "ALTER TABLE t DROP COLUMN b",
        "UPDATE t SET b = '' WHERE b IS NULL;"
        "CREATE TABLE n (k INTEGER PRIMARY KEY, a, b NOT NULL);"
        "INSERT INTO n SELECT * FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t",
    ],
)
def test_both_sides_made_one_migration(migration: str) -> None:
    """It is no change of either: what one removed or changed since is told as ever."""
    base = database(
        "CREATE TABLE t (k INTEGER PRIMARY KEY, a, b);"
        "INSERT INTO t VALUES (1, 'x', 'y'), (2, 'p', 'q'), (3, 'r', NULL)"
    )
    ours = f"{migration}; UPDATE t SET a = 'o' WHERE k = 1"
    for found in both_ways(base, ours, f"{migration}; DELETE FROM t WHERE k = 2"):
        assert found.conflicts == ()
        assert query(found, "SELECT k, a FROM t") == [(1, "o"), (3, "r")]


def test_values_tell_columns_apart_also_without_a_key() -> None:
    """By the rowid, then."""
    base = database("CREATE TABLE t (a, b); INSERT INTO t VALUES ('x', 'y')")
    anew = "ALTER TABLE t DROP COLUMN b; ALTER TABLE t ADD COLUMN c; UPDATE t SET c = 5"
    for found in both_ways(base, anew, "INSERT INTO t VALUES ('n', 'm')"):
        assert found.conflicts == ()
        assert query(found, "SELECT a, c FROM t") == [("x", 5), ("n", None)]


@pytest.mark.parametrize(
    ("migration", "work", "told"),
    [
        (
            "ALTER TABLE t DROP COLUMN b",
            "UPDATE t SET b = 5",
            "dropped its column 'b', the other side changed it",
        ),
        (
            "CREATE TABLE n (k INTEGER PRIMARY KEY, a NOT NULL, b); INSERT INTO n SELECT * FROM t;"
            "DROP TABLE t; ALTER TABLE n RENAME TO t",
            "INSERT INTO t VALUES (2, NULL, 1)",
            "rows of the other side do not fit what",
        ),
        (
            "ALTER TABLE t DROP COLUMN b",
            "CREATE INDEX i ON t (b)",
            "the other side dropped a column that it needs",
        ),
        (
            "CREATE TABLE n (a, b); INSERT INTO n SELECT a, b FROM t; DROP TABLE t;"
            "ALTER TABLE n RENAME TO t",
            "INSERT INTO t VALUES (2, 1, 1)",
            "tells its rows apart in another way",
        ),
    ],
)
def test_what_does_not_fit_a_migration_is_told(migration: str, work: str, told: str) -> None:
    """One conflict of the schema, and nothing is merged."""
    base = database(
        "CREATE TABLE t (k INTEGER PRIMARY KEY, a, b); INSERT INTO t VALUES (1, 'x', 'y')"
    )
    for found in both_ways(base, migration, work):
        (conflict,) = found.open_conflicts
        assert conflict.kind is ConflictKind.SCHEMA
        assert told in conflict.message


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ("CREATE TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM log; END", "INSERT into t"),
        ("CREATE TRIGGER r BEFORE UPDATE OF b ON t BEGIN DELETE FROM log; END", "UPDATE of t"),
        ("CREATE TRIGGER r AFTER DELETE ON t BEGIN SELECT * FROM log; END", "DELETE from t"),
        ("CREATE VIEW v AS SELECT x FROM log", "view v"),
    ],
)
def test_what_needs_a_table_that_the_other_side_dropped_is_told(made: str, told: str) -> None:
    """Otherwise every write to its table, or every look at it, would fail from then on."""
    base = database("CREATE TABLE t (a, b); CREATE TABLE log (x); INSERT INTO log VALUES (1)")
    for ours, theirs in (("DROP TABLE log", made), (made, "DROP TABLE log")):
        (conflict,) = changed(base, ours, theirs).open_conflicts
        assert conflict.kind is ConflictKind.CONSTRAINT
        assert conflict.message.startswith(f"{told} is not possible any more: no such table")


def test_what_was_of_no_use_before_does_not_count() -> None:
    """A trigger that never worked stops no merge, and does not run in one."""
    base = database(
        "CREATE TABLE t (k PRIMARY KEY NOT NULL); CREATE VIEW v AS SELECT no FROM t;"
        "CREATE TRIGGER r AFTER UPDATE ON t BEGIN DELETE FROM no; END"
    )
    found = changed(base, "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)")
    assert found.conflicts == ()
    assert query(found, "SELECT k FROM t") == [(1,), (2,)]


# Files


def test_a_write_ahead_log_is_taken_in(tmp_path: Path) -> None:
    """What lies in it is merged; the merged file has the same mode, and the log is empty."""
    base = database("PRAGMA journal_mode = WAL; CREATE TABLE t (k PRIMARY KEY, v)")
    place = tmp_path / "db"
    place.write_bytes(base)
    one = sqlite3.connect(place, isolation_level=None)
    one.execute("INSERT INTO t VALUES ('wal', 1)")
    main, log = place.read_bytes(), (tmp_path / "db-wal").read_bytes()
    one.close()
    ours = database("INSERT INTO t VALUES ('ours', 1)", start=base)
    others = {(Side.THEIRS, b"db-wal"): log}
    found = merge("sqlite", base, ours, main + b"", path=b"db", others=others)
    assert found.conflicts == ()
    assert {row[0] for row in query(found, "SELECT k FROM t")} == {"ours", "wal"}
    assert (found.data or b"")[18:20] == b"\2\2"
    assert found.beside == {b"db-wal": b""}


def test_both_added_the_file() -> None:
    """There is no base: rows of both are there."""
    one, other = (
        database(f"CREATE TABLE t (k PRIMARY KEY NOT NULL); INSERT INTO t VALUES ('{n}'), ('x')")
        for n in "ab"
    )
    found = merge("sqlite", None, one, other)
    assert found.conflicts == ()
    assert sorted(query(found, "SELECT k FROM t")) == [("a",), ("b",), ("x",)]


def test_encodings() -> None:
    """Equal ones merge, also without a base; different ones are refused by name."""
    wide = "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (k PRIMARY KEY NOT NULL);"
    one, other = (database(wide, f"INSERT INTO t VALUES ('{n}ö')") for n in "ab")
    assert sorted(query(merge("sqlite", None, one, other), "SELECT k FROM t")) == [("aö",), ("bö",)]
    plain = database("CREATE TABLE t (k PRIMARY KEY NOT NULL); INSERT INTO t VALUES ('c')")
    assert "encoding" in merge("sqlite", None, one, plain).open_conflicts[0].message


def test_text_that_is_no_utf8_comes_through() -> None:
    """Programs write what they like into a text."""
    base = database("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)")
    found = changed(
        base,
        "INSERT INTO t VALUES (1, CAST(x'ff61' AS TEXT))",
        "INSERT INTO t VALUES (1, CAST(x'fe00' AS TEXT))",
    )
    assert found.conflicts == ()
    rows = query(found, "SELECT id, typeof(x), hex(x) FROM t")
    assert rows == [(1, "text", "FF61"), (2, "text", "FE00")]


# Hostile


def damaged(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + bytes([value]) + data[at + 1 :]


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 20479), st.integers(0, 255), st.sampled_from(list(Side)))
def test_damage_is_told_or_does_no_harm(at: int, value: int, side: Side) -> None:
    """Whatever byte is wrong on whichever side: a sound database comes out, or a conflict."""
    base = database(RUNS, added("x", 3))
    files = [base, database(added("a", 2), start=base), database(added("b", 2), start=base)]
    which = list(Side).index(side)
    files[which] = damaged(files[which], at % len(files[which]), value)
    found = merge("sqlite", *files)
    if not found.open_conflicts:
        query(found, "SELECT count(*) FROM run")


@pytest.mark.parametrize(
    "bad", [b"", b"x" * 100, b"SQLite format 3\0", b"SQLite format 3\0" + bytes(5000)]
)
def test_what_is_no_database_is_a_conflict(bad: bytes) -> None:
    """With the side; an empty file is an empty database."""
    good = database("CREATE TABLE t (k PRIMARY KEY)")
    for ours, theirs, side in ((bad, good, "ours"), (good, bad, "theirs")):
        found = merge("sqlite", b"", ours, theirs)
        if bad:
            (conflict,) = found.open_conflicts
            assert (conflict.kind, conflict.where) == (ConflictKind.MALFORMED, side)
            assert found.data == ours
