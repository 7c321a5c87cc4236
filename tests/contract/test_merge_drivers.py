"""What every merge driver keeps, and what each says it does."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbfs.errors import InvalidInputError, NotFoundError
from mlbfs.git.attributes import Attributes
from mlbfs.merge.choice import Chooser
from mlbfs.merge.conflicts import ConflictKind
from mlbfs.merge.driver import DriverChoice, parse_choice
from mlbfs.merge.jsontext import MAX_DEPTH
from mlbfs.merge.kinds import default_driver
from mlbfs.merge.registry import BUILT_IN, driver_names, load_driver
from mlbfs.merge.versions import Side
from tests.contract.merging import Inputs, merge

LINES = st.lists(st.sampled_from([b"one\n", b"two\n", b"three\n", b"four\n"]), max_size=8)
TEXTS = LINES.map(b"".join)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["a", "é", "\n"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from("abcd"), inner, max_size=4)
    ),
    max_leaves=12,
)
DOCUMENTS = VALUES.map(lambda value: json.dumps(value).encode())
MERGING = {"text": TEXTS, "union": TEXTS, "json": DOCUMENTS}
"""Drivers that merge content, with versions that they take."""


def test_every_driver_has_its_name_and_can_be_loaded() -> None:
    """The table and the classes agree."""
    assert driver_names()[: len(BUILT_IN)] == list(BUILT_IN)
    for name in BUILT_IN:
        driver = load_driver(name)
        assert driver.name == name


def test_an_unknown_driver_is_named_with_those_that_there_are() -> None:
    """Whoever mistypes a name finds the right one in the hint."""
    with pytest.raises(NotFoundError, match="'jsn'") as caught:
        load_driver("jsn")
    assert "json" in (caught.value.hint or "")


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_a_word_that_a_driver_does_not_know_is_refused(name: str) -> None:
    """A mistyped option is not passed over: it would change what happens to data."""
    with pytest.raises(InvalidInputError, match="does not know"):
        merge(f"{name}:colour=red", b"1\n", b"2\n", b"3\n")


@pytest.mark.parametrize("name", sorted(MERGING))
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_an_unchanged_side_gives_the_other(name: str, data: st.DataObject) -> None:
    """Whichever of the two it is."""
    base, changed = (data.draw(MERGING[name]) for _ in range(2))
    for ours, theirs in ((base, changed), (changed, base)):
        found = merge(name, base, ours, theirs)
        assert found.conflicts == ()
        assert found.data == changed or _values(name, found.data) == _values(name, changed)


@pytest.mark.parametrize("name", sorted(MERGING))
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_merging_again_changes_nothing(name: str, data: st.DataObject) -> None:
    """What came of a merge without conflicts already has what either side brought."""
    base, ours, theirs = (data.draw(MERGING[name]) for _ in range(3))
    first = merge(name, base, ours, theirs)
    if first.open_conflicts or name == "text":
        return  # lines that moved may meet again elsewhere, in Git too
    again = merge(name, theirs, first.data, theirs)
    assert again.data == first.data


def _values(name: str, data: bytes | None) -> object:
    return json.loads(data or b"null") if name == "json" else data


# Sides


def test_sides_are_taken_as_they_are() -> None:
    """`ours`, `theirs`, and `newest` by the times of the commits; ours where they are equal."""
    assert merge("ours", b"b", b"o", b"t").data == b"o"
    assert merge("theirs", b"b", b"o", b"t").data == b"t"
    for times, wanted in (((1, 2), b"t"), ((2, 1), b"o"), ((1, 1), b"o")):
        given_times = dict(zip((Side.OURS, Side.THEIRS), times, strict=True))
        assert merge("newest", b"b", b"o", b"t", times=given_times).data == wanted


def test_binary_merges_nothing() -> None:
    """It is a conflict that names all three versions, and ours is shown."""
    found = merge("binary", b"b", b"o", b"t")
    (conflict,) = found.conflicts
    assert (found.data, conflict.kind) == (b"o", ConflictKind.BINARY)
    assert merge("binary", None, b"o", b"t").conflicts[0].kind is ConflictKind.ADDED_TWICE


# Text


def test_lines_merge_and_conflicts_have_markers() -> None:
    """As `git merge-file` does it, with the names of the branches."""
    base = b"".join(b"%d\n" % n for n in range(9))
    one, other = base.replace(b"1\n", b"one\n"), base.replace(b"7\n", b"seven\n")
    assert merge("text", base, one, other).data == one.replace(b"7\n", b"seven\n")
    labels = {Side.BASE: "base", Side.OURS: "main", Side.THEIRS: "dev"}
    found = merge("text", b"a\n", b"b\n", b"c\n", labels=labels)
    assert found.data == b"<<<<<<< main\nb\n=======\nc\n>>>>>>> dev\n"
    (conflict,) = found.conflicts
    assert (conflict.kind, conflict.where) == (ConflictKind.CONTENT, "line 1")


def test_what_is_no_text_is_not_merged_by_lines() -> None:
    """A NUL makes it a conflict of another kind, whatever was named."""
    assert merge("text", b"a\0", b"b\0", b"c\0").conflicts[0].kind is ConflictKind.BINARY


def test_union_keeps_the_lines_of_both() -> None:
    """Without markers; and other kinds of files merge as they do by themselves."""
    assert merge("union", b"a\n", b"a\nb\n", b"a\nc\n").data == b"a\nb\nc\n"
    found = merge("union", b"[1]", b"[1, 2]", b"[1, 3]", path=b"m.json")
    assert (found.data, found.note) == (b"[1, 2, 3]", "json")
    assert merge("union", b"\0a", b"\0b", b"\0c").conflicts[0].kind is ConflictKind.BINARY


# Overwrite and keep-both


def test_the_incoming_model_replaces_ours() -> None:
    """The note has both ids, so that the other one is found again."""
    found = merge("overwrite", b"b", b"ours", b"theirs")
    assert found.data == b"theirs"
    assert "gave way to" in found.note


METRICS = b"metrics.json"


def _better(ours: object, theirs: object, tail: str = "") -> bytes | None:
    sides = ((Side.OURS, ours), (Side.THEIRS, theirs))
    others = {
        (side, METRICS): json.dumps({"test": {"acc": value}}).encode()
        for side, value in sides
        if value is not None
    }
    choice = f"overwrite:when-better:metrics.json:test.acc{tail}"
    return merge(choice, b"b", b"ours", b"theirs", others=others).data


@pytest.mark.parametrize(
    ("ours", "theirs", "tail", "wanted"),
    [
        (0.8, 0.9, "", b"theirs"),
        (0.9, 0.8, "", b"ours"),
        (0.9, 0.9, ":max", b"ours"),
        (0.9, 0.8, ":min", b"theirs"),
        (None, 0.1, "", b"theirs"),
        (0.1, None, "", b"ours"),
        (None, None, "", b"ours"),
    ],
)
def test_a_model_is_taken_only_if_its_metrics_say_so(
    ours: float | None, theirs: float | None, tail: str, wanted: bytes
) -> None:
    """What has no number is not better; of what is equal, ours stays."""
    assert _better(ours, theirs, tail) == wanted


@pytest.mark.parametrize("value", [b"{", b'{"acc": "high"}', b'{"acc": true}', b'{"acc": NaN}'])
def test_metrics_that_cannot_be_read_are_a_conflict(value: bytes) -> None:
    """Which of two models is better is then for a person to say."""
    others = {(Side.OURS, METRICS): b'{"acc": 1}', (Side.THEIRS, METRICS): value}
    found = merge("overwrite:when-better:metrics.json:acc", b"b", b"o", b"t", others=others)
    (conflict,) = found.conflicts
    assert (found.data, conflict.kind, conflict.where) == (b"o", ConflictKind.MALFORMED, "theirs")


@pytest.mark.parametrize(
    "words", ["when-better", "when-better:f", "when-better:f:k:most", "better"]
)
def test_overwrite_refuses_what_it_cannot_read(words: str) -> None:
    """Half an option is none."""
    with pytest.raises(InvalidInputError, match="does not know"):
        merge(f"overwrite:{words}", b"b", b"o", b"t")


def test_both_are_kept_under_two_names() -> None:
    """Theirs gets the name of its branch before the suffix, and a number if that is taken."""
    labels = {Side.BASE: "base", Side.OURS: "main", Side.THEIRS: "dev/new model"}
    found = merge("keep-both", b"b", b"o", b"t", path=b"m/a.pt", labels=labels)
    assert (found.data, found.beside) == (b"o", {b"m/a.dev-new-model.pt": b"t"})
    others = {(Side.OURS, b"m/a.dev-new-model.pt"): b"x"}
    again = merge("keep-both", b"b", b"o", b"t", path=b"m/a.pt", labels=labels, others=others)
    assert list(again.beside) == [b"m/a.dev-new-model-2.pt"]
    assert list(merge("keep-both", None, b"o", b"t", path=b".env").beside) == [b".env.theirs"]


# JSON


def test_lists_append_what_both_sides_added() -> None:
    """In order, without duplicates, in the form of ours."""
    base, ours = b'[\n  {"run": 1}\n]\n', b'[\n  {"run": 1},\n  {"run": 2}\n]\n'
    found = merge("json", base, ours, b'[{"run": 1}, {"run": 3}, {"run": 2}]')
    assert json.loads(found.data) == [{"run": 1}, {"run": 2}, {"run": 3}]
    assert found.data == b'[\n  {"run": 1},\n  {"run": 2},\n  {"run": 3}\n]\n'


def test_what_one_side_took_away_goes() -> None:
    """An element and a key; what the other changed meanwhile is a conflict and stays."""
    assert json.loads(merge("json", b"[1,2,3]", b"[1,2,3,4]", b"[1,3]").data) == [1, 3, 4]
    found = merge("json", b'{"a":1,"b":2}', b'{"b":2}', b'{"a":1,"b":3}')
    assert (json.loads(found.data), found.conflicts) == ({"b": 3}, ())
    found = merge("json", b'{"a":1}', b"{}", b'{"a":2}')
    assert json.loads(found.data) == {"a": 2}
    (conflict,) = found.conflicts
    assert (conflict.where, conflict.base, conflict.ours, conflict.theirs) == (
        "$.a",
        "1",
        None,
        "2",
    )


def test_elements_with_a_key_merge_like_objects() -> None:
    """Both changed another member of one run; a third run is new."""
    base = b'[{"id":1,"a":1,"b":1}]'
    ours, theirs = b'[{"id":1,"a":2,"b":1}]', b'[{"id":1,"a":1,"b":2},{"id":2}]'
    found = merge("json:key=id", base, ours, theirs)
    assert json.loads(found.data) == [{"id": 1, "a": 2, "b": 2}, {"id": 2}]
    assert found.conflicts == ()
    found = merge("json:key=id", base, ours, b'[{"id":1,"a":3,"b":1}]')
    assert found.conflicts[0].where == "$[id=1].a"


@pytest.mark.parametrize("more", ['{"other":%d}', '{"id":1,"c":%d}', "%d"])
def test_a_list_that_a_key_does_not_tell_apart_is_a_conflict(more: str) -> None:
    """By whole values, one run would be there twice; what both added is there all the same."""
    base, ours, theirs = (f'[{{"id":1,"a":{n}}},{more % n}]'.encode() for n in (1, 2, 3))
    found = merge("json:key=id", base, ours, theirs)
    assert [(one.where, "'id'" in one.message) for one in found.open_conflicts] == [("$", True)]
    rows = [one for one in json.loads(found.data) if isinstance(one, dict)]
    assert [one["a"] for one in rows if "a" in one] == [2, 3]
    assert merge("json:key=id", base, base, theirs).conflicts == ()
    same = [f'[{{"id":1,"a":{n}}},{more % 2}]'.encode() for n in (1, 2, 3)]
    (conflict,) = merge("json:key=id", *same).conflicts  # what all have is not looked into
    assert conflict.where == "$[id=1].a"
    plain = merge("json:key=id", b'{"l":[1]}', b'{"l":[1,2]}', b'{"l":[1,3]}')
    assert (plain.conflicts, json.loads(plain.data)) == ((), {"l": [1, 2, 3]})


def test_keys_of_several_types_are_several_keys() -> None:
    """A number, the same as text, and the same with a point."""
    base, more = b'[{"id":1}]', b'[{"id":1},{"id":"1"},{"id":1.0},{"id":true},{"id":null}]'
    found = merge("json:key=id", base, b'[{"id":1,"a":1}]', more)
    assert found.conflicts == ()
    assert found.data == b'[{"id":1,"a":1},{"id":"1"},{"id":1.0},{"id":true},{"id":null}]'


def test_a_scalar_that_both_changed_is_settled_by_the_policy_or_told() -> None:
    """It is listed in any case."""
    versions = (b'{"lr": 0.1}', b'{"lr": 0.2}', b'{"lr": 0.30}')
    for policy, data, settled in (
        ("json", b'{"lr": 0.2}', None),
        ("json:conflict=ours", b'{"lr": 0.2}', Side.OURS),
        ("json:conflict=theirs", b'{"lr": 0.30}', Side.THEIRS),
    ):
        found = merge(policy, *versions)
        assert found.data == data
        (conflict,) = found.conflicts
        assert (conflict.kind, conflict.where, conflict.settled) == (
            *(ConflictKind.VALUE, "$.lr", settled),
        )


def test_numbers_keep_their_digits_and_true_is_not_one() -> None:
    """A merge is no occasion to round."""
    ours = b'{"a": 1.000000000000000000001, "b": 1e400, "c": -0.0}'
    found = merge("json", b"{}", ours, b'{"d": 12345678901234567890123}')
    assert found.data == ours[:-1] + b', "d": 12345678901234567890123}'
    assert merge("json", b"[1]", b"[true]", b"[1.0]").data == b"[true, 1.0]"


@pytest.mark.parametrize(
    ("ours", "words"),
    [
        (b"{", "line 1"),
        (b'{"a":1,"a":2}', "twice"),
        (b"\xff[]", "UTF-8"),
        (b"[" * 100_000, "deeply"),
        (b"", "line 1"),
        (b"[1] 2", "Extra data"),
    ],
)
def test_malformed_documents_are_conflicts(ours: bytes, words: str) -> None:
    """With the parser's words and the place, and ours untouched."""
    found = merge("json", b"[]", ours, b"[1]")
    (conflict,) = found.conflicts
    assert (found.data, conflict.kind) == (ours, ConflictKind.MALFORMED)
    assert words in conflict.message + conflict.where
    assert "ours" in conflict.where


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS, DOCUMENTS, DOCUMENTS)
def test_no_record_of_either_side_vanishes(base: bytes, ours: bytes, theirs: bytes) -> None:
    """What a side has in a list and the base has not is in the merged list."""
    lists = [json.dumps([json.loads(data)] * 1).encode() for data in (base, ours, theirs)]
    merged = json.loads(merge("json", *lists).data)
    for side in lists[1:]:
        (record,) = json.loads(side)
        if side != lists[0]:
            assert record in merged


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS, DOCUMENTS, DOCUMENTS)
def test_swapping_the_sides_mirrors_the_conflicts(base: bytes, ours: bytes, theirs: bytes) -> None:
    """The same places are in conflict, with the values the other way round."""
    one, other = merge("json", base, ours, theirs), merge("json", base, theirs, ours)
    told = {(found.where, found.ours, found.theirs) for found in one.conflicts}
    assert told == {(found.where, found.theirs, found.ours) for found in other.conflicts}


