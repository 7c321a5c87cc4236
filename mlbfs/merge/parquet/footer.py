"""The footer of a Parquet file: its columns, its row groups, and where their bytes lie.

    OFFSET   SIZE  DESCRIPTION
    0        4     "PAR1"
    4        ...   column chunks, row group by row group; page indexes and Bloom filters anywhere
    end-8-N  N     footer: the structure FileMetaData in Thrift's compact protocol
    end-8    4     N, little-endian
    end-4    4     "PAR1"

Owns: reading and checking that structure, and what its fields are called here.
Layer: merge. Pure Python: what only moves bytes needs no library.

Source: the Apache Parquet format, parquet.thrift, version 2.11. Every length and offset is taken
for hostile until it is checked. Encrypted files, chunks in other files, and files of parquet-mr
before 1.2.9 (their chunks are longer than they say, PARQUET-816) are refused by name.

Memory: the footer, as values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbfs.merge.conflicts import ConflictKind
from mlbfs.merge.parquet.thrift import MalformedThriftError, Struct, parse_struct, render_struct
from mlbfs.merge.unmergeable import UnmergeableError

if TYPE_CHECKING:
    from mlbfs.merge.versions import Reader

MAGIC = b"PAR1"
_ENCRYPTED = b"PARE"
_TAIL = 8
_MAX_ROWS = 1 << 62
_REQUIRED = 0
_OLD_WRITER = re.compile(rb"parquet-mr version 1\.(?:[01]\.|2\.[0-8](?:\D|$))")


class File:
    """Numbers of the fields of FileMetaData."""

    SCHEMA, ROWS, GROUPS, METADATA, WRITER, ORDERS, ENCRYPTION = 2, 3, 4, 5, 6, 7, 8


class Element:
    """Numbers of the fields of SchemaElement."""

    TYPE, LENGTH, REPETITION, NAME, CHILDREN, FIELD_ID = 1, 2, 3, 4, 5, 9


class Group:
    """Numbers of the fields of RowGroup."""

    CHUNKS, BYTES, ROWS, SORTING, OFFSET, PACKED_BYTES, ORDINAL = range(1, 8)


class Chunk:
    """Numbers of the fields of ColumnChunk."""

    FILE, FILE_OFFSET, META = 1, 2, 3
    OFFSET_INDEX, OFFSET_INDEX_LENGTH, COLUMN_INDEX, COLUMN_INDEX_LENGTH = 4, 5, 6, 7
    CRYPTO = 8


class Meta:
    """Numbers of the fields of ColumnMetaData."""

    TYPE, ENCODINGS, PATH, CODEC, VALUES, BYTES, PACKED_BYTES = range(1, 8)
    DATA_PAGE, INDEX_PAGE, DICTIONARY_PAGE = 9, 10, 11
    BLOOM, BLOOM_LENGTH = 14, 15


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table; one with lists or structures in it has several leaves.

    Attributes:
        name: What the file calls it.
        elements: Its part of the schema, from its root on.
        leaves: Numbers of its leaves among those of the file.
    """

    name: str
    elements: tuple[Struct, ...]
    leaves: range

    @property
    def form(self) -> bytes:
        """Says how its values are written; equal forms can share a column."""
        return b"".join(render_struct(_without_id(one)) for one in self.elements)

    @property
    def is_required(self) -> bool:
        """Whether it can hold no null."""
        return self.elements[0].integer(Element.REPETITION) == _REQUIRED


@dataclass(frozen=True, slots=True)
class Extent:
    """Bytes [start, stop) of a file that hold one thing: a chunk, an index, a filter."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class ChunkPlace:
    """One leaf of one row group.

    Attributes:
        struct: ColumnChunk.
        meta: ColumnMetaData.
        pages: Where its pages lie, that of the dictionary among them.
    """

    struct: Struct
    meta: Struct
    pages: Extent


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Some rows, and the chunks that hold them, one for each leaf.

    Attributes:
        struct: RowGroup.
        rows: How many.
        chunks: By number of the leaf.
    """

    struct: Struct
    rows: int
    chunks: list[ChunkPlace]


@dataclass(frozen=True, slots=True)
class Footer:
    """What a footer says, checked.

    Attributes:
        struct: FileMetaData.
        root: The element of the schema that stands for a row.
        columns: By name, in their order.
        groups: In their order.
        start: Where the footer begins: chunks lie in front of it.
    """

    struct: Struct
    root: Struct
    columns: dict[str, Column]
    groups: list[RowGroup]
    start: int

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(group.rows for group in self.groups)

    @property
    def metadata(self) -> dict[bytes, bytes | None]:
        """What the writer noted by key, in its order; the last of two with one key counts."""
        return {one.binary(1) or b"": one.binary(2) for one in self.struct.structs(File.METADATA)}


def read_footer(reader: Reader, where: str) -> Footer:
    """Reads the footer of a file.

    Args:
        reader: The file.
        where: What it is called in errors.

    Raises:
        UnmergeableError: It is malformed, or of a kind that is refused.
    """
    data, start = _footer_bytes(reader, where)
    try:
        struct = parse_struct(data)
    except MalformedThriftError as err:
        raise UnmergeableError(f"the footer is malformed: {err.message}", where) from err
    _refuse_kinds(struct, where)
    root, columns = _columns(struct.structs(File.SCHEMA), where)
    leaves = sum(len(column.leaves) for column in columns.values())
    groups = [
        _group(one, leaves, start, f"{where}, row group {number}")
        for number, one in enumerate(struct.structs(File.GROUPS))
    ]
    footer = Footer(struct, root, columns, groups, start)
    if struct.integer(File.ROWS) != footer.rows:
        raise UnmergeableError("the row groups have other rows than the file", where)
    return footer


