"""Merges a file as it merges by itself, for drivers that leave some files to their kind.

Owns: that hand-over. Layer: merge.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mlbfs.merge.driver import DriverChoice
from mlbfs.merge.kinds import kind_of, one_driver

if TYPE_CHECKING:
    from mlbfs.merge.driver import MergeCall, MergeResult


def kind_of_call(call: MergeCall) -> str:
    """Returns the name of the driver for the kind of file that the versions are."""
    return one_driver(
        {
            kind_of(call.path, call.inputs.open(version))
            for version in call.versions()
            if version is not None and version.size
        }
    )


def merge_by(name: str, call: MergeCall) -> MergeResult:
    """Has another driver merge, without options; the note says which."""
    from mlbfs.merge.registry import load_driver  # it knows those who call this, too

    merged = load_driver(name).merge(replace(call, choice=DriverChoice(name)))
    return replace(merged, note=f"{name}: {merged.note}" if merged.note else name)
