"""What the driver of CSV keeps."""

from __future__ import annotations

import csv
import io
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbfs.errors import InvalidInputError
from mlbfs.merge import lines, recordcount
from mlbfs.merge.conflicts import ConflictKind
from mlbfs.merge.driver import Pieces, Span
from mlbfs.merge.versions import Side
from tests.contract.merging import merge

CELLS = st.sampled_from(["a", "b", "", 'q"q', "n\nl", "x,y", " ", "1\r\n2", "é"])
ROWS = st.lists(st.tuples(CELLS, CELLS), max_size=5)


def table(rows: list[tuple[str, ...]], header: tuple[str, ...] = ("x", "y")) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return file.getvalue().encode()


def rows_of(data: bytes | None) -> list[tuple[str, ...]]:
    assert data is not None, "the file is there"
    text = io.StringIO(data.decode(), newline="")
    return [tuple(row) for row in csv.reader(text, strict=True) if row]


def keyed(rows: dict[int, tuple[str, str]]) -> bytes:
    return table([(str(key), *row) for key, row in rows.items()], ("id", "x", "y"))


@settings(max_examples=300, deadline=None)
@given(ROWS, ROWS, ROWS)
def test_records_are_counted(
    base: list[tuple[str, ...]], ours: list[tuple[str, ...]], theirs: list[tuple[str, ...]]
) -> None:
    """Ours without what theirs removed, with what it added; newlines in quotes are part of one."""
    before, mine, other = Counter(base), Counter(ours), Counter(theirs)
    removed, added = before - other, other - before
    wanted = (mine - (removed - (before - mine))) + (added - (mine - before))
    found = merge("csv", table(base), table(ours), table(theirs))
    assert found.conflicts == ()
    assert Counter(rows_of(found.data)[1:]) == wanted


@settings(max_examples=200, deadline=None)
@given(*[st.dictionaries(st.integers(0, 4), st.tuples(CELLS, CELLS), max_size=5)] * 3)
def test_rows_with_a_key_merge_by_cell(
    base: dict[int, tuple[str, str]],
    ours: dict[int, tuple[str, str]],
    theirs: dict[int, tuple[str, str]],
) -> None:
    """Beside a model that goes row by row and cell by cell."""
    wanted: dict[int, tuple[str, ...]] = {}
    conflicts = 0
    for key in {*ours, *theirs}:
        b, o, t = base.get(key), ours.get(key), theirs.get(key)
        if o is None or t is None:
            left = o if o is not None else t
            assert left is not None
            if b is None:
                wanted[key] = left
            elif b != left:
                conflicts += 1
                if o is not None:
                    wanted[key] = o
            continue
        cells = []
        for at in range(2):
            before = None if b is None else b[at]
            if o[at] != t[at] and before not in (o[at], t[at]):
                conflicts += 1
            cells.append(t[at] if o[at] == before else o[at])
        wanted[key] = tuple(cells)
    found = merge("csv:key=id:conflict=ours", keyed(base), keyed(ours), keyed(theirs))
    assert {int(row[0]): row[1:] for row in rows_of(found.data)[1:]} == wanted
    assert len(found.conflicts) == conflicts
    assert not found.open_conflicts
    assert (
        len(merge("csv:key=id", keyed(base), keyed(ours), keyed(theirs)).open_conflicts)
        == conflicts
    )


@settings(max_examples=100, deadline=None)
@given(ROWS, ROWS, ROWS)
def test_merging_again_changes_nothing(
    base: list[tuple[str, ...]], ours: list[tuple[str, ...]], theirs: list[tuple[str, ...]]
) -> None:
    """What came of it has all that theirs brought; an unchanged side gives the other."""
    first = merge("csv", table(base), table(ours), table(theirs)).data
    assert first is not None
    assert merge("csv", table(theirs), first, table(theirs)).data == first
    assert merge("csv", table(base), table(ours), table(base)).data == table(ours)
    other = merge("csv", table(base), table(base), table(theirs)).data
    assert Counter(rows_of(other)) == Counter(rows_of(table(theirs)))


def test_two_appends_are_no_conflict() -> None:
    """The complaint about every rival: one row from each of two people."""
    base = table([(str(n), "v") for n in range(1000)])
    found = merge("csv", base, base + b"ours,1\n", base + b"theirs,2\n")
    assert found.data == base + b"ours,1\ntheirs,2\n"
    assert isinstance(found.result.content, Pieces)
    assert found.result.content.parts[0] == Span(Side.OURS, 0, len(base) + 7)
    assert found.note == "1 record came in"


def test_columns_of_both_sides_come_together() -> None:
    """Each side added one; rows of the other side have nothing in it."""
    base = b"id,x\n1,a\n2,b\n"
    ours = b"id,x,mine\n1,a,m1\n2,b,m2\n3,c,m3\n"
    theirs = b"id,other,x\n1,t1,a\n2,t2,b\n4,t4,d\n"
    for choice in ("csv", "csv:key=id"):
        found = merge(choice, base, ours, theirs)
        assert found.conflicts == ()
        assert found.data == (b"id,x,mine,other\n1,a,m1,t1\n2,b,m2,t2\n3,c,m3,\n4,d,,t4\n")


