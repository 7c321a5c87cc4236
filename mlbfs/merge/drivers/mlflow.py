"""Driver `mlflow`: the two stores of MLflow, a database and a folder.

    mlflow.db   merge=mlflow
    mlruns/**   merge=mlflow

A folder is looked at as a whole first (`mlbfs/merge/mlflow/filestore.py`), then file by file: runs
are folders of their own, lines of metrics are appended, documents merge by key, and a tag,
parameter or alias with two values is a conflict. Artifacts merge as they do by themselves.

A database merges as with `sqlite`, but for what MLflow counts: experiments are the same if they
have one name, versions of a model if one run made them at one time, whatever numbers the sides gave
them; see `mlbfs/merge/mlflow/database.py`. `conflict=ours` and `conflict=theirs` settle what is
left.

Layer: merge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.merge.bykind import kind_of_call, merge_by
from mlbfs.merge.drivers.sqlite import merge_database
from mlbfs.merge.mlflow.database import prepare_database
from mlbfs.merge.mlflow.filestore import align_stores
from mlbfs.merge.mlflow.storefiles import merge_store_file
from mlbfs.merge.mlflow.storepaths import place_of
from mlbfs.merge.sqlite.opening import MAGIC
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from mlbfs.merge.driver import MergeCall, MergeResult
    from mlbfs.merge.folders import Alignment, FolderCall


class Mlflow:
    """Merges stores of MLflow."""

    name = "mlflow"

    def merge(self, call: MergeCall) -> MergeResult:
        """Merges a database or a file of the folder; artifacts as they merge by themselves."""
        call.choice.check_options("conflict")
        call.choice.policy()  # a wrong one is told before anything is read
        if all(_is_database(call, side) for side in (Side.OURS, Side.THEIRS)):
            return merge_database(call, prepare=prepare_database)
        place = place_of(call.path)
        if place is not None:
            return merge_store_file(call, place)
        return merge_by(kind_of_call(call), call)

    def align(self, call: FolderCall) -> Alignment:
        """Brings the folders of base and theirs to the numbers of ours."""
        call.choice.check_options("conflict")
        return align_stores(call)


def _is_database(call: MergeCall, side: Side) -> bool:
    return call.open(side).read(0, len(MAGIC)) == MAGIC