# Choice


def test_a_choice_is_a_name_and_words() -> None:
    """It reads back as it was written."""
    choice = parse_choice("json:key=id:conflict=ours")
    assert choice == DriverChoice("json", ("key=id", "conflict=ours"))
    assert (choice.option("key"), choice.option("other")) == ("id", None)
    assert str(choice) == "json:key=id:conflict=ours"
    for text in ("", ":x", "json::"):
        with pytest.raises(InvalidInputError):
            parse_choice(text)


def test_auto_leaves_a_file_to_its_kind() -> None:
    """In a rule it says what no rule says, and it takes no options."""
    found = merge("auto", b"[1]", b"[1, 2]", b"[1, 3]", path=b"m.json")
    assert (found.data, found.note) == (b"[1, 2, 3]", "json")
    assert merge("auto", b"a\nb\n", b"A\nb\n", b"a\nB\n").conflicts
    rules = {b".gitattributes": b"*.json merge=ours\nm.json merge=auto\n"}
    inputs = Inputs()
    version = inputs.put(Side.OURS, b"m.json", b"[1]")
    chooser = Chooser(Attributes(rules.get), [], inputs.open)
    assert chooser.choose(b"m.json", [version]) == DriverChoice("json")
    assert chooser.choose(b"n.json", [version]) == DriverChoice("ours")
    with pytest.raises(InvalidInputError):
        merge("auto:key=id", b"[1]", b"[1, 2]", b"[1, 3]", path=b"m.json")