def test_a_removed_column_goes_unless_the_other_side_changed_it() -> None:
    """A change to what is removed is a conflict, told with its cell."""
    base, theirs = b"id,x,y\n1,a,b\n2,c,d\n", b"id,x\n1,a\n2,c\n"
    assert merge("csv:key=id", base, base + b"3,e,f\n", theirs).data == theirs + b"3,e\n"
    changed = merge("csv:key=id", base, b"id,x,y\n1,a,B\n2,c,d\n", theirs)
    (conflict,) = changed.conflicts
    assert (conflict.kind, conflict.where) == (ConflictKind.CELL, "id=1, column y")
    assert (conflict.base, conflict.ours, conflict.theirs) == ("b", "B", None)


def test_a_cell_changed_in_two_ways_is_listed_and_settled() -> None:
    """The policy takes a side and the conflict is listed all the same."""
    base, ours, theirs = b"id,x\n1,a\n", b"id,x\n1,b\n", b"id,x\n1,c\n"
    assert merge("csv:key=id", base, ours, theirs).open_conflicts
    for side, data in (("ours", ours), ("theirs", theirs)):
        found = merge(f"csv:key=id:conflict={side}", base, ours, theirs)
        assert found.data == data
        assert [one.settled for one in found.conflicts] == [Side(side)]


def test_a_quoted_newline_at_the_common_front(monkeypatch: pytest.MonkeyPatch) -> None:
    """The front is cut where a record ends, not where a line does."""
    monkeypatch.setattr(lines, "STEP", 3)
    base = b'x,y\n1,"a\nb"\n'
    found = merge("csv", base, b'x,y\n1,"a\nB"\n2,c\n', base + b"3,d\n")
    assert rows_of(found.data) == [("x", "y"), ("1", "a\nB"), ("2", "c"), ("3", "d")]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b'x,y\n1,"a\n', "a quote that is not closed"),
        (b"x,y\n1,2,3\n", "a record of 3 fields, not 2"),
        (b"x,y\n1\n", "a record of 1 fields, not 2"),
        (b"x,y\n1,\0\n", "a NUL byte in a record"),
        (b"x,x\n1,2\n", "two columns have one name"),
        (b'x,y\n"a"b,2\n', "',' expected after '\"'"),
        (b"x,y\n1,a\rb\n", "a carriage return in the middle of a record"),
    ],
)
def test_what_is_no_csv_is_a_conflict(bad: bytes, message: str) -> None:
    """With what is wrong and where, on either side; ours stays."""
    good = b"x,y\n5,6\n"
    for ours, theirs, side in ((bad, good, "ours"), (good, bad, "theirs")):
        found = merge("csv", b"x,y\n", ours, theirs)
        (conflict,) = found.conflicts
        assert conflict.kind is ConflictKind.MALFORMED
        assert conflict.message == message
        assert conflict.where.startswith(f"{side}, byte ")
        assert found.data == ours


@settings(max_examples=200, deadline=None)
@given(*[st.binary(max_size=40)] * 3, st.sampled_from(["csv", "csv:key=x", "csv:header=no"]))
def test_any_bytes_are_merged_or_told_of(
    base: bytes, ours: bytes, theirs: bytes, choice: str
) -> None:
    """Whatever the bytes are, nothing but a result comes out."""
    found = merge(choice, b"x,y\n" + base, b"x,y\n" + ours, b"x,y\n" + theirs)
    assert found.data is not None


@settings(max_examples=150, deadline=None)
@given(ROWS, ROWS, ROWS, st.sampled_from([1, 3, 8]))
def test_records_are_counted_alike_in_small_blocks_and_on_disk(
    base: list[tuple[str, ...]],
    ours: list[tuple[str, ...]],
    theirs: list[tuple[str, ...]],
    block: int,
) -> None:
    """Records longer than a block, and more of them than may be held, change nothing."""
    wanted = merge("csv", table(base), table(ours), table(theirs)).data
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK", block)
        assert merge("csv", table(base), table(ours), table(theirs)).data == wanted
        patch.setattr(recordcount, "MAX_HELD", 0)
        found = merge("csv", table(base), table(ours), table(theirs)).data
    assert Counter(rows_of(found)) == Counter(rows_of(wanted))


