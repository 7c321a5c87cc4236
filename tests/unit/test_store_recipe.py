"""Recipes: roots, nodes and the tree that a long list becomes."""

from __future__ import annotations

import pytest
from blake3 import blake3

from mlbfs.errors import ErrorKind, FormatError
from mlbfs.store import recipe
from mlbfs.store.recipe import MAX_ENTRIES, MIN_ENTRIES, RecipeBuilder, parse_node, parse_root


def _ids(count: int) -> list[bytes]:
    return [blake3(number.to_bytes(4, "little")).digest() for number in range(count)]


def _build(ids: list[bytes], length: int = 10) -> tuple[bytes, dict[bytes, bytes]]:
    nodes: dict[bytes, bytes] = {}

    def emit(payload: bytes) -> bytes:
        node_id = blake3(payload).digest()
        nodes[node_id] = payload
        return node_id

    builder = RecipeBuilder(emit)
    for one in ids:
        builder.add(one, length)
    return builder.finish(), nodes


def _flatten(data: bytes, nodes: dict[bytes, bytes]) -> list[bytes]:
    def walk(listed: recipe.RecipeList) -> list[bytes]:
        if listed.depth == 0:
            return list(listed.ids)
        return [one for node in listed.ids for one in walk(parse_node(nodes[node]))]

    return walk(parse_root(data))


def test_an_empty_file_has_an_empty_root() -> None:
    """No chunk, no length."""
    root, nodes = _build([])
    assert (recipe.encode_root(0, 0, []), {}) == (root, nodes)
    assert parse_root(root).size == 0


@pytest.mark.parametrize("count", [1, MAX_ENTRIES - 1, MAX_ENTRIES])
def test_a_short_list_lies_in_the_root(count: int) -> None:
    """Up to MAX_ENTRIES there are no nodes."""
    root, nodes = _build(_ids(count))
    assert not nodes
    assert parse_root(root).depth == 0
    assert tuple(_ids(count)) == parse_root(root).ids


@pytest.mark.parametrize("count", [MAX_ENTRIES + 1, 3000])
def test_a_long_list_is_cut_into_nodes(count: int) -> None:
    """The nodes hold all chunks in order, and none is longer than it may be."""
    root, nodes = _build(_ids(count))
    assert parse_root(root).depth == 1
    assert _ids(count) == _flatten(root, nodes)
    assert count * 10 == parse_root(root).size
    assert max(len(parse_node(node).ids) for node in nodes.values()) <= MAX_ENTRIES


def test_a_file_of_one_repeated_chunk_has_a_finite_tree() -> None:
    """Also when the id ends a node wherever it may."""
    root, nodes = _build([bytes(32)] * 40_000)
    assert [bytes(32)] * 40_000 == _flatten(root, nodes)
    assert min(len(parse_node(node).ids) for node in nodes.values()) == MIN_ENTRIES


def test_an_edit_touches_few_nodes() -> None:
    """Two long lists that differ in one chunk share all nodes but one per level and a neighbour."""
    ids = _ids(5000)
    _, before = _build(ids)
    _, after = _build([*ids[:2500], b"x" * 32, *ids[2500:]])
    assert len(after.keys() - before.keys()) <= 4


@pytest.mark.parametrize("count", [0, 1, 5])
def test_root_size_needs_no_parsing(count: int) -> None:
    """The size is found without the entries."""
    root, _ = _build(_ids(count))
    assert count * 10 == recipe.root_size(root)


def test_an_entry_that_covers_nothing_is_refused() -> None:
    """A length of zero would let a forged recipe loop."""
    with pytest.raises(FormatError) as caught:
        parse_root(recipe.encode_root(0, 0, [(bytes(32), 0)]))
    assert caught.value.kind is ErrorKind.CORRUPT_RECIPE


def test_lengths_must_add_up() -> None:
    """The size of a root is the sum of its entries."""
    with pytest.raises(FormatError, match="11 bytes has entries of 10"):
        parse_root(recipe.encode_root(11, 0, [(bytes(32), 10)]))
