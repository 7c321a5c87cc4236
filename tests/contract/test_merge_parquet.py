"""What the driver of tables keeps: the rows of both sides, and the bytes of what did not change."""

from __future__ import annotations

import io
import json
import sys
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbfs.errors import CorruptionError, InvalidInputError
from mlbfs.merge.conflicts import ConflictKind
from mlbfs.merge.driver import Pieces, Span, Take
from mlbfs.merge.parquet import groups
from mlbfs.merge.versions import Side
from tests.contract import merging
from tests.contract.merging import Merged, merge

Rows = list[dict[str, Any]]
SCHEMA = pa.schema(
    [("id", pa.int64()), ("x", pa.float64()), ("s", pa.string()), ("l", pa.list_(pa.int8()))]
)
ROW = st.fixed_dictionaries(
    {
        "id": st.integers(0, 9),
        "x": st.sampled_from([None, 0.0, -0.0, 1.5, float("nan"), float("inf")]),
        "s": st.sampled_from([None, "", "a", "é"]),
        "l": st.sampled_from([None, [], [1], [1, None]]),
    }
)
ROWS = st.lists(ROW, max_size=7)
KEYED = st.lists(ROW, max_size=7, unique_by=lambda row: row["id"])
SIZES = st.integers(1, 4)


def save(table: Rows | pa.Table | dict[str, Any], schema: Any = SCHEMA, **options: Any) -> bytes:
    """Writes a table."""
    if isinstance(table, dict):
        table = pa.table(table)
    elif not isinstance(table, pa.Table):
        table = pa.Table.from_pylist(table, schema)
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


def load(data: bytes | None) -> Rows:
    """Reads the rows of a table with another reader than the driver's own footers."""
    assert data is not None, "the file is there"
    return pq.read_table(io.BytesIO(data), page_checksum_verification=True).to_pylist()


def known(rows: Rows) -> list[str]:
    """Returns rows as text, by which NaN is itself and -0.0 is not 0.0."""
    return [repr(sorted(row.items())) for row in rows]


