"""References that a schema does not declare, named by the user.

Many programs keep ids of other tables without a foreign key. Where a merge gives an id anew, such
columns follow if they are named: `ref=tags.run_id=runs.id`, several with commas between.

Owns: how they are written, and what they have to fit.
Layer: merge. Pure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.errors import InvalidInputError
from mlbfs.merge.sqlite.schema import RefusedDatabaseError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlbfs.merge.sqlite.schema import Table

OPTION = "ref"


class Reference(NamedTuple):
    """A column that holds ids of another table; all names are in lower case.

    Attributes:
        table: The table that refers.
        column: Its column.
        parent: The table that is referred to.
        target: The column of it, an INTEGER PRIMARY KEY.
    """

    table: str
    column: str
    parent: str
    target: str


def parse_references(text: str | None) -> tuple[Reference, ...]:
    """Parses `TABLE.COLUMN=TABLE.COLUMN,...`.

    Raises:
        InvalidInputError: It is written in another way.
    """
    found = []
    for part in [] if text is None else text.lower().split(","):
        names = [name for side in part.split("=") for name in side.split(".")]
        if len(names) != 4 or part.count("=") != 1 or not all(names):
            raise InvalidInputError(
                f"{OPTION}={part} names no reference",
                hint=f"write {OPTION}=TABLE.COLUMN=TABLE.COLUMN, several with commas between",
            )
        found.append(Reference(*names))
    return tuple(found)


def add_references(
    tables: Mapping[str, Table], references: Sequence[Reference]
) -> dict[str, Table]:
    """Returns the tables with what is named as if they declared it.

    One option may be for many databases, so a table that is not there is no mistake; a column that
    its table does not have is.

    Args:
        tables: By name in lower case.
        references: What is named.

    Raises:
        RefusedDatabaseError: A column is not there, or holds no ids.
    """
    found = dict(tables)
    for one in references:
        child, parent = found.get(one.table), found.get(one.parent)
        if child is None or parent is None:
            continue
        if one.column not in {name.lower() for name in child.columns}:
            raise RefusedDatabaseError(f"{one.table!r} has no column {one.column!r} for {OPTION}=")
        if parent.alias is None or parent.alias.lower() != one.target:
            raise RefusedDatabaseError(
                f"{one.parent}.{one.target} is no INTEGER PRIMARY KEY; {OPTION}= follows only such"
            )
        known = (*child.references, (one.column, one.parent, one.target))
        found[one.table] = replace(child, references=known)
    return found
