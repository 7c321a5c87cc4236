"""Puts a Parquet file together from column chunks of the versions and of files of ours.

Owns: where chunks come to lie, and the footer that says so.
Layer: merge. Needs no library.

What is taken as it is keeps its bytes, and its page indexes and Bloom filter come along: only the
offsets in the footer and in the page indexes change, if it lies elsewhere than before. Whatever no
column chunk of the merged table has is left out: rows that were removed are not in the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlbfs.merge.driver import FileSpan, Span
from mlbfs.merge.parquet.footer import (
    MAGIC,
    Chunk,
    ChunkPlace,
    Element,
    Extent,
    File,
    Group,
    Meta,
    beside,
)
from mlbfs.merge.parquet.thrift import (
    BINARY,
    I16,
    I32,
    I64,
    MalformedThriftError,
    Struct,
    parse_struct,
    render_struct,
)
from mlbfs.merge.parts import Assembly, piece_length
from mlbfs.merge.unmergeable import UnmergeableError
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlbfs.merge.driver import Piece, Pieces
    from mlbfs.merge.parquet.groups import OutGroup
    from mlbfs.merge.parquet.metadata import Notes
    from mlbfs.merge.parquet.table import Table
    from mlbfs.merge.parquet.writing import OutColumn

_MAX_ORDINAL = 1 << 15
_OFFSETS = (Meta.DATA_PAGE, Meta.INDEX_PAGE, Meta.DICTIONARY_PAGE)
_BESIDE = {
    "bloom": (Meta.BLOOM, Meta.BLOOM_LENGTH),
    "column_index": (Chunk.COLUMN_INDEX, Chunk.COLUMN_INDEX_LENGTH),
    "offset_index": (Chunk.OFFSET_INDEX, Chunk.OFFSET_INDEX_LENGTH),
}
_PAGES, _PAGE_OFFSET = 1, 1
"""Numbers of the fields of OffsetIndex and PageLocation."""


@dataclass(slots=True)
class _Placed:
    """A chunk that was taken from a version, and what has to follow it."""

    side: Side
    place: ChunkPlace
    chunk: Struct
    meta: Struct
    moved: int


@dataclass(slots=True)
class _Out:
    """The file as far as it is put together."""

    assembly: Assembly = field(default_factory=Assembly)
    size: int = 0

    def add(self, piece: Piece) -> None:
        self.assembly.add(piece)
        self.size += piece_length(piece)


class Assembler:
    """Puts one merged table together.

    Args:
        tables: The versions.
        columns: The columns of the merged table.
        groups: Its row groups.
    """

    def __init__(
        self,
        tables: Mapping[Side, Table],
        columns: Sequence[OutColumn],
        groups: Sequence[OutGroup],
    ) -> None:
        self._tables = tables
        self._columns = columns
        self._groups = groups
        self._out = _Out()
        self._placed: list[_Placed] = []

    def assemble(self, notes: Notes) -> Pieces:
        """Returns the file.

        Raises:
            UnmergeableError: Something beside a chunk is malformed.
        """
        self._out.add(Span(Side.OURS, 0, len(MAGIC)))
        groups = [self._group(number) for number in range(len(self._groups))]
        self._add_beside()
        footer = render_struct(self._footer(groups, notes))
        self._out.add(footer + len(footer).to_bytes(4, "little") + MAGIC)
        return self._out.assembly.content()

    # Row groups

    def _group(self, number: int) -> Struct:
        group = self._groups[number]
        start = self._out.size
        chunks = [
            self._chunk(number, column, leaf)
            for column in self._columns
            for leaf in range(len(column.leaves))
        ]
        metas = [chunk.struct(Chunk.META) or Struct() for chunk in chunks]
        found = Struct()
        found.put_structs(Group.CHUNKS, chunks)
        found.put(Group.BYTES, I64, sum(one.integer(Meta.BYTES) or 0 for one in metas))
        found.put(Group.ROWS, I64, group.count)
        found.put(Group.OFFSET, I64, start)
        found.put(Group.PACKED_BYTES, I64, self._out.size - start)
        if number < _MAX_ORDINAL:
            found.put(Group.ORDINAL, I16, number)
        self._keep_order(number, found)
        return found

    def _keep_order(self, number: int, found: Struct) -> None:
        """Says by which columns a row group is sorted, if it is as ours has it."""
        group = self._groups[number]
        footer = self._tables[Side.OURS].footer
        is_ours = group.is_whole and group.source is not None and group.source[0] is Side.OURS
        is_written = any(number in column.written for column in self._columns)
        if not is_ours or is_written or [one.name for one in self._columns] != [*footer.columns]:
            return
        assert group.source is not None, "a row group of ours has a source"
        sorting = footer.groups[group.source[1]].struct.fields.get(Group.SORTING)
        if sorting is not None:
            found.fields[Group.SORTING] = sorting

    def _chunk(self, number: int, column: OutColumn, leaf: int) -> Struct:
        written = column.written.get(number)
        if written is not None:
            place = _place(column.table, column.name, written, leaf)
            return self._add(place, FileSpan(column.path, place.pages.start, place.pages.stop))[0]
        source = self._groups[number].source
        assert source is not None, "what has no source is written"
        side, group = source
        place = _place(self._tables[side], column.name, group, leaf)
        moved = self._out.size - place.pages.start
        chunk, meta = self._add(place, Span(side, place.pages.start, place.pages.stop))
        self._placed.append(_Placed(side, place, chunk, meta, moved))
        return chunk

    def _add(self, place: ChunkPlace, span: Span | FileSpan) -> tuple[Struct, Struct]:
        """Adds the pages of a chunk; returns it and what is told of it, for its new place."""
        shifted = _shifted(place, self._out.size - place.pages.start)
        self._out.add(span)
        return shifted

    # What lies beside chunks

    def _add_beside(self) -> None:
        """Adds page indexes and Bloom filters, in the order in which they lay."""
        found: list[tuple[Side, Extent, str, _Placed]] = []
        for placed in self._placed:
            end = self._tables[placed.side].footer.start
            extents = beside(placed.place, end, str(placed.side))
            if ("offset_index" in extents) != ("column_index" in extents):
                extents.pop("column_index", None)  # which says nothing without the other
            found += [(placed.side, extent, name, placed) for name, extent in extents.items()]
        for side, extent, name, placed in sorted(found, key=lambda one: (one[0], one[1].start)):
            offset_field, length_field = _BESIDE[name]
            struct = placed.meta if name == "bloom" else placed.chunk
            start = self._out.size
            if name == "offset_index" and placed.moved:
                self._out.add(self._moved_index(side, extent, placed.moved))
            else:
                self._out.add(Span(side, extent.start, extent.stop))
            struct.put(offset_field, I64, start)
            struct.put(length_field, I32, self._out.size - start)

    def _moved_index(self, side: Side, extent: Extent, moved: int) -> bytes:
        data = self._tables[side].reader.read(extent.start, extent.stop - extent.start)
        try:
            index = parse_struct(data)
        except MalformedThriftError as err:
            where = f"{side}, byte {extent.start}"
            raise UnmergeableError(f"a page index is malformed: {err.message}", where) from err
        pages = [page.copy() for page in index.structs(_PAGES)]
        for page in pages:
            page.put(_PAGE_OFFSET, I64, (page.integer(_PAGE_OFFSET) or 0) + moved)
        index.put_structs(_PAGES, pages)
        return render_struct(index)

    # The footer

    def _footer(self, groups: list[Struct], notes: Notes) -> Struct:
        ours = self._tables[Side.OURS].footer
        root = ours.root.copy()
        root.put(Element.CHILDREN, I32, len(self._columns))
        footer = ours.struct.copy()
        schema = [root, *(element for column in self._columns for element in column.elements)]
        footer.put_structs(File.SCHEMA, schema)
        footer.put(File.ROWS, I64, sum(group.count for group in self._groups))
        footer.put_structs(File.GROUPS, groups)
        footer.drop(File.METADATA)
        if notes:
            footer.put_structs(File.METADATA, [_note(*one) for one in notes.items()])
        self._put_orders(footer)
        return footer

    def _put_orders(self, footer: Struct) -> None:
        """Says how statistics are ordered, if ours does: of every leaf, or of none."""
        ours = self._tables[Side.OURS].footer
        if File.ORDERS not in footer.fields:
            return
        orders = []
        for column in self._columns:
            is_ours = column.name in ours.columns
            source = ours if is_ours and not column.written else column.table.footer
            known = source.struct.structs(File.ORDERS)
            orders += [
                known[leaf] for leaf in source.columns[column.name].leaves if leaf < len(known)
            ]
        footer.drop(File.ORDERS)
        if len(orders) == sum(len(one.leaves) for one in self._columns):
            footer.put_structs(File.ORDERS, orders)


def _place(table: Table, name: str, group: int, leaf: int) -> ChunkPlace:
    return table.footer.groups[group].chunks[table.footer.columns[name].leaves[leaf]]


def _shifted(place: ChunkPlace, moved: int) -> tuple[Struct, Struct]:
    """Returns a chunk and what is told of it, for another place; without what lies beside it."""
    chunk, meta = place.struct.copy(), place.meta.copy()
    for number in _OFFSETS:
        offset = meta.integer(number)
        if offset:
            meta.put(number, I64, offset + moved)
    chunk.put(Chunk.FILE_OFFSET, I64, 0)  # said to be that of the metadata; writers are to put 0
    meta.drop(Meta.BLOOM, Meta.BLOOM_LENGTH)
    chunk.drop(*(number for name in ("column_index", "offset_index") for number in _BESIDE[name]))
    chunk.fields[Chunk.META] = (place.struct.fields[Chunk.META][0], meta)
    return chunk, meta


def _note(key: bytes, value: bytes | None) -> Struct:
    found = Struct()
    found.put(1, BINARY, key)
    if value is not None:
        found.put(2, BINARY, value)
    return found
