"""What the driver of JSON keeps of the text of documents, and what it makes of their values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlbfs.merge.conflicts import ConflictKind
from mlbfs.merge.driver import Take
from mlbfs.merge.jsonspans import Document
from mlbfs.merge.jsontext import MalformedJsonError
from mlbfs.merge.versions import Side
from tests.contract.json_model import merge_values, unordered
from tests.contract.merging import merge

NAMES = st.sampled_from(["a", "b", "id", "é", "n 1"])
SCALARS = st.sampled_from([None, True, 0, 1, -2.5, "", "x", 'q"\\', "ü\u2028", "\U0001f600"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)
RECORDS = st.lists(
    st.fixed_dictionaries({"id": st.integers(0, 4)}, optional={"a": SCALARS, "b": SCALARS}),
    unique_by=lambda record: record["id"],
)
FORMS = st.fixed_dictionaries(
    {
        "indent": st.sampled_from([None, 0, 2, "\t"]),
        "ensure_ascii": st.booleans(),
        "sort_keys": st.booleans(),
    }
)


def _text(value: Any, form: dict[str, Any]) -> bytes:
    return json.dumps(value, **form).encode()


@settings(max_examples=300, deadline=None)
@given(*[VALUES] * 3, *[FORMS] * 3)
def test_values_merge_as_a_model_says(
    base: Any,
    ours: Any,
    theirs: Any,
    before: dict[str, Any],
    mine: dict[str, Any],
    other: dict[str, Any],
) -> None:
    """However the three documents are written; a base that is not the same type, too."""
    wanted, conflicts = merge_values(base, ours, theirs)
    found = merge("json", _text(base, before), _text(ours, mine), _text(theirs, other))
    assert found.data is not None
    assert unordered(json.loads(found.data)) == unordered(wanted)
    assert len(found.conflicts) == len(conflicts)


@settings(max_examples=200, deadline=None)
@given(*[RECORDS] * 3, *[FORMS] * 2)
def test_records_with_a_key_merge_as_a_model_says(
    base: Any, ours: Any, theirs: Any, mine: dict[str, Any], other: dict[str, Any]
) -> None:
    """Member by member, in any order, and with the sides in two forms."""
    wanted, conflicts = merge_values(base, ours, theirs, key="id")
    texts = (_text(base, mine), _text(ours, mine), _text(theirs, other))
    found = merge("json:key=id", *texts)
    assert found.data is not None
    assert unordered(json.loads(found.data)) == unordered(wanted)
    assert len(found.conflicts) == len(conflicts)


@settings(max_examples=150, deadline=None)
@given(*[VALUES] * 2, *[FORMS] * 2)
def test_an_unchanged_side_gives_the_bytes_of_the_other(
    base: Any, changed: Any, mine: dict[str, Any], other: dict[str, Any]
) -> None:
    """Also where the other is only written in another way."""
    first, second = _text(base, mine), _text(changed, other)
    assert merge("json", first, second, first).data == second
    assert merge("json", first, first, second).data in (
        (second,) if json.loads(first) != json.loads(second) else (first, second)
    )


SPACES = st.text(" \t\n", max_size=3)
RAW = st.sampled_from(
    ["1", "1.00", "1e5", "-0", '"\\u00e9"', '"é"', "[1,2 , 3]", "[ ]", '{"x":1 ,"y": [true]}', "{}"]
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(SPACES, RAW, SPACES, st.sampled_from("=ot")), min_size=1, max_size=6),
    SPACES,
    SPACES,
)
def test_what_no_side_changed_keeps_its_text(
    members: list[tuple[str, str, str, str]], head: str, tail: str
) -> None:
    """Spaces, escapes and spellings of numbers, whatever changes beside them.

    Of each member: what stands before and behind it, its text, and who changes it, if somebody.
    """

    def shown(changes: str) -> bytes:
        parts = [
            f'{before}"m{number}"{before}:{behind}{"77" if who in changes else text}{behind}'
            for number, (before, text, behind, who) in enumerate(members)
        ]
        return (head + "{" + ",".join(parts) + "}" + tail).encode()

    found = merge("json", shown(""), shown("o"), shown("t"))
    assert (found.data, found.conflicts) == (shown("ot"), ())


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(SPACES, RAW, st.sampled_from("=-+")), min_size=1, max_size=6),
    st.sampled_from([", ", ",\n  "]),
)
def test_elements_that_stay_keep_their_text(
    elements: list[tuple[str, str, str]], comma: str
) -> None:
    """Of each: spaces in it, its text, and whether theirs removes it, or adds one behind it."""

    def shown(*, is_theirs: bool) -> list[str]:
        parts = []
        for number, (space, text, who) in enumerate(elements):
            if who != "-" or not is_theirs:
                parts.append(f"[{number}{space},{space}{text}]")
        return parts

    added = [f"[{number}, 99]" for number, one in enumerate(elements) if one[2] == "+"]
    base, left = shown(is_theirs=False), shown(is_theirs=True)
    texts = [f"[{comma.join(parts)}]".encode() for parts in (base, [*base, "0"], left + added)]
    found = merge("json", *texts)
    assert found.conflicts == ()
    assert found.data is not None
    merged = found.data.decode()
    assert [element for element in base if element in merged] == left
    assert json.loads(merged) == json.loads(f"[{','.join([*left, '0', *added])}]")


def test_a_document_keeps_how_a_person_wrote_it() -> None:
    """Short lists on one line in a document of many, as editors write them."""
    base = b"""{
  "shape": [3, 224, 224],
  "mean": [0.485, 0.456, 0.406],
  "layers": [
    {"name": "conv1", "width": 64},
    {"name": "conv2", "width": 128}
  ],
  "lr": 1e-3
}
"""
    ours = base.replace(b"1e-3", b"3e-4").replace(b"224, 224", b"256, 256")
    theirs = base.replace(b"128}\n", b'128},\n    {"name": "fc", "width": 10}\n').replace(
        b'"lr"', b'"decay": 0.10,\n  "lr"'
    )
    found = merge("json", base, ours, theirs)
    assert found.conflicts == ()
    assert found.data == theirs.replace(b"1e-3", b"3e-4").replace(b"224, 224", b"256, 256")


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "wanted"),
    [
        (b"{}", b"{ }", b'{"a": 1}', b'{"a": 1}'),
        (b"[]", b"[]", b"[\n 1\n]", b"[\n 1\n]"),
        (b"[1]", b"[1, 2]", b"[]", b"[2]"),
        (b"[1, 2]", b"[2]", b"[1]", b"[]"),
        (b'{"a":{}}', b'{"a":{}, "b":1}', b'{"a":{"x":[1,2]}}', b'{"a":{"x":[1, 2]}, "b":1}'),
        (b'{\n "a": {}\n}', b'{\n "a": {},\n "b": 1\n}', b'{"a":{"x":1}}',
         b'{\n "a": {\n  "x": 1\n },\n "b": 1\n}'),
        (b'{"a": 1}', b'\xef\xbb\xbf{"a": 1, "b": 2}\r\n', b'{"a": 3}',
         b'\xef\xbb\xbf{"a": 3, "b": 2}\r\n'),
    ],
)  # fmt: skip
def test_places_of_new_values(base: bytes, ours: bytes, theirs: bytes, wanted: bytes) -> None:
    """In empty objects and lists, where all goes, and with a byte order mark."""
    assert merge("json", base, ours, theirs).data == wanted


def test_only_another_form_takes_ours() -> None:
    """Nothing is written where both say the same."""
    found = merge("json", b'{"a":1,"b":[1]}', b'{"b": [1], "a": 1}', b'{\n"a": 1, "b": [ 1 ]}')
    assert found.result.content == Take(Side.OURS)


@settings(max_examples=200, deadline=None)
@given(VALUES, VALUES, FORMS, st.booleans())
def test_another_version_does_not_change_how_a_document_is_taken_apart(
    value: Any, other: Any, form: dict[str, Any], is_nested: bool
) -> None:
    """With values that were put in, replaced and removed, one at a time and several."""
    rows = [value, other, 1, "x", {"a": other}, [value], 2.5, value, "y"]
    more = [*rows[:2], other, *rows[3:5], 12, 13, *rows[6:]]
    for one, second in ((rows, more), (more, rows), (rows, [*rows[4:], *rows])):
        left, right = (
            {"a": 1, "b": lists} if is_nested else lists
            for lists in ([*one, *one], [*second, *second])
        )
        guide = Document(_text(left, form), "guide")
        guided, plain = (Document(_text(right, form), "it", g) for g in (guide, None))
        children, alone = guided.root.children, plain.root.children
        assert [*map(children.text, range(len(children)))] == [*map(alone.text, range(len(alone)))]
        assert children.names == alone.names
        assert [*children.begins] == [*alone.begins]
        assert (children.end, guided.root.stop) == (alone.end, plain.root.stop)
        assert children.depth >= alone.depth


@settings(max_examples=300, deadline=None)
@given(VALUES, FORMS, st.integers(0, 60), st.text('[]{},:"\\1 e.-\0', max_size=3))
@example([1], {}, 1, "")
def test_a_document_is_taken_for_json_if_it_is(
    value: Any, form: dict[str, Any], at: int, noise: str
) -> None:
    """And is a conflict with the words of the parser if not, also beside one that it is like."""
    good = _text([value, 1], form)
    text = good.decode()
    spoilt = (text[:at] + noise + text[at:]).encode()
    try:
        json.loads(spoilt, object_pairs_hook=_no_doubles)
    except ValueError:
        for guide in (None, Document(good, "base")):
            with pytest.raises(MalformedJsonError):
                Document(spoilt, "ours", guide)
        (conflict,) = merge("json", good, spoilt, b"[2]").conflicts
        assert conflict.kind is ConflictKind.MALFORMED
    else:
        assert Document(spoilt, "ours", Document(good, "base")).root.stop <= len(spoilt)


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError
    return dict(pairs)
