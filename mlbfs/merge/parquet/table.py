"""One version of a table: its footer, and its columns as they are needed.

Owns: reading values through pyarrow, and what it says of a file that it cannot read.
Layer: merge. Needs pyarrow.

Memory: one column of some row groups at a time.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from mlbfs.merge.conflicts import ConflictKind
from mlbfs.merge.parquet.footer import Footer, read_footer
from mlbfs.merge.parquet.thrift import Struct
from mlbfs.merge.parquet.values import plain, plain_type, same
from mlbfs.merge.unmergeable import UnmergeableError
from mlbfs.merge.windows import window

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlbfs.merge.parquet.values import Array
    from mlbfs.merge.versions import Reader

ARROW_ERRORS = (pa.ArrowException, ValueError, OSError, MemoryError, UnicodeDecodeError)
"""What pyarrow raises for a file that it cannot read."""


class Table:
    """A version of a table.

    Attributes:
        footer: What its footer says; of a version that there is not, that nothing is in it.
        exists: Whether there is one.
    """

    def __init__(self, reader: Reader, where: str, *, exists: bool = True) -> None:
        """Reads the footer.

        Raises:
            UnmergeableError: It is malformed, or of a kind that is refused.
        """
        self.exists = exists
        self.reader = reader
        self._where = where
        if not exists:
            self.footer = Footer(Struct(), Struct(), {}, [], 0)
            self.fields: dict[str, pa.Field] = {}
            return
        self.footer = read_footer(reader, where)
        with reading(where):
            source = pa.PythonFile(window(reader, 0, reader.size), mode="r")
            self._file = pq.ParquetFile(source, page_checksum_verification=True)
            schema = self._file.schema_arrow
        if schema.names != list(self.footer.columns):
            raise UnmergeableError("pyarrow sees other columns than the footer names", where)
        self.fields = {field.name: field.with_type(plain_type(field.type)) for field in schema}
        self.schema = schema

    def __contains__(self, name: str) -> bool:
        return name in self.footer.columns

    def read(self, name: str, groups: Sequence[int], kind: pa.DataType | None = None) -> Array:
        """Returns a column of some row groups, one behind the other.

        Args:
            name: Its name.
            groups: Numbers of the row groups.
            kind: The type to return it in, or None for its own; every value stays what it is.

        A version that there is not has no row in any column.

        Raises:
            UnmergeableError: It cannot be read, or some value is none of that type.
        """
        with reading(f"{self._where}, column {name!r}"):
            if not self.exists:
                assert kind is not None, "a version that there is not has no types of its own"
                return pa.array([], kind)
            if groups:
                table = self._file.read_row_groups(list(groups), columns=[name])
                found = plain(table.column(table.schema.names.index(name)))
            else:
                found = pa.array([], self.fields[name].type)
        expected = sum(self.footer.groups[number].rows for number in groups)
        if len(found) != expected:
            raise UnmergeableError(f"{len(found)} values of {expected} rows", self._where)
        return found if kind is None else self._cast(name, found, kind)

    def _cast(self, name: str, found: Array, kind: pa.DataType) -> Array:
        if found.type == kind:
            return found
        where = f"{self._where}, column {name!r}"
        try:
            cast = found.cast(kind)
            is_exact = bool(same(cast.cast(found.type), found).all())
        except ARROW_ERRORS:
            is_exact = False
        if not is_exact:
            message = f"some value of type {found.type} has none of type {kind} that is the same"
            raise UnmergeableError(message, where, ConflictKind.SCHEMA)
        return cast


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Tells what pyarrow says of a file that it cannot read.

    Raises:
        UnmergeableError: It said something.
    """
    try:
        yield
    except ARROW_ERRORS as err:
        said = str(err).splitlines()
        message = f"pyarrow cannot read it: {said[0] if said else type(err).__name__}"
        raise UnmergeableError(message, where) from err
