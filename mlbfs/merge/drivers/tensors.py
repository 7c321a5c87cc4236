"""Driver `tensors`: files of named tensors, merged by tensor: safetensors, npz and npy.

    adapters/*.safetensors   merge=tensors
    average/*.safetensors    merge=tensors:average
    *.npz                    merge=tensors:conflict=fail

The side that changed a tensor wins, a tensor that one side added is in, and one that a side removed
while the other left it alone is gone. What both changed:

- `overwrite`, the default: theirs, listed as a settled conflict;
- `average`: the mean, if both have numbers of one floating type in one shape;
- `conflict=ours`, `conflict=theirs`, `conflict=fail`: that side, or a person.

With `overwrite` and `average`, `conflict=` is for what is left: a tensor that one side removed and
the other changed, and what has no mean. Without it a person decides. The strings of the metadata of
safetensors follow the same rules by key, but have no mean.

Tensors are compared by their bytes, in steps. The result is made of pieces of the versions, in the
order of ours, so tensors that did not change are not cut into chunks again; with a mean it is a
file.
Nothing is unpickled: arrays of objects are taken whole, as bytes.

Layer: merge. Only `average` needs NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.merge.npy import MAGIC as NPY
from mlbfs.merge.npz import MAGICS as ZIP
from mlbfs.merge.tensormerge import merge_npy, merge_npz, merge_safetensors
from mlbfs.merge.tensorrules import parse_wish
from mlbfs.merge.unmergeable import UnmergeableError
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from mlbfs.merge.driver import MergeCall, MergeResult

_FORMATS = {"safetensors": merge_safetensors, "npz": merge_npz, "npy": merge_npy}
_SNIFFED = 8


class Tensors:
    """Merges files of tensors."""

    name = "tensors"

    def merge(self, call: MergeCall) -> MergeResult:
        """Merges by tensor; a version that cannot be merged is a conflict that says why."""
        wish = parse_wish(call.choice)
        try:
            return _FORMATS[_format(call)](call, wish)
        except UnmergeableError as err:
            return err.result(call)


def _format(call: MergeCall) -> str:
    """Returns the format of all versions.

    Raises:
        UnmergeableError: They have several.
    """
    found = {}
    for side in Side:
        version = call.version(side)
        if version is not None and (version.size or side is not Side.BASE):
            found[side] = _format_of(call.open(side).read(0, _SNIFFED))
    if len(set(found.values())) > 1:
        said = ", ".join(f"{side} is {name}" for side, name in found.items())
        raise UnmergeableError(f"the versions are of several formats: {said}", "")
    return found[Side.OURS]


def _format_of(front: bytes) -> str:
    if front.startswith(NPY):
        return "npy"
    return "npz" if front.startswith(ZIP) else "safetensors"
