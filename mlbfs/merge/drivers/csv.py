"""Driver `csv`: records of fields on lines, appended by both sides.

    *.csv   merge=csv
    *.csv   merge=csv:key=id
    *.csv   merge=csv:key=run,step:conflict=theirs
    *.txt   merge=csv:delimiter=tab:header=no

Without a key, and with the same header on all sides, records are merged as `jsonl` merges them: by
the whole record, however it is quoted. Rows that all versions have under one header are not looked
into, and stay where ours has them.

With a key, or where a side added, removed or moved columns, rows are merged by cell: a row that
both changed in different columns merges, the same cell changed in two ways is a conflict with its
key and column. The columns are those of ours without those that theirs removed, then those that
theirs added. Without a key, rows are the same if all columns are equal that every side has. Where
rows lie is kept in a database in the scratch folder, so memory is bounded.

Rows come out with the bytes that they had, but for those that were put together of both sides.

Layer: merge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.errors import InvalidInputError
from mlbfs.merge.conflicts import Conflict, ConflictKind
from mlbfs.merge.csvtext import (
    DELIMITERS,
    CsvForm,
    MalformedCsvError,
    form_of,
    iter_record_blocks,
    iter_records,
    names_of,
    record_front,
)
from mlbfs.merge.driver import MergeResult, Take
from mlbfs.merge.lines import Line, common_prefix
from mlbfs.merge.pieces import PieceWriter
from mlbfs.merge.recordcount import RecordCount
from mlbfs.merge.rowtable import Place, RowTable, read_line
from mlbfs.merge.versions import Side
from mlbfs.merge.wholerecords import merge_counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mlbfs.merge.driver import DriverChoice, MergeCall
    from mlbfs.merge.lines import Block

_MAX_SHOWN = 200


class Csv:
    """Merges tables of text."""

    name = "csv"

    def merge(self, call: MergeCall) -> MergeResult:
        """Merges by record or by cell; what is no CSV is a conflict with its side and byte."""
        _check(call.choice)
        try:
            return _merge(call)
        except MalformedCsvError as err:
            return err.result(call)


def _check(choice: DriverChoice) -> None:
    choice.check_options("key", "conflict", "delimiter", "header")
    choice.policy()
    if choice.option("header") not in (None, "yes", "no"):
        raise InvalidInputError("header= is yes or no")
    if choice.option("delimiter") not in (None, *DELIMITERS):
        raise InvalidInputError(f"delimiter= is one of {', '.join(DELIMITERS)}")


def _merge(call: MergeCall) -> MergeResult:
    form = form_of(call)
    heads = {side: _head(call, side, form) for side in Side}
    present = [names for _, names in heads.values() if names]
    same = all(names == present[0] for names in present)
    if same and call.choice.option("key") is None:
        return _WholeMerge(call, form, heads).merge()
    return _CellMerge(call, form, heads).merge()


def _head(call: MergeCall, side: Side, form: CsvForm) -> tuple[Line | None, list[str]]:
    """Returns the first record of a side, if it is a header, and the names of its columns."""
    first = next((line for line in iter_records(call, side, 0) if line.data), None)
    if first is None:
        return None, []
    fields = form.parse(first.data, f"{side}, byte {first.start}")
    if call.choice.option("header") == "no":
        return None, [str(number) for number in range(1, len(fields) + 1)]
    names = names_of(fields)
    if len(set(names)) < len(names):
        raise MalformedCsvError("two columns have one name", f"{side}, byte {first.start}")
    return first, names


def _parse(form: CsvForm, record: bytes, where: str, width: int) -> list[str]:
    fields = form.parse(record, where)
    if len(fields) != width:
        raise MalformedCsvError(f"a record of {len(fields)} fields, not {width}", where)
    return fields


# By the whole record


class _WholeMerge:
    """Merges records of one header by their fields."""

    def __init__(
        self, call: MergeCall, form: CsvForm, heads: dict[Side, tuple[Line | None, list[str]]]
    ) -> None:
        self._call = call
        self._form = form
        self._width = max(len(names) for _, names in heads.values())
        self._head_lines = {side: line for side, (line, _) in heads.items() if line is not None}
        front = record_front(call, common_prefix(call))
        # A header that is spelled in several ways (quotes, spaces) is no record that one side added
        # and another removed: it would land among the rows.
        self._is_head_common = all(line.stop <= front for line in self._head_lines.values())
        self._front = front if self._is_head_common else 0

    def merge(self) -> MergeResult:
        writer = PieceWriter(self._call, self._front, self._form.newline)
        if not self._is_head_common:
            side = Side.OURS if Side.OURS in self._head_lines else Side.THEIRS
            writer.add(side, self._head_lines[side])
            writer.skip(self._start(Side.OURS))
        return merge_counted(self._call, writer, self._blocks, self._identity, self._check)

    def _start(self, side: Side) -> int:
        """Returns where the records of a side begin, behind the common front or its header."""
        head = self._head_lines.get(side)
        return self._front if self._is_head_common or head is None else head.stop

    def _blocks(self, side: Side) -> Iterator[Block]:
        return iter_record_blocks(self._call, side, self._start(side))

    def _check(self, record: bytes, where: str) -> None:
        _parse(self._form, record, where, self._width)

    def _identity(self, record: bytes) -> bytes | None:
        """Returns a record as it is written with no more quotes than it needs."""
        data = record.rstrip(b"\r\n")
        if b'"' not in data:
            return data or None
        try:
            return self._form.render(self._form.parse(data, "a record"))
        except MalformedCsvError:  # told of with its place, unless it goes
            return data


# By cell


class _CellMerge:
    """Merges rows of the sides by their cells."""

    def __init__(
        self, call: MergeCall, form: CsvForm, heads: dict[Side, tuple[Line | None, list[str]]]
    ) -> None:
        self._call = call
        self._form = form
        self._heads = heads
        self._names = {side: names for side, (_, names) in heads.items()}
        self._columns = _merged_columns(*(self._names[side] for side in Side))
        self._readers = {side: call.open(side) for side in Side}
        self._policy = call.choice.policy()
        self._conflicts: list[Conflict] = []
        # Then rows that all versions have need not be looked at, and stay where ours has them.
        self._is_form_common = all(names == self._columns for _, names in heads.values() if names)
        key = call.choice.option("key")
        self._key = key.split(",") if key is not None else None
        self._identity = self._key or [
            name
            for name in self._names[Side.OURS]
            if all(name in names for names in self._names.values() if names)
        ]

    def merge(self) -> MergeResult:
        call = self._call
        if not self._identity:
            conflict = Conflict(
                call.path, ConflictKind.SCHEMA, "the sides have no column in common"
            )
            return MergeResult(Take(Side.OURS), (conflict,))
        writer = PieceWriter(call, 0, self._form.newline)
        self._write_header(writer)
        writer.skip(self._start(Side.OURS))
        with RowTable(call.scratch / "rows") as table:
            self._find_rows(table)
            for places in table.rows():
                if self._is_form_common:
                    writer.keep_around(places.get(Side.OURS))
                self._merge_row(writer, places)
            if self._is_form_common:
                writer.keep_rest()
        return writer.result(self._conflicts)

    def _start(self, side: Side) -> int:
        """Returns where the records of a side begin."""
        head = self._heads[side][0]
        return head.stop if head is not None else 0

    def _write_header(self, writer: PieceWriter) -> None:
        for side in (Side.OURS, Side.THEIRS):
            line, names = self._heads[side]
            if line is not None and names == self._columns:
                writer.add(side, line)
                return
        if self._call.choice.option("header") != "no":
            writer.add_bytes(self._form.render(self._columns))

    def _blocks(self, side: Side) -> Iterator[Block]:
        return iter_record_blocks(self._call, side, self._start(side))

    def _find_rows(self, table: RowTable) -> None:
        """Finds the rows that have to be merged."""
        if not self._is_form_common:
            for side in Side:
                lines = (line for block in self._blocks(side) for line in block.lines())
                self._find_rows_of(side, lines, table)
            return
        path = self._call.scratch / "records"
        with RecordCount(path, self._blocks, lambda row: row or None) as count:
            count.compare()
            for side in Side:
                self._find_rows_of(side, count.differing(side), table)

    def _find_rows_of(self, side: Side, lines: Iterable[Line], table: RowTable) -> None:
        names = self._names[side]
        for name in self._identity:
            if names and name not in names:
                raise MalformedCsvError(f"there is no column {name!r}", str(side))
        for line in lines:
            if not line.data:
                continue
            where = f"{side}, byte {line.start}"
            row = dict(zip(names, _parse(self._form, line.data, where, len(names)), strict=True))
            place = Place(line.start, line.stop)
            if table.add(side, self._shown_key(row), place) and self._key is not None:
                raise MalformedCsvError(f"the key {','.join(self._key)} has one value twice", where)

    def _shown_key(self, row: dict[str, str]) -> bytes:
        return self._form.render([row[name] for name in self._identity])

    def _merge_row(self, writer: PieceWriter, places: dict[Side, Place]) -> None:
        lines = {side: read_line(self._readers[side], place) for side, place in places.items()}
        rows = {
            side: dict(zip(self._names[side], self._form.parse(line.data, str(side)), strict=True))
            for side, line in lines.items()
        }
        merged = self._merged(rows)
        if merged is None:
            return
        fields = [merged.get(name, "") for name in self._columns]
        for side in (Side.OURS, Side.THEIRS):
            if (
                side in rows
                and self._names[side] == self._columns
                and [*rows[side].values()] == fields
            ):
                writer.add(side, lines[side])
                return
        writer.add_bytes(self._form.render(fields))

    def _merged(self, rows: dict[Side, dict[str, str]]) -> dict[str, str] | None:
        """Returns the cells of a merged row; None if it goes."""
        base, ours, theirs = (rows.get(side) for side in Side)
        if ours is not None and theirs is not None:
            return self._merge_cells(base, ours, theirs)
        side, left = (Side.OURS, ours) if ours is not None else (Side.THEIRS, theirs)
        assert left is not None, "a row is on one side at least"
        if base is None:
            return left
        if all(base[name] == left[name] for name in base if name in left):
            return None
        self._tell(
            rows,
            None,
            "one side removed this row, the other changed it",
            kind=ConflictKind.RECORD,
            settled=self._policy,
        )
        return None if self._policy is not None and self._policy is not side else left

    def _merge_cells(
        self, base: dict[str, str] | None, ours: dict[str, str], theirs: dict[str, str]
    ) -> dict[str, str]:
        merged = {}
        rows = {Side.OURS: ours, Side.THEIRS: theirs} | ({Side.BASE: base} if base else {})
        for name in dict.fromkeys([*ours, *theirs]):
            before = None if base is None else base.get(name)
            mine, other = ours.get(name), theirs.get(name)
            if mine == other or other == before or (other is None and mine == before):
                value = mine
            elif mine == before or (mine is None and before is None):
                value = other
            else:
                value = other if self._policy is Side.THEIRS else mine
                is_lost = value is not None and name not in self._columns
                self._tell(
                    rows,
                    name,
                    "both sides changed this cell, each in its own way",
                    settled=None if is_lost else self._policy,
                )
            if value is not None:
                merged[name] = value
        return merged

    def _tell(
        self,
        rows: dict[Side, dict[str, str]],
        column: str | None,
        message: str,
        *,
        settled: Side | None,
        kind: ConflictKind = ConflictKind.CELL,
    ) -> None:
        key = self._shown_key(next(iter(rows.values()))).decode(errors="backslashreplace")
        shown = (None if side not in rows else self._shown(rows[side], column) for side in Side)
        base, ours, theirs = shown
        where = f"{','.join(self._identity)}={key}"[:_MAX_SHOWN]
        self._conflicts.append(
            Conflict(
                self._call.path,
                kind,
                message,
                where=where if column is None else f"{where}, column {column}",
                base=base,
                ours=ours,
                theirs=theirs,
                settled=settled,
            )
        )

    def _shown(self, row: dict[str, str], column: str | None) -> str | None:
        text = self._form.render([*row.values()]).decode(errors="backslashreplace")
        cell = text if column is None else row.get(column)
        return None if cell is None else cell[:_MAX_SHOWN]


def _merged_columns(base: Sequence[str], ours: Sequence[str], theirs: Sequence[str]) -> list[str]:
    kept = [name for name in ours if name in theirs or name not in base]
    return [*kept, *(name for name in theirs if name not in ours and name not in base)]
