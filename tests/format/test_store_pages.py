"""The pages under docs/format/: their byte tables are those of the code, their vectors are read."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from mlbfs.limits import MAX_CHUNK_SIZE, MIN_CHUNK_SIZE, TARGET_CHUNK_SIZE
from mlbfs.store import dirindex, formatfile, index, packformat, recipe, stamps
from mlbfs.store.dirindex import DirectoryIndex
from mlbfs.store.packs import read_table
from mlbfs.store.recordformat import MAX_RECIPE_RECORD, ReadStatus
from mlbfs.store.twin import decode_record

PAGES = Path(__file__).parents[2] / "docs" / "format"
SIZES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "i64": 8}
Row = tuple[int, int | None]


def page_tables(name: str) -> list[list[Row]]:
    """Returns (offset, size) of each row of each byte table of a page; no size: to the end."""
    tables = []
    for block in re.split(r"\| Offset \| Size .*\n\|[-|]+\n", (PAGES / name).read_text())[1:]:
        rows = re.match(r"(\|.*\n)*", block)
        assert rows is not None
        cells = [line.split("|")[1:3] for line in rows.group().splitlines()]
        tables.append(
            [(int(at), int(size) if size.strip().isdecimal() else None) for at, size in cells]
        )
    return tables


def docstring_tables(text: str) -> list[list[Row]]:
    """Returns the same of a docstring."""
    tables = []
    for block in re.findall(r"==  ====  =+\n(.*?)\n +==  ====", text, re.DOTALL):
        table: list[Row] = []
        for line in block.splitlines():
            found = re.match(r"    (\d+)\s+(u8|u16|u32|u64|i64|\d+)?\s", line)
            if found is not None:
                size = found.group(2)
                table.append((int(found.group(1)), SIZES.get(size) or (size and int(size))))
        tables.append(table)
    return tables


def vector(page: str, kind: str) -> bytes:
    """Returns the test vector of a page."""
    found = re.search(rf"```{kind}\n(.*?)```", (PAGES / page).read_text(), re.DOTALL)
    assert found is not None
    return bytes.fromhex(found.group(1))


@pytest.mark.parametrize(
    ("page", "module", "count"),
    [
        ("pack-v1.md", packformat, 3),
        ("recipe-v1.md", recipe, 3),
        ("directory-index-v1.md", dirindex, 2),
    ],
)
def test_page_and_code_name_the_same_offsets(page: str, module, count: int) -> None:
    """In the docstring of the module that owns the format."""
    tables = page_tables(page)
    assert count == len(tables)
    assert tables == docstring_tables(module.__doc__)


@pytest.mark.parametrize("page", ["pack-v1.md", "recipe-v1.md", "directory-index-v1.md"])
def test_tables_have_no_gaps(page: str) -> None:
    """Every byte is accounted for."""
    for table in page_tables(page):
        for (at, size), (following, _) in itertools.pairwise(table):
            assert size is not None
            assert at + size == following


def test_structures_are_as_long_as_their_tables() -> None:
    """Those of packs, recipes, directories and the rows of the index."""
    lengths = {
        "pack-v1.md": [packformat.HEADER, packformat.TABLE_ENTRY, packformat.TRAILER],
        "directory-index-v1.md": [dirindex.HEADER, dirindex.ENTRY],
        "recipe-v1.md": [recipe.ROOT, recipe.NODE, recipe.ENTRY],
    }
    for page, structures in lengths.items():
        sums = [sum(size or 0 for _, size in table) for table in page_tables(page)]
        assert sums == [structure.size for structure in structures]
    location, located, _, pack, source = page_tables("index-lmdb.md")
    expected = [index.LOCATION, index.FILE_LOCATION, index.PACK, stamps.ROW]
    tables = (location, located, pack, source)
    sums = [sum(size or 0 for _, size in table) for table in tables]
    assert sums == [structure.size for structure in expected]


def test_the_vector_of_a_pack(tmp_path: Path) -> None:
    """Its table and its record are read."""
    path = tmp_path / "a.pack"
    path.write_bytes(vector("pack-v1.md", "pack"))
    (record,) = read_table(path)
    data = path.read_bytes()[record.offset : record.offset + record.record_len]
    assert decode_record(data, record.id) == (ReadStatus.OK, b"hello, pack")


def test_the_vector_of_a_recipe() -> None:
    """It names the chunk of the pack vector."""
    root = recipe.parse_root(vector("recipe-v1.md", "recipe"))
    assert (root.depth, root.size, root.ends) == (0, 11, (11,))
    assert root.ids[0] in vector("pack-v1.md", "pack")


def test_the_vector_of_a_recipe_with_midstates() -> None:
    """It has the one midstate that the page names."""
    root = recipe.parse_root(vector("recipe-v2.md", "recipe"))
    assert (root.depth, root.size, root.ids) == (1, 67_108_869, (b"\1" * 32,))
    assert root.midstates == b"\2" * 32


def test_limits_of_midstates_are_on_the_page() -> None:
    """They are part of the format, and keep the root within its record."""
    text = (PAGES / "recipe-v2.md").read_text()
    assert f"{recipe.MIDSTATE_SPACING:,} bytes" in text
    assert f"more than {recipe.MAX_MIDSTATES:,} of them" in text
    entries = recipe.ROOT.size + recipe.MAX_ENTRIES * recipe.ENTRY.size
    longest = entries + recipe.MAX_MIDSTATES * recipe.MIDSTATE_SIZE + recipe.CHECKSUM.size
    assert longest < MAX_RECIPE_RECORD
    assert f"{-(-longest // 1024)} KiB" in text


@pytest.mark.parametrize(
    ("size", "spacing"),
    [
        (0, 1 << 26),
        ((1 << 40) + (1 << 26) - 1, 1 << 26),
        ((1 << 40) + (1 << 26), 1 << 27),
        (1 << 50, 1 << 36),
    ],
)
def test_the_spacing_keeps_their_number(size: int, spacing: int) -> None:
    """Doubled as often as it takes, and not once more."""
    assert spacing == recipe.midstate_spacing(size)


def test_the_vector_of_a_directory() -> None:
    """Both entries are found."""
    listed = DirectoryIndex(vector("directory-index-v1.md", "directory"))
    listed.check()
    assert [entry.name for entry in listed] == [b"a", b"b"]
    assert (listed.time_ns, listed.entry(0).size) == (1, 3)


def test_the_text_of_the_format_file() -> None:
    """The page shows what is written."""
    found = re.search(r"```text\n(.*?)```", (PAGES / "format-file.md").read_text(), re.DOTALL)
    assert found is not None
    assert formatfile.encode_format(formatfile.StoreFormat()) == found.group(1).encode()
    assert formatfile.CHUNKER.split()[1:] == [
        str(size) for size in (MIN_CHUNK_SIZE, TARGET_CHUNK_SIZE, MAX_CHUNK_SIZE)
    ]


def test_limits_of_recipes_are_on_the_page() -> None:
    """They are part of the format."""
    text = (PAGES / "recipe-v1.md").read_text()
    assert (
        recipe.MIN_ENTRIES,
        recipe.FAN_OUT,
        recipe.MAX_ENTRIES,
        recipe.MAX_DEPTH,
    ) == (32, 128, 512, 8)
    assert all(f" {number}" in text for number in (32, 128, 512, 8))