@pytest.mark.parametrize(
    ("path", "front", "driver"),
    [
        (b"a.py", b"import os\n", "text"),
        (b"m.json", b"[1]", "json"),
        (b"M.JSON", b"[1]", "json"),
        (b"m.json", b"\xff\xfe", "binary"),
        (b"model.pt", b"PK\3\4", "overwrite"),
        (b"a.png", b"\x89PNG\r\n\x1a\n", "overwrite"),
        (b"notes", b"caf\xc3", "text"),
        (b"data.bin", b"\0\1", "binary"),
        (b".json", b"[1]", "json"),
    ],
)
def test_the_kind_is_told_by_content_before_name(path: bytes, front: bytes, driver: str) -> None:
    """And by name where the content is any text."""
    assert default_driver(path, front) == driver


def test_half_of_a_surrogate_pair_stays_an_escape() -> None:
    """Whatever else is in the document: its bytes would be no UTF-8."""
    base = '{"é": "\\ud800", "a": 1, "b": 1}'.encode()
    found = merge(
        "json", base, base.replace(b'"a": 1', b'"a": 2'), base.replace(b'"b": 1', b'"b": 2')
    )
    assert found.conflicts == ()
    assert json.loads(found.data.decode()) == {"é": "\ud800", "a": 2, "b": 2}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("indent", ["", " ", "\t"])
