"""What a driver is given, and answers, that has to see a folder as a whole.

Owns: the call and the answer of `align`, which is asked once for a folder before its files meet. It
moves and rewrites things in the folders of base and theirs, so that what is one thing lies at one
place on all sides. The merge of trees and files is made over what comes of that; ours is never
changed.
Layer: merge.

Invariants:
  A1. An answer that was decoded moves and writes inside the folder only, under names that a tree
      can hold.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from mlbfs.git.names import is_hostile_name
from mlbfs.limits import MAX_NAME_LENGTH
from mlbfs.merge.answers import NonsenseError
from mlbfs.merge.conflicts import ConflictKind
from mlbfs.merge.driver import DriverChoice, Inputs
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Mapping

MOVED = (Side.BASE, Side.THEIRS)
"""The sides of which things are moved."""


class FolderEntry(NamedTuple):
    """An entry of a folder.

    Attributes:
        is_folder: Whether it is a folder, too.
        id: Its id in Git; equal ids are equal content.
    """

    is_folder: bool
    id: bytes


class FolderInputs(Inputs, Protocol):
    """Where a call reads from."""

    def list(self, side: Side, path: bytes) -> Mapping[bytes, FolderEntry]:
        """Returns the entries of a folder that a side has; none where it has no folder."""


@dataclass(frozen=True, slots=True)
class FolderCall:
    """A folder to look at.

    Attributes:
        path: Where in the tree it lies.
        choice: How the driver was named.
        inputs: Reads from all sides.
    """

    path: bytes
    choice: DriverChoice
    inputs: FolderInputs


@dataclass(slots=True)
class SideEdit:
    """What becomes of the folder of one side; paths are those of the tree.

    Attributes:
        moves: Folders that get another place: old and new. All leave before any arrives.
        files: New content of files, by their new place.
    """

    moves: list[tuple[bytes, bytes]] = field(default_factory=list)
    files: dict[bytes, bytes] = field(default_factory=dict)


class Held(NamedTuple):
    """What a person has to decide; everything at and below its places waits for that.

    Attributes:
        path: Where it is told of.
        kind: What the sides disagree about.
        message: One line for people.
        ours: Where ours has it.
        theirs: Where theirs has it, after the moves.
    """

    path: bytes
    kind: ConflictKind
    message: str
    ours: bytes
    theirs: bytes


@dataclass(slots=True)
class Alignment:
    """The answer.

    Attributes:
        edits: What becomes of base and theirs.
        held: What has to be decided.
        note: A few words for the commit message, or "".
    """

    edits: dict[Side, SideEdit] = field(
        default_factory=lambda: {side: SideEdit() for side in MOVED}
    )
    held: list[Held] = field(default_factory=list)
    note: str = ""

    @property
    def is_nothing(self) -> bool:
        """Whether all stays as it is."""
        return not self.held and not any(one.moves or one.files for one in self.edits.values())


class FolderDriver(Protocol):
    """A driver that sees folders as a whole; so far only drivers of ours are asked."""

    def align(self, call: FolderCall) -> Alignment:
        """Brings base and theirs to the places of ours."""


def encode_folder_call(call: FolderCall) -> dict[str, Any]:
    """Returns the form of a call."""
    driver = [call.choice.name, *call.choice.words]
    return {"do": "align", "path": call.path.hex(), "driver": driver}


def decode_folder_call(value: dict[str, Any], inputs: FolderInputs) -> FolderCall:
    """Returns the call that a message of our own stands for."""
    name, *words = value["driver"]
    return FolderCall(bytes.fromhex(value["path"]), DriverChoice(name, tuple(words)), inputs)


def encode_alignment(found: Alignment) -> dict[str, Any]:
    """Returns the form of an answer."""
    return {
        "edits": {
            str(side): {
                "moves": [[old.hex(), new.hex()] for old, new in edit.moves],
                "files": {path.hex(): data.hex() for path, data in edit.files.items()},
            }
            for side, edit in found.edits.items()
        },
        "held": [
            [one.path.hex(), str(one.kind), one.message, one.ours.hex(), one.theirs.hex()]
            for one in found.held
        ],
        "note": found.note,
    }


def decode_alignment(value: Any, folder: bytes) -> Alignment:  # noqa: ANN401 - whatever came
    """Returns the answer to a call (A1).

    Raises:
        NonsenseError: It breaks a rule.
    """
    try:
        edits = {side: _decode_edit(value["edits"][str(side)], folder) for side in MOVED}
        held = [_decode_held(one, folder) for one in value["held"]]
        note = value["note"]
    except (KeyError, TypeError, ValueError) as err:
        raise NonsenseError(f"it answered what cannot be read: {err!r}") from err
    if not isinstance(note, str) or "\n" in note:
        raise NonsenseError("it answered a note that is not one line")
    return Alignment(edits, held, note)


def _decode_edit(value: Any, folder: bytes) -> SideEdit:  # noqa: ANN401 - whatever came
    moves = [(_inside(old, folder), _inside(new, folder)) for old, new in value["moves"]]
    files = {_inside(path, folder): bytes.fromhex(data) for path, data in value["files"].items()}
    return SideEdit(moves, files)


def _decode_held(value: Any, folder: bytes) -> Held:  # noqa: ANN401 - whatever came
    path, kind, message, ours, theirs = value
    if not isinstance(message, str):
        raise NonsenseError("it answered a conflict without words")
    places = [_inside(one, folder) for one in (path, ours, theirs)]
    return Held(places[0], ConflictKind(kind), message, places[1], places[2])


def _inside(text: Any, folder: bytes) -> bytes:  # noqa: ANN401 - whatever came
    """Returns a path below a folder."""
    path = bytes.fromhex(text)
    names = path.removeprefix(folder + b"/").split(b"/")
    is_name = all(one and not is_hostile_name(one) and len(one) <= MAX_NAME_LENGTH for one in names)
    if not path.startswith(folder + b"/") or not is_name:
        raise NonsenseError(f"it answered a place outside its folder: {path!r}")
    return path
