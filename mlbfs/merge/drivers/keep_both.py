"""Driver `keep-both`: ours stays, and theirs is put beside it as `name.<branch>.ext`.

Layer: merge.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mlbfs.merge.driver import MergeResult, Take
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from mlbfs.merge.driver import MergeCall

_UNSAFE = re.compile(rb"[^A-Za-z0-9._-]+")


class KeepBoth:
    """Keeps both versions under two names."""

    name = "keep-both"

    def merge(self, call: MergeCall) -> MergeResult:
        """Puts theirs beside ours, under a name that neither side has."""
        call.choice.check_options()
        beside = _free_name(call)
        shown = beside.rpartition(b"/")[2].decode(errors="backslashreplace")
        return MergeResult(
            Take(Side.OURS), beside={beside: Take(Side.THEIRS)}, note=f"theirs is {shown}"
        )


def _free_name(call: MergeCall) -> bytes:
    folder, slash, name = call.path.rpartition(b"/")
    stem, dot, suffix = name.rpartition(b".")
    if not stem:  # no suffix, or a name that begins with its only dot
        stem, dot, suffix = name, b"", b""
    label = _UNSAFE.sub(b"-", call.labels[Side.THEIRS].encode()).strip(b"-.") or b"theirs"
    number = 1
    while True:
        mark = label if number == 1 else b"%b-%d" % (label, number)
        path = folder + slash + stem + b"." + mark + dot + suffix
        if all(call.inputs.find(side, path) is None for side in (Side.OURS, Side.THEIRS)):
            return path
        number += 1