def test_lines_of_a_document_stay_lines(newline: str, indent: str) -> None:
    """With the indentation and the ends that they have in ours, whichever those are."""

    def shown(a: int, b: int) -> bytes:
        text = json.dumps({"a": a, "b": [b], "c": {}}, indent=indent)
        return text.replace("\n", newline).encode()

    assert merge("json", shown(1, 1), shown(2, 1), shown(1, 2)).data == shown(2, 2)


@pytest.mark.parametrize("choice", ["json", "json:key=id", "jsonl:key=id"])
def test_what_is_nested_too_deeply_is_a_conflict(choice: str) -> None:
    """And what is just not too deep merges."""

    def nested(levels: int, more: str = "") -> bytes:
        above = levels - 2
        inner = '{"a":' * above + f'{{"n":[1]{more}}}' + "}" * above
        return f'{{"id":1,"list":[{{"id":1,"x":{inner}}}],"x":{inner}}}\n'.encode()

    fits = MAX_DEPTH - 4
    found = merge(choice, nested(fits), nested(fits, ',"b":1'), nested(fits, ',"c":1'))
    assert found.conflicts == ()
    assert b'"c":1,"b":1' in found.data
    for levels in (MAX_DEPTH + 1, 600, 5000):
        found = merge(choice, nested(levels), nested(levels, ',"b":1'), nested(levels, ',"c":1'))
        assert [one.message for one in found.conflicts] == ["nested too deeply"]


def test_a_number_beyond_all_bounds_is_no_metric() -> None:
    """It is told as a conflict, as any other file of metrics that cannot be read."""
    others = {(side, b"m.json"): b'{"acc": 1%b}' % (b"0" * 400) for side in Side}
    found = merge("overwrite:when-better:m.json:acc", b"0", b"1", b"2", others=others)
    assert [one.kind for one in found.conflicts] == [ConflictKind.MALFORMED]
