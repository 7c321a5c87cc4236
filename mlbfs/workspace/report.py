"""What a status tells, as a value.

Owns: the parts of a status, and which of them is at some paths.
Layer: workspace. Pure, and imports little: a command that asks a daemon needs no more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlbfs.workspace.diff import Change
    from mlbfs.workspace.selection import Selection


@dataclass(frozen=True, slots=True)
class Status:
    """What changed since the base commit.

    Attributes:
        changes: By path. `new.content` of a file that is not stored yet may be empty.
        empty_directories: New or emptied folders, which Git cannot keep.
        special: FIFOs, sockets and devices, which Git cannot keep.
        refused: Names that Git refuses, such as `.git`.
        ignored: What `.gitignore` leaves out; a folder, with a slash at its end, with all in it.
    """

    changes: list[Change]
    empty_directories: list[bytes]
    special: list[bytes]
    refused: list[bytes]
    ignored: list[bytes] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether a commit would record nothing."""
        return not self.changes

    def within(self, selection: Selection) -> Status:
        """Returns what of it is at some paths."""
        covers = selection.covers
        return Status(
            [change for change in self.changes if covers(change.path)],
            [path for path in self.empty_directories if covers(path)],
            [path for path in self.special if covers(path)],
            [path for path in self.refused if covers(path)],
            [path for path in self.ignored if covers(path.rstrip(b"/"))],
        )
