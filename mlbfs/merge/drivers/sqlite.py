"""Driver `sqlite`: databases, merged by schema, by row and by cell.

    *.db   merge=sqlite
    *.db   merge=sqlite:conflict=theirs
    *.db   merge=sqlite:ref=tags.run_id=runs.id

Rows are told apart by their primary key, else by their rowid. What one side did to a row and the
other left alone is done; a row that both changed in different columns merges; a cell that both set
in different ways is a conflict, which `conflict=ours` or `conflict=theirs` settles. Where both
sides gave one number to different rows of an INTEGER PRIMARY KEY, the row of theirs gets a new one;
what refers to it by a foreign key, or is named by `ref=`, follows. New rows of both sides that
share a unique value are one row.

A merged database satisfies its own rules: what SQLite finds wrong with it afterwards is a conflict,
unless a side had it before. What cannot be merged is refused by its name.

Layer: merge.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import apsw

from mlbfs.merge.companions import SIDECARS
from mlbfs.merge.conflicts import Conflict, ConflictKind
from mlbfs.merge.driver import Data, FileAt, MergeResult, Take
from mlbfs.merge.sqlite.merging import DatabaseMerge
from mlbfs.merge.sqlite.opening import (
    MalformedDatabaseError,
    copy_database,
    open_database,
)
from mlbfs.merge.sqlite.references import OPTION, parse_references
from mlbfs.merge.sqlite.schema import RefusedDatabaseError
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mlbfs.merge.driver import Content, MergeCall
    from mlbfs.merge.sqlite.references import Reference


class Sqlite:
    """Merges SQLite databases."""

    name = "sqlite"

    def merge(self, call: MergeCall) -> MergeResult:
        """Merges by schema, row and cell; what is no database is a conflict."""
        call.choice.check_options("conflict", OPTION)
        return merge_database(call, parse_references(call.choice.option(OPTION)))


Prepare = Callable[["Mapping[Side, Path]"], "Prepared"]
"""Makes copies of the versions ready to be merged; what it raises is told as a conflict."""


class Prepared(NamedTuple):
    """What was done to copies before they are merged.

    Attributes:
        changed: Whether ours is another now.
        note: What there is to say of it, or "".
    """

    changed: bool
    note: str = ""


def merge_database(
    call: MergeCall, references: Sequence[Reference] = (), prepare: Prepare | None = None
) -> MergeResult:
    """Merges by schema, row and cell; what cannot be merged is a conflict.

    Args:
        call: The versions.
        references: What refers to ids without a foreign key.
        prepare: Makes the copies of the versions ready, for those who know what is in them.
    """
    policy = call.choice.policy()
    try:
        with ThreadPoolExecutor(len(Side)) as pool:  # most of it is reading, and checks of SQLite
            copies = pool.map(partial(copy_database, call), Side)
            paths = dict(zip(Side, copies, strict=True))
        before = Prepared(changed=False) if prepare is None else prepare(paths)
        stage = call.scratch / "stage.db"
        with DatabaseMerge(paths, stage, policy, references) as merge:
            conflicts, changed = merge.run(call.path)
    except MalformedDatabaseError as err:
        return _refused(call, ConflictKind.MALFORMED, err.message, err.where)
    except (RefusedDatabaseError, apsw.Error, ValueError) as err:
        return _refused(call, ConflictKind.SCHEMA, f"it cannot be merged: {err}")
    if not changed and not before.changed:
        return MergeResult(Take(Side.OURS), tuple(conflicts))
    _restore_mode(call, paths[Side.OURS])
    note = ", ".join(one for one in (before.note, merge.note) if one)
    return MergeResult(FileAt(paths[Side.OURS]), tuple(conflicts), _emptied(call), note)


def _restore_mode(call: MergeCall, path: Path) -> None:
    """Lets a database with a write-ahead log be one again."""
    if call.open(Side.OURS).read(18, 2) == b"\2\2":
        database = open_database(path)
        database.execute("PRAGMA journal_mode = WAL").fetchall()
        database.close()


def _emptied(call: MergeCall) -> dict[bytes, Content]:
    """Returns empty files for those beside the database: what they held is in it now."""
    names = [call.path + ending for ending in SIDECARS]
    sides = (Side.OURS, Side.THEIRS)
    return {
        name: Data(b"")
        for name in names
        if any(call.inputs.find(side, name) is not None for side in sides)
    }


def _refused(call: MergeCall, kind: ConflictKind, message: str, where: str = "") -> MergeResult:
    return MergeResult(Take(Side.OURS), (Conflict(call.path, kind, message, where=where),))
