"""Driver `mlflow`: the two stores of MLflow, a database and a folder.

    mlflow.db   merge=mlflow
    mlruns/**   merge=mlflow

A database merges as with `sqlite`, but for what MLflow counts: experiments are the same if they
have one name, versions of a model if one run made them at one time, whatever numbers the sides gave
them; see `mlbfs/merge/mlflow/database.py`. `conflict=ours` and `conflict=theirs` settle what is
left.

Layer: merge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.merge.drivers.sqlite import merge_database
from mlbfs.merge.mlflow.database import prepare_database

if TYPE_CHECKING:
    from mlbfs.merge.driver import MergeCall, MergeResult


class Mlflow:
    """Merges stores of MLflow."""

    name = "mlflow"

    def merge(self, call: MergeCall) -> MergeResult:
        """Merges a database."""
        call.choice.check_options("conflict")
        return merge_database(call, prepare=prepare_database)
