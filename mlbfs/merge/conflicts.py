"""Conflicts: what a merge could not decide, as values.

Owns: the kinds of conflict, and what is told of one.
Layer: merge. Pure: values only.

A conflict is never an exception, and no side of one is ever lost: all three versions stay in the
commits that they come from. Kinds are append-only: programs may match on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlbfs.merge.versions import Side


class ConflictKind(StrEnum):
    """What two sides disagree about."""

    CONTENT = "content"
    """Both changed the same part of a file."""

    BINARY = "binary"
    """Both changed a file of which nothing is known."""

    ADDED_TWICE = "added-twice"
    """Both added a path, each with other content."""

    DELETED_MODIFIED = "deleted-modified"
    """One deleted what the other changed."""

    FILE_FOLDER = "file-folder"
    """A file on one side, a folder on the other."""

    TYPE = "type"
    """A file on one side, a symbolic link or a submodule on the other."""

    SYMLINK = "symlink"
    """Both changed where a symbolic link leads."""

    SUBMODULE = "submodule"
    """Both moved a submodule."""

    MODE = "mode"
    """Both changed the executable bit of a path that neither had before."""

    RENAMED_TWICE = "renamed-twice"
    """Each side moved a file to another place."""

    RENAMED_DELETED = "renamed-deleted"
    """One side moved what the other deleted."""

    VALUE = "value"
    """Both changed one value of a document; `where` is its path."""

    RECORD = "record"
    """Both changed one record; `where` is its key."""

    CELL = "cell"
    """Both changed one cell; `where` is table, row and column."""

    SCHEMA = "schema"
    """Both changed a schema, and not to the same."""

    CONSTRAINT = "constraint"
    """The merged content would break a rule that it states itself."""

    SPLIT_DATABASE = "split-database"
    """A database would come from one side, and what lies beside it from the other."""

    TRASHED = "trashed"
    """One deleted an experiment, which MLflow keeps in another folder, and the other went on."""

    MALFORMED = "malformed"
    """A version cannot be parsed; `where` is the side and the position."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """One thing that two sides disagree about.

    Attributes:
        path: The file.
        kind: What sort of disagreement it is.
        message: One line for people.
        where: The place inside the file, or "".
        base: What the base has there, as text for people; None when it has nothing.
        ours: The same of ours.
        theirs: The same of theirs.
        settled: The side whose value was taken by a policy that was asked for; such a conflict is
            listed and stops nothing.
    """

    path: bytes
    kind: ConflictKind
    message: str
    where: str = ""
    base: str | None = None
    ours: str | None = None
    theirs: str | None = None
    settled: Side | None = None
