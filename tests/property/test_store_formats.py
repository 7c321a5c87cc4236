"""What is encoded comes back, and no bytes whatever are taken for something else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mlbfs.errors import FormatError
from mlbfs.limits import MAX_NAME_LENGTH
from mlbfs.store import packformat, recipe
from mlbfs.store.dirindex import DirectoryEntry, DirectoryIndex, EntryKind, encode_directory
from mlbfs.store.packformat import HEADER, TRAILER

ids = st.binary(min_size=32, max_size=32)
names = st.binary(min_size=1, max_size=MAX_NAME_LENGTH).filter(
    lambda name: b"/" not in name and b"\0" not in name
)
entries = st.builds(
    DirectoryEntry,
    names,
    st.sampled_from(EntryKind),
    st.integers(0, 2**63),
    st.one_of(ids, st.binary(min_size=20, max_size=20)),
)


@given(st.lists(entries, unique_by=lambda entry: entry.name), st.integers(-(2**62), 2**62))
def test_a_directory_comes_back(listed: list[DirectoryEntry], time_ns: int) -> None:
    """Sorted, found by name, with its time."""
    index = DirectoryIndex(encode_directory(listed, time_ns=time_ns))
    ordered = sorted(listed, key=lambda entry: entry.name)
    assert ordered == list(index)
    assert time_ns == index.time_ns
    assert list(range(len(ordered))) == [index.find(entry.name) for entry in ordered]


@given(st.lists(entries, unique_by=lambda entry: entry.name, max_size=5), st.data())
def test_a_damaged_directory_is_refused(listed: list[DirectoryEntry], data: st.DataObject) -> None:
    """A cut or a flipped bit, wherever it is."""
    whole = encode_directory(listed, time_ns=0)
    at = data.draw(st.integers(0, len(whole) - 1))
    bit = data.draw(st.integers(0, 7))
    flipped = bytearray(whole)
    flipped[at] ^= 1 << bit
    for damaged in (bytes(flipped), whole[:at]):
        try:
            DirectoryIndex(damaged)
        except FormatError:
            continue
        raise AssertionError("damage was not noticed")


@given(st.lists(st.tuples(ids, st.integers(1, 2**40)), max_size=recipe.MAX_ENTRIES))
def test_a_root_and_a_node_come_back(listed: list[tuple[bytes, int]]) -> None:
    """Ids and lengths in order."""
    size = sum(length for _, length in listed)
    root = recipe.parse_root(recipe.encode_root(size, 0, listed))
    assert tuple(one for one, _ in listed) == root.ids
    assert size == root.size
    if listed:
        node = recipe.parse_node(recipe.encode_node(3, listed))
        assert (3, root.ids, root.ends) == (node.depth, node.ids, node.ends)


@given(st.lists(st.tuples(ids, st.integers(1, 2**20)), max_size=3000))
def test_a_recipe_of_any_length_comes_back(listed: list[tuple[bytes, int]]) -> None:
    """Through as many nodes as it takes; the same list gives the same root."""
    nodes: list[bytes] = []

    def emit(payload: bytes) -> bytes:
        nodes.append(payload)
        return len(nodes).to_bytes(32, "big")

    def flatten(part: recipe.RecipeList) -> list[bytes]:
        if part.depth == 0:
            return list(part.ids)
        children = [nodes[int.from_bytes(one, "big") - 1] for one in part.ids]
        return [one for child in children for one in flatten(recipe.parse_node(child))]

    builder = recipe.RecipeBuilder(emit)
    for one, length in listed:
        builder.add(one, length)
    root = recipe.parse_root(builder.finish())
    assert [one for one, _ in listed] == flatten(root)
    assert sum(length for _, length in listed) == root.size


@given(st.binary(max_size=200))
def test_noise_is_no_recipe(noise: bytes) -> None:
    """It is refused with an error of ours, or it is well-formed."""
    for parse in (recipe.parse_root, recipe.parse_node):
        try:
            parsed = parse(noise)
        except FormatError:
            continue
        assert len(parsed.ids) == len(parsed.ends) <= recipe.MAX_ENTRIES


@given(
    st.lists(st.tuples(ids, st.integers(0, 2**18), st.sampled_from([1, 2, 3]), st.integers(0, 4)))
)
def test_a_footer_comes_back(listed: list[tuple[bytes, int, int, int]]) -> None:
    """Every record of the table, and the size of the file."""
    records, at = [], HEADER.size
    for one, length, kind, codec in listed:
        records.append(packformat.PackRecord(one, at, 56 + length, length, kind, codec))
        at += 56 + length
    pack_id, footer = packformat.encode_footer([tuple(record) for record in records])
    trailer = packformat.parse_trailer(footer[-TRAILER.size :])
    table = footer[: -TRAILER.size]
    assert (pack_id, len(records)) == (trailer.pack_id, trailer.records)
    assert records == packformat.parse_table(table, trailer, at + len(footer))