def _footer_bytes(reader: Reader, where: str) -> tuple[bytes, int]:
    tail = reader.read(max(0, reader.size - _TAIL), _TAIL)
    if tail[4:] == _ENCRYPTED:
        raise _refused("an encrypted file", where)
    if reader.size < len(MAGIC) + _TAIL or tail[4:] != MAGIC:
        raise UnmergeableError("a Parquet file does not end so", where)
    if reader.read(0, len(MAGIC)) != MAGIC:
        raise UnmergeableError("a Parquet file does not begin so", where)
    length = int.from_bytes(tail[:4], "little")
    start = reader.size - _TAIL - length
    if start < len(MAGIC):
        raise UnmergeableError(f"a footer of {length} bytes is longer than the file", where)
    return reader.read(start, length), start


def _refused(what: str, where: str) -> UnmergeableError:
    return UnmergeableError(f"{what} is not merged", where, ConflictKind.BINARY)


def _refuse_kinds(struct: Struct, where: str) -> None:
    if File.ENCRYPTION in struct.fields:
        raise _refused("an encrypted file", where)
    if _OLD_WRITER.match(struct.binary(File.WRITER) or b""):
        raise _refused("a file of parquet-mr before 1.2.9", where)


def _columns(elements: list[Struct], where: str) -> tuple[Struct, dict[str, Column]]:
    if not elements:
        raise UnmergeableError("there is no schema", where)
    root, count = elements[0], elements[0].integer(Element.CHILDREN) or 0
    columns: dict[str, Column] = {}
    at, leaf = 1, 0
    for _ in range(count):
        stop, leaves = _subtree(elements, at, where)
        name = (elements[at].binary(Element.NAME) or b"").decode("utf-8", "backslashreplace")
        if name in columns:
            raise _refused(f"a table with two columns {name!r}", where)
        columns[name] = Column(name, tuple(elements[at:stop]), range(leaf, leaf + leaves))
        at, leaf = stop, leaf + leaves
    if at != len(elements):
        raise UnmergeableError("the schema has more elements than columns", where)
    return root, columns


def _subtree(elements: list[Struct], at: int, where: str) -> tuple[int, int]:
    """Returns where the elements of a column end, and how many leaves it has."""
    missing, leaves = 1, 0
    while missing:
        if at >= len(elements):
            raise UnmergeableError("the schema ends within a column", where)
        children = elements[at].integer(Element.CHILDREN) or 0
        if children < 0:
            raise UnmergeableError("a column with fewer than no parts", where)
        missing += children - 1
        leaves += not children
        at += 1
    return at, leaves


def _group(struct: Struct, leaves: int, end: int, where: str) -> RowGroup:
    rows = struct.integer(Group.ROWS)
    chunks = struct.structs(Group.CHUNKS)
    if rows is None or not 0 <= rows < _MAX_ROWS:
        raise UnmergeableError(f"a group of {rows} rows", where)
    if len(chunks) != leaves:
        raise UnmergeableError(f"{len(chunks)} chunks of {leaves} columns", where)
    places = [_chunk(one, end, f"{where}, chunk {leaf}") for leaf, one in enumerate(chunks)]
    return RowGroup(struct, rows, places)


def _chunk(struct: Struct, end: int, where: str) -> ChunkPlace:
    if Chunk.CRYPTO in struct.fields:
        raise _refused("an encrypted column", where)
    if struct.binary(Chunk.FILE) is not None:
        raise _refused("a table whose columns lie in other files", where)
    meta = struct.struct(Chunk.META)
    if meta is None:
        raise UnmergeableError("a chunk of which nothing is told", where)
    starts = [
        offset
        for field in (Meta.DATA_PAGE, Meta.INDEX_PAGE, Meta.DICTIONARY_PAGE)
        if (offset := meta.integer(field))  # writers put 0 for "none"
    ]
    length = meta.integer(Meta.PACKED_BYTES)
    if not starts or length is None:
        raise UnmergeableError("a chunk without a place", where)
    pages = Extent(min(starts), min(starts) + length)
    _check_extent(pages, end, where)
    return ChunkPlace(struct, meta, pages)


def _check_extent(extent: Extent, end: int, where: str) -> None:
    if not len(MAGIC) <= extent.start <= extent.stop <= end:
        raise UnmergeableError(
            f"bytes {extent.start} to {extent.stop} are not those of a chunk", where
        )


def beside(place: ChunkPlace, end: int, where: str) -> dict[str, Extent]:
    """Returns where the page indexes and the Bloom filter of a chunk lie; those that there are.

    Raises:
        UnmergeableError: They lie where they cannot.
    """
    fields = {
        "offset_index": (place.struct, Chunk.OFFSET_INDEX, Chunk.OFFSET_INDEX_LENGTH),
        "column_index": (place.struct, Chunk.COLUMN_INDEX, Chunk.COLUMN_INDEX_LENGTH),
        "bloom": (place.meta, Meta.BLOOM, Meta.BLOOM_LENGTH),
    }
    found = {}
    for name, (struct, offset_field, length_field) in fields.items():
        offset, length = struct.integer(offset_field), struct.integer(length_field)
        if offset and length:
            found[name] = Extent(offset, offset + length)
            _check_extent(found[name], end, where)
    return found


def _without_id(element: Struct) -> Struct:
    """Returns an element without the number that some writers give it."""
    other = element.copy()
    other.drop(Element.FIELD_ID)
    return other
