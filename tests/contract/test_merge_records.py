"""What the driver of JSON records keeps."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbfs.merge import lines, recordcount
from mlbfs.merge.conflicts import ConflictKind
from mlbfs.merge.driver import Pieces, Span, Take
from mlbfs.merge.versions import Side
from tests.contract.merging import merge

if TYPE_CHECKING:
    from random import Random

RECORDS = st.lists(st.sampled_from([b'{"a":1}', b'{"a": 2}', b"3", b'"x"', b"[]"]), max_size=7)
FILES = st.builds(
    lambda records, tail: b"\n".join(records) + (tail if records else b""),
    RECORDS,
    st.sampled_from([b"", b"\n", b"\r\n"]),
)


def count(data: bytes | None) -> Counter[bytes]:
    """Returns how often each record is there."""
    assert data is not None, "the file is there"
    return Counter(line.strip() for line in data.split(b"\n") if line.strip())


@settings(max_examples=300, deadline=None)
@given(FILES, FILES, FILES)
def test_records_are_counted(base: bytes, ours: bytes, theirs: bytes) -> None:
    """Ours without what theirs removed, with what it added; what both did is done once."""
    before, mine, other = count(base), count(ours), count(theirs)
    removed, added = before - other, other - before
    wanted = (mine - (removed - (before - mine))) + (added - (mine - before))
    found = merge("jsonl", base, ours, theirs)
    assert found.conflicts == ()
    assert count(found.data) == wanted
    assert found.data is not None
    for line in found.data.splitlines():
        assert not line.strip() or json.loads(line) is not Ellipsis


@settings(max_examples=100, deadline=None)
@given(FILES, FILES)
def test_an_unchanged_side_gives_the_other(base: bytes, changed: bytes) -> None:
    """Byte for byte where ours changed; record for record where theirs did."""
    assert merge("jsonl", base, changed, base).data == changed
    assert count(merge("jsonl", base, base, changed).data) == count(changed)


@settings(max_examples=100, deadline=None)
@given(FILES, FILES, FILES)
def test_merging_again_changes_nothing(base: bytes, ours: bytes, theirs: bytes) -> None:
    """What came of it has all that theirs brought."""
    first = merge("jsonl", base, ours, theirs).data
    assert first is not None
    assert merge("jsonl", theirs, first, theirs).data == first


@settings(max_examples=150, deadline=None)
@given(
    FILES,
    FILES,
    FILES,
    st.sampled_from(["jsonl", "jsonl:key=a"]),
    st.sampled_from([1, 5]),
    st.sampled_from([0, 99]),
)
def test_blocks_and_the_disk_change_nothing(
    base: bytes, ours: bytes, theirs: bytes, choice: str, block: int, ids: int
) -> None:
    """The same comes out, in whatever parts a file is read and wherever records are kept."""
    wanted = merge(choice, base, ours, theirs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK", block)
        found = merge(choice, base, ours, theirs)
        assert (found.data, found.conflicts) == (wanted.data, wanted.conflicts)
        patch.setattr(recordcount, "MAX_HELD", 0)
        patch.setattr(recordcount, "MAX_IDS", ids)
        found = merge("jsonl", base, ours, theirs)
    assert choice != "jsonl" or count(found.data) == count(wanted.data)


KEYED = st.dictionaries(st.integers(0, 5), st.sampled_from([b"1", b"2", b"[3]"]), max_size=6)


@settings(max_examples=150, deadline=None)
@given(KEYED, KEYED, KEYED, st.randoms(use_true_random=False))
def test_records_with_a_key_against_a_model(
    base: dict[int, bytes], ours: dict[int, bytes], theirs: dict[int, bytes], order: Random
) -> None:
    """Record by record, in any order; what no side changed keeps its place in ours."""
    files = [_keyed_file(records, order) for records in (base, ours, theirs)]
    found = merge("jsonl:key=k:conflict=ours", *files)
    wanted, conflicts = dict[int, bytes](), 0
    for key in [*ours, *theirs]:
        b, o, t = base.get(key), ours.get(key), theirs.get(key)
        taken = o if o == t or t == b else t if o == b else o
        conflicts += key not in wanted and o != t and b not in (o, t)
        wanted |= {} if taken is None else {key: taken}
    lines_found = {int(row["k"]): row for row in map(json.loads, (found.data or b"").splitlines())}
    assert lines_found == {key: {"k": key, "v": json.loads(v)} for key, v in wanted.items()}
    kept = [key for key in map(_key_of, files[1].splitlines()) if key in wanted]
    assert [key for key in map(_key_of, (found.data or b"").splitlines()) if key in kept] == kept


def _keyed_file(records: dict[int, bytes], order: Random) -> bytes:
    rows = [b'{"k": %d, "v": %s}\n' % row for row in records.items()]
    order.shuffle(rows)
    return b"".join(rows)


def _key_of(line: bytes) -> int:
    return int(json.loads(line)["k"])


def test_what_all_versions_have_is_not_looked_into() -> None:
    """A broken record that was there before keeps nobody from merging; one that is new does."""
    base = b'{"id": 1}\n{broken\n{"id": 2}\n'
    ours, theirs = b'{"id": 0}\n' + base, base + b'{"id": 3}\n'
    for choice in ("jsonl", "jsonl:key=id"):
        assert merge(choice, base, ours, theirs).data == ours + b'{"id": 3}\n'
        assert merge(choice, base, b"{new\n" + base, theirs).open_conflicts


def test_appends_are_pieces_of_the_versions() -> None:
    """The front is a span of ours, so a long file is neither read nor cut again."""
    base = b"".join(b'{"n": %d}\n' % number for number in range(100))
    ours, theirs = base + b'{"n": 100}\n', base + b'{"n": 101}\n{"n": 100}\n{"n": 102}'
    found = merge("jsonl", base, ours, theirs)
    assert found.data == base + b'{"n": 100}\n{"n": 101}\n{"n": 102}'
    content = found.result.content
    assert isinstance(content, Pieces)
    assert content.parts[0] == Span(Side.OURS, 0, len(ours))
    assert found.note == "2 records came in"
    assert merge("jsonl", base, ours, base).result.content == Take(Side.OURS)


def test_a_last_record_without_a_newline_gets_one() -> None:
    """Two records never come to stand on one line."""
    assert merge("jsonl", b"1", b"1", b"1\n2").data == b"1\n2"
    assert merge("jsonl", b"1\n", b"1\n2", b"1\n3").data == b"1\n2\n3"
    assert merge("jsonl", None, b"1", b"2").data == b"1\n2"


@pytest.mark.parametrize("size", [1, 7, 64])
def test_the_common_front_is_found_in_steps(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the length of a step."""
    monkeypatch.setattr(lines, "STEP", size)
    base = b"".join(b"%d\n" % number for number in range(50))
    for at in (0, 3, 49, 50):
        parts = base.splitlines(keepends=True)
        ours = b"".join([*parts[:at], b"1000\n", *parts[at:]])
        found = merge("jsonl", base, ours, base + b"2000\n")
        assert count(found.data) == count(ours + b"2000\n")


