"""What becomes of a tensor that both sides changed.

Owns: the options of the driver `tensors`, and the conflicts that it tells.
Layer: merge.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO, TypeVar, cast

from mlbfs.errors import InvalidInputError
from mlbfs.merge.conflicts import Conflict, ConflictKind
from mlbfs.merge.driver import DriverError
from mlbfs.merge.npy import is_object
from mlbfs.merge.tensorplan import Met
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import ModuleType

    from mlbfs.merge.driver import DriverChoice, MergeCall
    from mlbfs.merge.tensorfile import Layout, Tensor
    from mlbfs.merge.tensorplan import Meeting

T = TypeVar("T")
_POLICIES = {"fail": None, "ours": Side.OURS, "theirs": Side.THEIRS}
_MAX_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for.

    Attributes:
        average: What both changed becomes the mean where it has one.
        changed: The side that wins where both changed something and there is no mean; None for
            a person.
        rest: The side that wins where one removed what the other changed; None for a person.
    """

    average: bool
    changed: Side | None
    rest: Side | None


def parse_wish(choice: DriverChoice) -> Wish:
    """Returns what the words of a choice ask for.

    Raises:
        InvalidInputError: They cannot be read, or contradict each other.
    """
    plain = {word for word in choice.words if "=" not in word}
    options = [word for word in choice.words if "=" in word]
    unknown = [*sorted(plain - {"overwrite", "average"})]
    unknown += [word for word in options if word.partition("=")[0] != "conflict"]
    if unknown:
        raise InvalidInputError(
            f"merge driver {choice.name!r} does not know {unknown[0]!r}",
            hint="it takes overwrite or average, and conflict=",
        )
    if len(plain) > 1:
        raise InvalidInputError("overwrite and average cannot both be", hint="name one of them")
    policy = choice.option("conflict")
    if policy is not None and policy not in _POLICIES:
        raise InvalidInputError(
            f"conflict={policy} is no way to settle conflicts",
            hint="there are conflict=ours, conflict=theirs and conflict=fail",
        )
    rest = None if policy is None else _POLICIES[policy]
    overwrites = "overwrite" in plain or (not plain and policy is None)
    return Wish("average" in plain, Side.THEIRS if overwrites else rest, rest)


class Rules:
    """Decides where sides do not agree, and keeps a list of the conflicts.

    Attributes:
        conflicts: What was told so far.
        averaged: How many tensors became a mean.
    """

    def __init__(self, call: MergeCall, wish: Wish) -> None:
        self.conflicts: list[Conflict] = []
        self.averaged = 0
        self._call = call
        self._wish = wish

    def decide(self, meeting: Meeting[Tensor]) -> Side | Path:
        """Returns the side that has the tensor to take, or the file with the mean.

        A side that has none means that the tensor goes. With an open conflict it is a side that has
        one, so that a preview shows it.

        Raises:
            DriverError: NumPy is missing.
        """
        if meeting.side is not None:
            return meeting.side
        base, ours, theirs = (
            None if one is None else one.layout()
            for one in (meeting.base, meeting.ours, meeting.theirs)
        )
        side, why = self._wish.changed, "both sides changed it, each in its own way"
        if meeting.met is Met.REMOVED:
            side, why = self._wish.rest, _removal(meeting)
        elif any(one is not None and is_object(one) for one in (ours, theirs)):
            side, why = (
                self._wish.rest,
                "both sides changed it, and its objects are never unpickled",
            )
        elif self._wish.average:
            reason = self._no_mean(ours, theirs)
            if reason is None:
                return self._mean(meeting)
            why = f"both sides changed it, and {reason}"
        shown = (
            _shown(meeting.base, base),
            _shown(meeting.ours, ours),
            _shown(meeting.theirs, theirs),
        )
        return self._settled(why, meeting.name, shown, side)

    def decide_text(self, meeting: Meeting[str]) -> Side:
        """Returns the side whose string of the metadata is taken."""
        if meeting.side is not None:
            return meeting.side
        side, why = self._wish.changed, "both sides changed it, each in its own way"
        if meeting.met is Met.REMOVED:
            side, why = self._wish.rest, _removal(meeting)
        shown = [
            None if one is None else one[:_MAX_SHOWN]
            for one in (meeting.base, meeting.ours, meeting.theirs)
        ]
        return self._settled(why, f"__metadata__.{meeting.name}", shown, side)

    def _settled(
        self, why: str, where: str, shown: Sequence[str | None], side: Side | None
    ) -> Side:
        base, ours, theirs = shown
        self.conflicts.append(
            Conflict(
                *(self._call.path, ConflictKind.VALUE, why, where),
                base=base,
                ours=ours,
                theirs=theirs,
                settled=side,
            )
        )
        return side or (Side.THEIRS if ours is None else Side.OURS)

    def _no_mean(self, ours: Layout | None, theirs: Layout | None) -> str | None:
        """Returns why two tensors have no mean, or None if they have one."""
        if ours is None or theirs is None:
            return "what is no array has no mean"
        return cast("str | None", _average().why_not(ours, theirs))

    def _mean(self, meeting: Meeting[Tensor]) -> Path:
        """Writes the mean of a tensor to a file, behind the front that it has in ours."""
        assert meeting.ours is not None, "both have it"
        assert meeting.theirs is not None, "both have it"
        ours, theirs = meeting.ours.layout(), meeting.theirs.layout()
        assert ours is not None, "both are arrays"
        assert theirs is not None, "both are arrays"
        path = self._call.scratch / f"mean-{self.averaged}"
        with (
            _behind(meeting.ours, ours) as mine,
            _behind(meeting.theirs, theirs) as other,
            path.open("wb") as file,
        ):
            file.write(ours.header)
            file.writelines(_average().mean_steps(ours, mine, other))
        self.averaged += 1
        return path


def _average() -> ModuleType:
    """Returns the module that needs NumPy.

    Raises:
        DriverError: NumPy is missing.
    """
    try:
        return import_module("mlbfs.merge.average")
    except ImportError as err:
        raise DriverError(
            f"tensors cannot be averaged: {err}", hint="pip install 'mlbfs[tensors]'"
        ) from err


def _behind(tensor: Tensor, layout: Layout) -> BinaryIO:
    """Returns the numbers of a tensor, without what stands in front of them."""
    stream = tensor.open()
    stream.read(len(layout.header))
    return stream


def _removal(meeting: Meeting[T]) -> str:
    lost, kept = (Side.THEIRS, Side.OURS) if meeting.theirs is None else (Side.OURS, Side.THEIRS)
    return f"{lost} removed it, {kept} changed it"


def _shown(tensor: Tensor | None, layout: Layout | None) -> str | None:
    """Returns what a tensor is, for people."""
    if tensor is None:
        return None
    return f"{tensor.size} bytes" if layout is None else f"{layout}"[:_MAX_SHOWN]