@pytest.fixture(params=[2, 1 << 16], ids=["short", "long"], autouse=True)
def _row_groups(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs with row groups that count as long from two rows on, too."""
    monkeypatch.setattr(groups, "SHORT", request.param)
    monkeypatch.setattr(groups, "LONGEST", request.param * 16)


# Properties


def model_by_row(base: Rows, ours: Rows, theirs: Rows) -> list[str]:
    """Counts each row: what theirs added or took away is done, unless ours did so as well."""
    b, o, t = known(base), known(ours), known(theirs)
    left = list(o)
    for row in set(b) | set(t):
        gone = b.count(row) - t.count(row)
        for _ in range(gone - max(0, b.count(row) - o.count(row))):
            left.remove(row)
        left += [row] * (-gone - max(0, o.count(row) - b.count(row)))
    return sorted(left)


@settings(max_examples=60, deadline=None)
@given(base=ROWS, ours=ROWS, theirs=ROWS, size=SIZES)
def test_rows_are_counted(base: Rows, ours: Rows, theirs: Rows, size: int) -> None:
    """A model with lists of rows, however many row groups there are."""
    versions = [save(one, row_group_size=size) for one in (base, ours, theirs)]
    found = merge("parquet", *versions)
    assert found.conflicts == ()
    assert sorted(known(load(found.data))) == model_by_row(base, ours, theirs)


def model_by_key(base: Rows, ours: Rows, theirs: Rows) -> tuple[list[str], set[str]]:
    """Merges cells in dictionaries; what is in conflict stays as ours has it."""
    b, o, t = ({row["id"]: row for row in rows} for rows in (base, ours, theirs))
    rows, told = [], set()
    for key in [*o, *(key for key in t if key not in o)]:
        before, mine, other = b.get(key), o.get(key), t.get(key)
        if mine is not None and other is not None:
            merged = {}
            for name in mine:
                was = object() if before is None else repr(before[name])
                if repr(other[name]) in (repr(mine[name]), was) or repr(mine[name]) != was:
                    merged[name] = mine[name]
                    if repr(other[name]) not in (repr(mine[name]), was):
                        told.add(f"id={key}, column {name}")
                else:
                    merged[name] = other[name]
            rows.append(merged)
            continue
        left = mine or other
        assert left is not None, "the key is on a side"
        if before is None:
            rows.append(left)
        elif known([before]) != known([left]):
            rows.append(left)
            told.add(f"id={key}")
    return sorted(known(rows)), told


@settings(max_examples=100, deadline=None)
@given(base=KEYED, ours=KEYED, theirs=KEYED, size=SIZES)
def test_cells_merge_by_key(base: Rows, ours: Rows, theirs: Rows, size: int) -> None:
    """A model with dictionaries of rows; every conflict is told, and nothing else is."""
    versions = [save(one, row_group_size=size) for one in (base, ours, theirs)]
    found = merge("parquet:key=id", *versions)
    rows, told = model_by_key(base, ours, theirs)
    assert sorted(known(load(found.data))) == rows
    assert {one.where for one in found.conflicts} == told
    assert found.open_conflicts == list(found.conflicts)


@pytest.mark.parametrize("choice", ["parquet", "parquet:key=id"])
@settings(max_examples=30, deadline=None)
@given(base=KEYED, changed=KEYED, size=SIZES)
def test_an_unchanged_side_gives_the_other(
    choice: str, base: Rows, changed: Rows, size: int
) -> None:
    """Row for row, and without a conflict."""
    before, after = (save(one, row_group_size=size) for one in (base, changed))
    for ours, theirs in ((before, after), (after, before)):
        found = merge(choice, before, ours, theirs)
        assert found.conflicts == ()
        assert sorted(known(load(found.data))) == sorted(known(changed))


@pytest.mark.parametrize("choice", ["parquet", "parquet:key=id:conflict=ours"])
@settings(max_examples=30, deadline=None)
@given(base=KEYED, ours=KEYED, theirs=KEYED)
def test_merging_again_changes_nothing(choice: str, base: Rows, ours: Rows, theirs: Rows) -> None:
    """What came of it has all that theirs brought."""
    versions = [save(one, row_group_size=3) for one in (base, ours, theirs)]
    first = merge(choice, *versions)
    assert merge(choice, versions[2], first.data, versions[2]).data == first.data


@settings(max_examples=30, deadline=None)
@given(base=KEYED, ours=KEYED, theirs=KEYED)
def test_policies_mirror_each_other(base: Rows, ours: Rows, theirs: Rows) -> None:
    """Theirs with the sides swapped is ours; conflicts are told either way."""
    b, o, t = (save(one) for one in (base, ours, theirs))
    one = merge("parquet:key=id:conflict=theirs", b, o, t)
    other = merge("parquet:key=id:conflict=ours", b, t, o)
    assert sorted(known(load(one.data))) == sorted(known(load(other.data)))
    assert one.open_conflicts == other.open_conflicts == []
    assert {c.where for c in one.conflicts} == {c.where for c in other.conflicts}


# Bytes


def spans(found: Merged) -> list[object]:
    assert isinstance(found.result.content, Pieces)
    return [part for part in found.result.content.parts if isinstance(part, Span)]


def numbers(start: int, stop: int) -> dict[str, Any]:
    return {"id": list(range(start, stop)), "s": [f"row {one}" for one in range(start, stop)]}


def test_an_append_keeps_the_bytes_of_ours() -> None:
    """All row groups of ours stay where they are, if the last is not short."""
    base, ours, theirs = (
        save(numbers(0, 100), row_group_size=10),
        save(pa.concat_tables([pa.table(numbers(0, 100)), pa.table(numbers(100, 110))]),
             row_group_size=10),
        save(pa.concat_tables([pa.table(numbers(0, 100)), pa.table(numbers(200, 203))]),
             row_group_size=10),
    )  # fmt: skip
    found = merge("parquet", base, ours, theirs)
    assert [row["id"] for row in load(found.data)] == [*range(110), 200, 201, 202]
    end = pq.ParquetFile(io.BytesIO(ours)).metadata.row_group(10 - 1).column(1)
    stop = end.dictionary_page_offset + end.total_compressed_size
    first = spans(found)[0]
    assert isinstance(first, Span)
    assert (first.side, first.start) == (Side.OURS, 0)
    assert first.stop >= stop


def test_a_row_group_that_comes_in_whole_keeps_its_bytes() -> None:
    """Rows that theirs appended in a row group of their own are not written again."""
    base = save(numbers(0, 4), row_group_size=4)
    ours = save(numbers(0, 8), row_group_size=4)
    theirs = save(
        pa.concat_tables([pa.table(numbers(0, 4)), pa.table(numbers(10, 14))]), row_group_size=4
    )
    found = merge("parquet", base, ours, theirs)
    assert [row["id"] for row in load(found.data)] == [*range(8), *range(10, 14)]
    is_taken = any(isinstance(one, Span) and one.side is Side.THEIRS for one in spans(found))
    assert is_taken is (groups.SHORT == 2)


def test_one_changed_cell_writes_one_column_of_one_row_group() -> None:
    """The other chunks are spans of ours."""
    rows = numbers(0, 40)
    base = save(rows, row_group_size=10)
    ours = save(rows | {"id": [*range(39), 99]}, row_group_size=10)
    theirs = save(rows | {"s": [*rows["s"][:5], "new", *rows["s"][6:]]}, row_group_size=10)
    found = merge("parquet:key=id", base, ours, theirs)
    assert [row["s"] for row in load(found.data)][4:7] == ["row 4", "new", "row 6"]
    assert found.conflicts == ()
    assert isinstance(found.result.content, Pieces)
    kinds = [type(part).__name__ for part in found.result.content.parts]
    assert kinds == ["Span", "FileSpan", "Span", "bytes"]


def test_removed_rows_are_not_in_the_file() -> None:
    """Their bytes are gone, and not only out of the footer."""
    rows = {"id": [1, 2, 3], "s": ["keep", "a secret that goes", "keep too"]}
    kept = {"id": [1, 3], "s": ["keep", "keep too"]}
    more = {"id": [1, 2, 3, 4], "s": [*rows["s"], "more"]}
    found = merge("parquet", *(save(one, compression="none") for one in (rows, more, kept)))
    assert [row["id"] for row in load(found.data)] == [1, 3, 4]
    assert found.data is not None
    assert b"secret" not in found.data


def test_page_indexes_and_bloom_filters_come_along() -> None:
    """Also of chunks that lie elsewhere than before; pyarrow reads them by their offsets."""
    options: dict[str, Any] = {
        "row_group_size": 5,
        "write_page_index": True,
        "data_page_size": 16,
        "compression": "none",
        "use_dictionary": False,
    }
    rows = numbers(0, 20)
    base = save(rows, **options)
    ours = save(numbers(0, 25), **options)
    theirs = save({name: values[3:] for name, values in rows.items()}, **options)
    found = merge("parquet", base, ours, theirs)
    assert [row["id"] for row in load(found.data)] == list(range(3, 25))
    file = pq.ParquetFile(io.BytesIO(found.data or b""))
    indexed = [
        file.metadata.row_group(group).column(leaf).has_offset_index
        for group in range(file.num_row_groups)
        for leaf in range(2)
    ]
    assert sum(indexed) >= 6, "chunks that were kept have their indexes"
    for group in range(file.num_row_groups):
        for leaf in range(2):
            assert file.metadata.row_group(group).column(leaf).is_stats_set


def test_what_both_made_alike_is_ours() -> None:
    """Nothing is written."""
    rows = numbers(0, 9)
    found = merge("parquet", save(numbers(0, 3)), save(rows), save(rows, compression="gzip"))
    assert found.result.content == Take(Side.OURS)


# Columns


def fields(data: bytes | None) -> dict[str, str]:
    return {one.name: str(one.type) for one in pq.read_schema(io.BytesIO(data or b""))}


@pytest.mark.parametrize("choice", ["parquet", "parquet:key=id"])
def test_columns_of_both_sides_come_together(choice: str) -> None:
    """Rows that did not know a column have nothing in it; one that went is gone."""
    base = {"id": [1, 2], "old": ["a", "b"]}
    ours = {"id": [1, 2, 3], "old": ["a", "b", "c"], "mine": [True, False, True]}
    theirs = {"id": [2, 1, 4], "other": [[2], [1], [4]]}
    found = merge(choice, *map(save, (base, ours, theirs)))
    assert found.conflicts == ()
    assert load(found.data) == [
        {"id": 1, "mine": True, "other": [1]},
        {"id": 2, "mine": False, "other": [2]},
        {"id": 3, "mine": True, "other": None},
        {"id": 4, "mine": None, "other": [4]},
    ]


def test_a_removed_column_that_the_other_changed_is_a_conflict() -> None:
    """It cannot be settled: no row would show the value."""
    base, ours, theirs = {"id": [1], "x": [1]}, {"id": [1]}, {"id": [1], "x": [2]}
    found = merge("parquet:key=id:conflict=theirs", *map(save, (base, ours, theirs)))
    assert [(one.kind, one.where) for one in found.open_conflicts] == [
        (ConflictKind.SCHEMA, "column x")
    ]


def test_a_type_that_one_side_changed_is_that_of_the_table() -> None:
    """Values of the other side follow if they stay the same."""
    base = save({"id": pa.array([1, 2], pa.int32())}, row_group_size=1)
    ours = save({"id": pa.array([1, 2, 3], pa.int32())}, row_group_size=1)
    theirs = save({"id": [1.0, 2.0, 4.5]}, row_group_size=1)
    found = merge("parquet", base, ours, theirs)
    assert fields(found.data) == {"id": "double"}
    assert [row["id"] for row in load(found.data)] == [1.0, 2.0, 3.0, 4.5]


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "said"),
    [
        (pa.int32(), pa.int64(), pa.float64(), "both sides gave this column a type"),
        (pa.int64(), pa.int64(), pa.int8(), "has none of type int8"),
        (pa.int64(), pa.int64(), pa.float32(), "has none of type float"),
    ],
)
def test_types_that_do_not_go_together(base: Any, ours: Any, theirs: Any, said: str) -> None:
    """A value that would become another one is a conflict."""
    values = {base: [1], ours: [1, (1 << 31) - 1 if ours == pa.int64() else 5], theirs: [1, 2]}
    files = [save({"id": pa.array(values[kind], kind)}) for kind in (base, ours, theirs)]
    files[0] = save({"id": pa.array([1], base)})
    files[1] = save({"id": pa.array([1, (1 << 24) + 1], ours)})
    found = merge("parquet", *files)
    (conflict,) = found.conflicts
    assert conflict.kind is ConflictKind.SCHEMA
    assert said in conflict.message


def test_nulls_where_the_other_side_forbade_them_are_a_conflict() -> None:
    """A column that ours made required stays so."""
    optional = pa.schema([pa.field("id", pa.int64())])
    required = pa.schema([pa.field("id", pa.int64(), nullable=False)])
    base = save(pa.table({"id": [1]}, optional))
    ours = save(pa.table({"id": [1, 2]}, required))
    theirs = save(pa.table({"id": [1, None]}, optional))
    (conflict,) = merge("parquet", base, ours, theirs).conflicts
    assert conflict.kind is ConflictKind.CONSTRAINT


def test_a_column_that_ours_added_stays_required_if_no_row_comes_in() -> None:
    """The rows that theirs has know nothing of it; those that come in have nothing in it."""
    schema = pa.schema([pa.field("id", pa.int64()), pa.field("x", pa.int64(), nullable=False)])
    base = save({"id": [1, 2]})
    ours = save(pa.table({"id": [1, 2], "x": [3, 4]}, schema))
    again = merge("parquet", base, ours, save({"id": [1, 2]}, compression="gzip"))
    assert again.result.content == Take(Side.OURS)
    more = merge("parquet", base, ours, save({"id": [1, 2, 5]}))
    assert load(more.data)[-1] == {"id": 5, "x": None}


TYPES = {
    "bool": pa.array([True, False, None]),
    "half": pa.array([1.0, -0.0, None], pa.float16()),
    "uint8": pa.array([1, 255, None], pa.uint8()),
    "date": pa.array([1, 2, None], pa.date32()),
    "time": pa.array([1, 2, None], pa.time64("ns")),
    "zone": pa.array([datetime(2020, 1, 1), None, None], pa.timestamp("us", "Europe/Berlin")),
    "nano": pa.array([1, 2, None], pa.timestamp("ns")),
    "duration": pa.array([1, 2, None], pa.duration("ms")),
    "decimal": pa.array([Decimal("1.25"), Decimal("-3.00"), None], pa.decimal128(9, 2)),
    "wide": pa.array([Decimal("1.25"), Decimal("-3.00"), None], pa.decimal256(60, 2)),
    "bytes": pa.array([b"\xff", b"", None]),
    "fixed": pa.array([b"ab", b"\0\xff", None], pa.binary(2)),
    "category": pa.array(["a", "b", None]).dictionary_encode(),
    "long": pa.array(["a", "", None], pa.large_string()),
    "view": pa.array(["a", "", None], pa.string_view()),
    "struct": pa.array([{"a": 1, "b": [None]}, {"a": None, "b": []}, None]),
    "vector": pa.array([[1.0, 2.0], [0.0, -0.0], None], pa.list_(pa.float32(), 2)),
    "views": pa.array([["a", None], [], None]).cast(pa.list_(pa.string_view())),
    "map": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
    "nothing": pa.nulls(3),
}


def texts(array: Any) -> list[str]:
    """Returns values as text; those with nanoseconds as numbers, for which Python has no words."""
    if pa.types.is_time(array.type) or pa.types.is_timestamp(array.type):
        array = array.cast(pa.int64())
    return [str(one) for one in array]


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("choice", ["parquet", "parquet:key=id"])
def test_values_of_every_type_stay_what_they_are(name: str, choice: str) -> None:
    """And keep the type that Arrow wrote them with."""
    values = TYPES[name]
    base = pa.table({"id": [0], "v": values.slice(0, 1)})
    ours = pa.table({"id": [0, 1], "v": pa.concat_arrays([values.slice(0, 1), values.slice(2)])})
    theirs = pa.table({"id": [0, 2, 3], "v": pa.concat_arrays([values.slice(1), values[:1]])})
    if choice == "parquet":
        theirs = pa.table({"id": [0, 2, 3], "v": values})
        wanted = [0, 2, 1, 2]
    else:
        wanted = [1, 2, 2, 0]
    found = merge(choice, *map(save, (base, ours, theirs)))
    table = pq.read_table(io.BytesIO(found.data or b""))
    assert table["id"].to_pylist() == [0, 1, 2, 3]
    assert texts(table["v"].combine_chunks()) == [texts(values)[one] for one in wanted]
    kinds = [pq.read_table(io.BytesIO(save(one))).schema.field("v").type for one in (ours,)]
    assert [table.schema.field("v").type] == kinds


@pytest.mark.parametrize(
    "options",
    [
        {"use_deprecated_int96_timestamps": True},
        {"store_decimal_as_integer": True},
        {"use_compliant_nested_type": False},
        {"store_schema": False},
        {"compression": "zstd"},
        {"compression": "gzip", "data_page_version": "2.0"},
        {"version": "1.0"},
        {"write_page_checksum": True},
    ],
    ids=str,
)
def test_files_of_other_writers_keep_their_form(options: dict[str, Any]) -> None:
    """New chunks are written as the old ones are, so the old ones stay."""
    table = pa.table(
        {
            "id": [0, 1],
            "t": pa.array([1000, 2000], pa.timestamp("us")),
            "d": pa.array([Decimal("1.25"), None], pa.decimal128(9, 2)),
            "l": [[1], [2, 3]],
        }
    )
    more = [pa.concat_tables([table, table.slice(1).set_column(0, "id", [[n]])]) for n in (2, 3)]
    files = [save(one, row_group_size=1, **options) for one in (table, *more)]
    found = merge("parquet", *files)
    assert [row["id"] for row in load(found.data)] == [0, 1, 2, 3]
    form = str(pq.ParquetFile(io.BytesIO(files[1])).schema).split("\n", 1)[1]
    assert str(pq.ParquetFile(io.BytesIO(found.data or b"")).schema).split("\n", 1)[1] == form
    assert spans(found), "chunks of ours are in it"


def test_a_form_that_pyarrow_does_not_write_is_written_anew() -> None:
    """Nested fields called otherwise: the column is whole in one form."""
    base = {"id": [0], "l": [[1]]}
    ours, theirs = {"id": [0, 1], "l": [[1], [2]]}, {"id": [0, 2], "l": [[1], [3]]}
    found = merge(
        "parquet",
        save(base),
        save(ours, use_compliant_nested_type=False),
        save(theirs, use_compliant_nested_type=True),
    )
    assert [row["l"] for row in load(found.data)] == [[1], [2], [3]]


def test_one_type_that_writers_call_otherwise_is_one() -> None:
    """Polars writes the text of DuckDB as long text, and may call the items of a list otherwise."""
    item = pa.list_(pa.field("array", pa.string()))
    base = pa.table({"id": [0], "s": ["a"], "l": pa.array([["x"]], item)})
    ours = pa.table({"id": [0, 1], "s": ["a", "b"], "l": pa.array([["x"], None], item)})
    long = [pa.array(["a", "c"], pa.large_string()), [["x"], ["y"]]]
    theirs = pa.table([[0, 2], *long], names=["id", "s", "l"])
    found = merge("parquet", *map(save, (base, ours, theirs)))
    assert found.conflicts == ()
    assert load(found.data) == [*ours.to_pylist(), theirs.to_pylist()[1]]


# Notes of the writers


def noted(rows: dict[str, Any], **notes: str) -> bytes:
    return save(pa.table(rows).replace_schema_metadata(dict(notes)))


def metadata(data: bytes | None) -> dict[bytes, bytes]:
    return dict(pq.read_metadata(io.BytesIO(data or b"")).metadata)


def test_notes_merge_by_key() -> None:
    """Both sides' notes are in; one that both changed is a conflict that a policy settles."""
    base = noted({"id": [1]}, a="1", b="1", c="1")
    ours = noted({"id": [1, 2]}, a="2", b="1", c="x", d="ours")
    theirs = noted({"id": [1, 3]}, a="1", c="y", e="theirs")
    found = merge("parquet", base, ours, theirs)
    told = [(one.kind, one.where, one.base, one.ours, one.theirs) for one in found.open_conflicts]
    assert told == [(ConflictKind.VALUE, "metadata c", "1", "x", "y")]
    notes = metadata(merge("parquet:conflict=theirs", base, ours, theirs).data)
    del notes[b"ARROW:schema"]
    assert notes == {b"a": b"2", b"c": b"y", b"d": b"ours", b"e": b"theirs"}


def test_notes_of_pandas_follow_the_table() -> None:
    """Columns of both sides are described, and a counted index is as long as the table."""

    def pandas(columns: list[str], rows: int) -> str:
        index = [{"kind": "range", "name": None, "start": 0, "stop": rows, "step": 1}]
        described = [{"name": one, "field_name": one, "numpy_type": "int64"} for one in columns]
        return json.dumps({"index_columns": index, "columns": described, "pandas_version": "2"})

    base = noted({"id": [1]}, pandas=pandas(["id"], 1))
    ours = noted({"id": [1, 2]}, pandas=pandas(["id"], 2))
    theirs = noted({"id": [1, 3], "x": [1, 3]}, pandas=pandas(["id", "x"], 2))
    found = merge("parquet", base, ours, theirs)
    assert found.conflicts == ()
    note = json.loads(metadata(found.data)[b"pandas"])
    assert [one["field_name"] for one in note["columns"]] == ["id", "x"]
    assert note["index_columns"][0]["stop"] == 3
    assert note["pandas_version"] == "2"


def test_a_table_that_says_another_length_is_left_alone() -> None:
    """Ours was cut by a program that left the note as it was; theirs changed nothing."""
    index = {"index_columns": [{"kind": "range", "start": 0, "stop": 9, "step": 1}], "columns": []}
    base, ours = (noted({"id": rows}, pandas=json.dumps(index)) for rows in ([1, 2], [1]))
    assert merge("parquet", base, ours, base).result.content == Take(Side.OURS)


# Conflicts and refusals


def test_conflicts_show_all_three_values() -> None:
    """By key and column."""
    rows = [{"id": [7, 8], "x": [one, 0]} for one in (1, 2, 3)]
    found = merge("parquet:key=id", *map(save, rows))
    (conflict,) = found.open_conflicts
    assert (conflict.kind, conflict.where) == (ConflictKind.CELL, "id=7, column x")  # type: ignore[attr-defined]
    assert (conflict.base, conflict.ours, conflict.theirs) == ("1", "2", "3")  # type: ignore[attr-defined]


def test_a_conflict_shows_what_python_cannot_hold() -> None:
    """A moment with nanoseconds, alone and in a list."""
    for kind in (pa.timestamp("ns"), pa.list_(pa.timestamp("ns"))):
        tables = [
            pa.table({"id": [1], "t": pa.array([[one] if pa.types.is_list(kind) else one], kind)})
            for one in (1, 2, 3)
        ]
        (conflict,) = merge("parquet:key=id", *map(save, tables)).conflicts
        assert "1970-01-01 00:00:00.000000002" in (conflict.ours or "")


def test_both_added_the_file() -> None:
    """Without a base, rows that both have are there once, and cells that differ are conflicts."""
    ours, theirs = save({"id": [1, 2], "x": [1, 2]}), save({"id": [2, 3], "x": [9, 3]})
    assert len(load(merge("parquet", None, ours, theirs).data)) == 4
    found = merge("parquet:key=id", None, ours, theirs)
    assert [row["id"] for row in load(found.data)] == [1, 2, 3]
    assert [one.where for one in found.conflicts] == ["id=2, column x"]


@pytest.mark.parametrize(
    ("choice", "rows", "said"),
    [
        ("parquet:key=id", {"id": [1, 5, 5]}, "two rows have this key"),
        ("parquet:key=no", {"id": [1]}, "there is no column 'no'"),
    ],
)
def test_keys_that_are_none(choice: str, rows: dict[str, Any], said: str) -> None:
    """The conflict names the side, and what is wrong."""
    found = merge(choice, save({"id": [1]}), save({"id": [1, 2]}), save(rows))
    (conflict,) = found.conflicts
    assert conflict.kind is ConflictKind.MALFORMED
    assert said in conflict.message


def test_a_key_that_a_row_group_has_that_nobody_changed() -> None:
    """It is not looked at otherwise."""
    base = save(numbers(0, 4), row_group_size=4)
    ours = save(numbers(0, 6), row_group_size=4)
    twice = pa.concat_tables([pa.table(numbers(0, 4)), pa.table(numbers(2, 3))])
    (conflict,) = merge("parquet:key=id", base, ours, save(twice, row_group_size=4)).conflicts
    assert conflict.where == "theirs, id=2"


@pytest.mark.parametrize("words", ["key=", "key=a,a", "key=a,", "conflict=no", "keys=id"])
def test_wrong_options_are_told(words: str) -> None:
    """Before anything is read."""
    with pytest.raises(InvalidInputError):
        merge(f"parquet:{words}", b"", b"", b"")


def test_two_columns_of_one_name_are_refused() -> None:
    """Nothing tells them apart."""
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
    more = pa.concat_tables([table, table])
    found = merge("parquet", save(numbers(0, 1)), save(more), save(table))
    assert "two columns 'a'" in found.conflicts[0].message


@pytest.mark.parametrize("missing", ["pyarrow.parquet", "numpy"])
def test_without_the_library_a_table_is_a_conflict(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That says what to install; the merge goes on."""
    monkeypatch.setitem(sys.modules, missing, None)
    versions = [save(numbers(0, stop)) for stop in (1, 2, 3)]
    (conflict,) = merge("parquet", *versions).open_conflicts
    assert conflict.kind is ConflictKind.BINARY  # type: ignore[attr-defined]
    assert "pip install 'mlbfs[parquet]'" in conflict.message  # type: ignore[attr-defined]


# Hostile input


WHOLE = save(pa.table({"id": [1, 2, 3], "l": [["a"], None, []]}), write_page_index=True)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1PAR1", b"x" * 100, WHOLE[:-1], WHOLE[1:]])
def test_what_is_no_table_is_a_conflict(data: bytes) -> None:
    """Of its side."""
    for side, versions in (("ours", (data, WHOLE)), ("theirs", (WHOLE, data))):
        (conflict,) = merge("parquet", WHOLE, *versions).open_conflicts
        assert conflict.kind is ConflictKind.MALFORMED  # type: ignore[attr-defined]
        assert conflict.where.startswith(side)  # type: ignore[attr-defined]


def test_an_encrypted_file_is_refused_by_name() -> None:
    """Its footer is at another place."""
    found = merge("parquet", WHOLE, WHOLE[:-4] + b"PARE", WHOLE)
    assert "an encrypted file is not merged" in found.conflicts[0].message


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, len(WHOLE) - 1), value=st.integers(0, 255), is_key=st.booleans())
def test_a_damaged_byte_is_a_conflict_or_makes_no_difference(
    place: int, value: int, is_key: bool
) -> None:
    """Nothing else than a conflict comes of it, wherever it lies."""
    damaged = WHOLE[:place] + bytes([value]) + WHOLE[place + 1 :]
    other = save(pa.table({"id": [1, 2, 3, 4], "l": [["a"], None, [], ["z"]]}))
    found = merge("parquet:key=id" if is_key else "parquet", WHOLE, other, damaged)
    if not found.conflicts:
        assert has_new_row(found.data)


def has_new_row(data: bytes | None) -> bool:
    """Whether a merged table has the row that ours added; damaged text of others is no text."""
    table = pq.read_table(io.BytesIO(data or b""), page_checksum_verification=True)
    if "id" in table.column_names:
        return 4 in table["id"].to_pylist()
    return [b"z"] in table["l"].cast(pa.list_(pa.binary())).to_pylist()


def test_damage_of_the_store_is_not_taken_for_a_malformed_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An error of the reader comes through the library as what it is."""

    class Damaged(merging.BytesReader):
        def read(self, offset: int, length: int) -> bytes:
            if offset < 50 and length > 4:  # neither the magic number nor the footer
                raise CorruptionError("a chunk is damaged")
            return super().read(offset, length)

    monkeypatch.setattr(merging, "BytesReader", Damaged)
    rows = pa.table({"id": np.arange(20), "l": [["a"]] * 20})
    with pytest.raises(CorruptionError):
        merge("parquet", WHOLE, save(rows), WHOLE)
