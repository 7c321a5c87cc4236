"""Driver `union`: folders of files, of which both sides' are kept.

What only one side has is there without any driver, and a file that one side deleted while the other
changed it stays (`merge/settling.py`). Here are the files that both have with other content: lines
of text are joined as with Git's `union`, everything else goes to the driver of its kind.

Layer: merge.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mlbfs.git.textmerge import merge_text
from mlbfs.merge.driver import Data, DriverChoice, MergeResult
from mlbfs.merge.drivers.text import MAX_SIZE
from mlbfs.merge.kinds import kind_of, one_driver
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from mlbfs.merge.driver import MergeCall


class Union:
    """Joins the lines of texts; other kinds of files merge as they do by themselves."""

    name = "union"

    def merge(self, call: MergeCall) -> MergeResult:
        """Joins lines, or has the driver of the kind merge."""
        from mlbfs.merge.registry import load_driver  # it knows this one, too

        call.choice.check_options()
        kinds = {
            kind_of(call.path, call.inputs.open(version))
            for version in (call.base, call.ours, call.theirs)
            if version is not None and version.size
        }
        kind = one_driver(kinds)
        if kind != "text":
            choice = DriverChoice(kind)
            merged = load_driver(kind).merge(replace(call, choice=choice))
            return replace(merged, note=f"{kind}: {merged.note}" if merged.note else kind)
        if max(call.ours.size, call.theirs.size) > MAX_SIZE:
            return load_driver("binary").merge(replace(call, choice=DriverChoice("binary")))
        base, ours, theirs = (call.read(side) for side in Side)
        return MergeResult(Data(merge_text(base, ours, theirs, union=True).data))
