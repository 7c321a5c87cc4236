"""Driver `auto`: a file merges as it does by itself, by the kind that its content is of.

    *.db   merge=auto

That is what a path without any rule does in mlbfs. The name is for stock Git, which asks attributes
and never looks into a file: so a database of MLflow is one there too, whatever it is called. It
also takes back what a rule before says.

Layer: merge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.merge.bykind import kind_of_call, merge_by

if TYPE_CHECKING:
    from mlbfs.merge.driver import MergeCall, MergeResult


class Auto:
    """Has the driver of the kind merge."""

    name = "auto"

    def merge(self, call: MergeCall) -> MergeResult:
        """Merges as the kind of file does; takes no options."""
        call.choice.check_options()
        return merge_by(kind_of_call(call), call)