def test_records_with_a_key_merge_like_objects() -> None:
    """Both changed another member; one is gone on a side; a new one comes in."""
    base = b'{"id":1,"a":1,"b":1}\n{"id":2}\n{"id":3}\n'
    ours = b'{"id":1,"a":2,"b":1}\n{"id":2}\n{"id":3}\n{"id":4}\n'
    theirs = b'{"id":1,"a":1,"b":2}\n{"id":3}\n{"id":5}\n'
    found = merge("jsonl:key=id", base, ours, theirs)
    assert found.conflicts == ()
    assert found.data == b'{"id":1,"a":2,"b":2}\n{"id":3}\n{"id":4}\n{"id":5}\n'


@pytest.mark.parametrize(
    ("words", "data", "settled"),
    [
        ("", b'{"id":1,"a":2}\n', None),
        (":conflict=ours", b'{"id":1,"a":2}\n', Side.OURS),
        (":conflict=theirs", b'{"id":1,"a":3}\n', Side.THEIRS),
    ],
)
def test_one_record_changed_two_ways_is_told(words: str, data: bytes, settled: Side | None) -> None:
    """With its key and all three versions, whatever settles it."""
    found = merge(
        f"jsonl:key=id{words}", b'{"id":1,"a":1}\n', b'{"id":1,"a":2}\n', b'{"id":1,"a":3}\n'
    )
    assert found.data == data
    (conflict,) = found.conflicts
    assert (conflict.kind, conflict.where, conflict.settled) == (
        *(ConflictKind.RECORD, "id=1", settled),
    )
    assert (conflict.base, conflict.theirs) == ('{"id":1,"a":1}', '{"id":1,"a":3}')


def test_a_record_that_one_removed_and_the_other_changed_stays() -> None:
    """It is a conflict, and nothing is lost."""
    found = merge("jsonl:key=id", b'{"id":1}\n', b"", b'{"id":1,"a":3}\n')
    assert (found.data, len(found.conflicts)) == (b'{"id":1,"a":3}\n', 1)


@pytest.mark.parametrize(
    ("choice", "theirs", "words"),
    [
        ("jsonl", b"1\n{\n", "not JSON"),
        ("jsonl", b"1\n\xff\n", "UTF-8"),
        ("jsonl:key=id", b'1\n{"id":1}\n', "without the key"),
        ("jsonl:key=id", b'{"id":1}\n{"id":1,"a":2}\n', "twice"),
    ],
)
def test_what_is_no_record_is_a_conflict(choice: str, theirs: bytes, words: str) -> None:
    """With the parser's words and the place; ours is untouched."""
    ours = b'{"id":9}\n'
    found = merge(choice, b"", ours, theirs)
    (conflict,) = found.conflicts
    assert (found.data, conflict.kind) == (ours, ConflictKind.MALFORMED)
    assert words in conflict.message
    assert conflict.where.startswith("theirs, byte ")


@pytest.mark.parametrize("choice", ["jsonl", "jsonl:key=id"])
@pytest.mark.parametrize("changed", [Side.OURS, Side.THEIRS])
def test_a_byte_order_mark_is_part_of_no_record(choice: str, changed: Side) -> None:
    """It stays in front where ours has one, and comes nowhere else."""
    base, mark = b'{"id":1}\n', b"\xef\xbb\xbf"
    sides = {Side.OURS: base + b'{"id":2}\n', Side.THEIRS: base + b'{"id":3}\n'}
    sides[changed] = mark + sides[changed]
    found = merge(choice, base, sides[Side.OURS], sides[Side.THEIRS])
    front = mark if changed is Side.OURS else b""
    assert found.data == front + b'{"id":1}\n{"id":2}\n{"id":3}\n'


def test_records_that_are_put_together_end_as_ours_do() -> None:
    """With a carriage return where ours has them."""
    base, ours = b'{"id":1,"a":1,"b":1}\r\n', b'{"id":1,"a":2,"b":1}\r\n'
    found = merge("jsonl:key=id", base, ours, b'{"id":1,"a":1,"b":2}\n')
    assert found.data == b'{"id":1,"a":2,"b":2}\r\n'
