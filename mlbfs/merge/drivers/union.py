"""Driver `union`: folders of files, of which both sides' are kept.

    results/**   merge=union

What only one side has is there without any driver. A deletion counts where the other side left the
file alone, as everywhere; a file that one side deleted while the other changed it stays
(`merge/settling.py`). Here are the files that both have with other content: they go to the driver
that they would have by themselves, and only where that is `text` the lines are joined, as with
Git's `union`. A file and a folder of one name stay a conflict: no tree has both.

Layer: merge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.git.textmerge import merge_text
from mlbfs.merge.bykind import kind_of_call, merge_by
from mlbfs.merge.driver import Data, MergeResult
from mlbfs.merge.drivers.text import MAX_SIZE
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from mlbfs.merge.driver import MergeCall


class Union:
    """Joins the lines of texts; other kinds of files merge as they do by themselves."""

    name = "union"

    def merge(self, call: MergeCall) -> MergeResult:
        """Joins lines, or has the driver of the kind merge."""
        call.choice.check_options()
        kind = kind_of_call(call)
        if kind != "text":
            return merge_by(kind, call)
        if max(call.ours.size, call.theirs.size) > MAX_SIZE:
            return merge_by("binary", call)
        base, ours, theirs = (call.read(side) for side in Side)
        return MergeResult(Data(merge_text(base, ours, theirs, union=True).data))