def test_rows_that_no_side_changed_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a key: bytes, empty lines and order are those of ours; new rows come behind."""
    monkeypatch.setattr(lines, "BLOCK", 8)
    base = b'id,x\r\n1,"a"\r\n\r\n2,b\r\n3,"c\r\nd"\r\n4,e\r\n'
    ours = base.replace(b"2,b", b"2,B").replace(b"4,e", b"4,e\r\n9,ours")
    theirs = base.replace(b'3,"c', b'3,"C') + b"5,f"
    found = merge("csv:key=id", base, ours, theirs)
    assert found.conflicts == ()
    assert found.data == ours.replace(b'3,"c', b'3,"C') + b"5,f"
    removed = merge("csv:key=id", base, ours, base.replace(b"4,e\r\n", b""))
    assert removed.data == ours.replace(b"4,e\r\n", b"")


def test_keys_that_cannot_be() -> None:
    """A key that is no column, or not one of its own for each row, and wrong options."""
    data = b"id,x\n1,a\n1,b\n"
    twice = merge("csv:key=id", data, data + b"2,c\n", data + b"3,d\n3,e\n")
    assert twice.conflicts[0].where == "theirs, byte 17"
    assert twice.conflicts[0].message == "the key id has one value twice"
    none = merge("csv:key=no", data, data + b"2,c\n", data + b"3,d\n")
    assert none.conflicts[0].message == "there is no column 'no'"
    for wrong in ("csv:delimiter=;", "csv:header=maybe", "csv:conflict=both", "csv:k=1"):
        with pytest.raises(InvalidInputError):
            merge(wrong, data, data + b"2,c\n", data + b"3,d\n")


def test_forms_stay() -> None:
    """Byte order mark, carriage returns, tabs, semicolons and bytes that are no UTF-8."""
    base = b"\xef\xbb\xbfid;x\r\n1;a,b\r\n2;\xe9\r\n"
    ours, theirs = base + b"3;c\r\n", base.replace(b"a,b", b"B") + b"4;d"
    found = merge("csv:key=id", base, ours, theirs)
    assert found.data == b"\xef\xbb\xbfid;x\r\n1;B\r\n2;\xe9\r\n3;c\r\n4;d"
    tabs = merge("csv", b"a\tb\n", b"a\tb\n1\t2\n", b"a\tb\n3\t4,5\n", path=b"t.tsv")
    assert tabs.data == b"a\tb\n1\t2\n3\t4,5\n"
    bare = merge("csv:header=no:key=1", b"1,a,x\n", b"1,b,x\n", b"1,a,y\n2,c,z\n")
    assert bare.data == b"1,b,y\n2,c,z\n"


def test_both_added_the_file() -> None:
    """There is no base: what both have is there once."""
    found = merge("csv", None, b"x,y\n1,2\n3,4\n", b"x,y\n3,4\n5,6\n")
    assert found.data == b"x,y\n1,2\n3,4\n5,6\n"
    apart = merge("csv", None, b"x\n1\n", b"y\n2\n")
    assert apart.conflicts[0].kind is ConflictKind.SCHEMA


@pytest.mark.parametrize("choice", ["csv", "csv:key=id"])
@pytest.mark.parametrize("changed", [Side.OURS, Side.THEIRS])
@pytest.mark.parametrize(
    "respelled",
    [b"\xef\xbb\xbfid,v\r\n1,a\r\n3,c\r\n", b'"id",v\n1,a\n3,c\n', b"\n\nid,v\n1,a\n3,c\n"],
)
def test_a_header_spelled_in_another_way_stays_in_front(
    choice: str, changed: Side, respelled: bytes
) -> None:
    """As a spreadsheet saves it: with a byte order mark, or quoted; it is no record of its own."""
    sides = {Side.OURS: b"id,v\n1,a\n2,b\n", Side.THEIRS: b"id,v\n1,a\n2,b\n"} | {
        changed: respelled
    }
    found = merge(choice, b"id,v\n1,a\n", sides[Side.OURS], sides[Side.THEIRS])
    assert found.conflicts == ()
    text = found.data.decode("utf-8-sig")
    assert sorted(rows_of(text.encode())[1:]) == [("1", "a"), ("2", "b"), ("3", "c")]
    assert rows_of(text.encode())[0] == ("id", "v")
    assert "\ufeff" not in text
    assert found.data.startswith(b"\xef\xbb\xbf") == sides[Side.OURS].startswith(b"\xef\xbb\xbf")


def test_quotes_that_a_record_does_not_need_make_no_other_record() -> None:
    """A program that writes them around every field has changed nothing."""
    base, ours = b"id,v\n1,a\n2,b\n", b"id,v\n1,a\n2,changed\n"
    found = merge("csv", base, ours, b'"id","v"\n"1","a"\n"2","b"\n"3","c,d"\n')
    assert found.conflicts == ()
    assert found.data == b'id,v\n1,a\n2,changed\n"3","c,d"\n'


def test_a_cell_of_a_column_that_goes_is_no_settled_conflict() -> None:
    """Ours cannot be taken where the column of it is not in the result."""
    found = merge("csv:key=id:conflict=ours", b"id,x\n1,a\n", b"id,x\n1,b\n", b"id\n1\n")
    assert [one.settled for one in found.conflicts] == [None]
    found = merge("csv:key=id:conflict=theirs", b"id,x\n1,a\n", b"id,x\n1,b\n", b"id\n1\n")
    assert [one.settled for one in found.conflicts] == [Side.THEIRS]
    assert found.data == b"id\n1\n"
