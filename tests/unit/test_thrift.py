"""Thrift's compact protocol: what is read comes out as it went in, and nonsense is refused."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbfs.merge.parquet.thrift import (
    BINARY,
    BYTE,
    DOUBLE,
    FALSE,
    I16,
    I32,
    I64,
    LIST,
    MAP,
    SET,
    STRUCT,
    TRUE,
    UUID,
    Items,
    MalformedThriftError,
    Pairs,
    Struct,
    parse_struct,
    render_struct,
)

LEAVES = {
    BYTE: st.integers(0, 255),
    I16: st.integers(-(1 << 15), (1 << 15) - 1),
    I32: st.integers(-(1 << 31), (1 << 31) - 1),
    I64: st.integers(-(1 << 63), (1 << 63) - 1),
    DOUBLE: st.binary(min_size=8, max_size=8),
    UUID: st.binary(min_size=16, max_size=16),
    BINARY: st.binary(max_size=200),
    TRUE: st.booleans(),
}


def of_kind(kind: int, inner: st.SearchStrategy[Struct]) -> st.SearchStrategy[object]:
    """Returns values of a type."""
    if kind == STRUCT:
        return inner
    if kind in (LIST, SET):
        return st.sampled_from([*LEAVES, STRUCT]).flatmap(
            lambda item: st.builds(
                Items, st.just(item), st.lists(of_kind(item, inner), max_size=20)
            )
        )
    if kind == MAP:
        pairs = st.lists(st.tuples(LEAVES[BINARY], LEAVES[I32]), min_size=1, max_size=3)
        return st.builds(Pairs, st.just((BINARY, I32)), pairs)
    return LEAVES[kind]


def structs(inner: st.SearchStrategy[Struct]) -> st.SearchStrategy[Struct]:
    kinds = st.sampled_from([*LEAVES, STRUCT, LIST, SET, MAP])
    fields = kinds.flatmap(lambda kind: st.tuples(st.just(kind), of_kind(kind, inner)))
    return st.builds(Struct, st.dictionaries(st.integers(-3, 300), fields, max_size=5))


STRUCTS = st.recursive(st.builds(Struct), structs, max_leaves=8)


def as_written(struct: Struct) -> Struct:
    """Returns a structure as it is read: a field that is false has a type of its own."""
    fields = {}
    for number, (kind, value) in sorted(struct.fields.items()):
        if kind == TRUE and value is False:
            kind = FALSE
        if isinstance(value, Struct):
            value = as_written(value)
        if isinstance(value, Items) and value.kind == STRUCT:
            value = Items(STRUCT, [as_written(one) for one in value.items])  # type: ignore[arg-type]
        fields[number] = (kind, value)
    return Struct(fields)  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(STRUCTS)
def test_a_structure_comes_back(struct: Struct) -> None:
    assert parse_struct(render_struct(struct)) == as_written(struct)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_bytes_are_a_structure_or_refused(data: bytes) -> None:
    """Nothing else is raised, and what was read can be written."""
    try:
        struct = parse_struct(data)
    except MalformedThriftError:
        return
    assert parse_struct(render_struct(struct)) == struct


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "ends too early"),
        (b"\x15\x80", "ends too early"),
        (b"\x14\xff\xff\x7f\x00", "more than 16 bits"),
        (b"\x18\xff\xff\xff\x7f", "ends behind the end"),
        (b"\x19\xf5\xff\xff\xff\x7f", "ends behind the end"),
        (b"\x1b\xff\xff\x03\x88", "ends behind the end"),
        (b"\x15" + b"\xff" * 11, "does not end"),
        (b"\x1e\x00", "no type 14"),
        (b"\x11\x05\x02\x00\x00", "there twice"),
        (b"\x1c" * 100, "nested deeper"),
        (b"\x19" * 100, "nested deeper"),
    ],
)
def test_what_is_malformed_is_told(data: bytes, said: str) -> None:
    with pytest.raises(MalformedThriftError, match=said):
        parse_struct(data)


def test_a_real_footer_comes_out_as_it_went_in() -> None:
    """Byte for byte, and with what pyarrow says of it."""
    file = io.BytesIO()
    table = pa.table({"a": range(1000), "l": [[None, "x"]] * 1000})
    pq.write_table(table, file, row_group_size=10, write_page_index=True)
    data = file.getvalue()
    length = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - length : -8]
    struct = parse_struct(footer)
    assert render_struct(struct) == footer
    assert struct.integer(3) == 1000
    assert len(struct.structs(4)) == 100
