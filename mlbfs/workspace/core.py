"""The state of an open workspace, and the steps that several operations share.

    transactions.py       the lock; operations that happen whole or not at all
    nodes.py              inodes: rows of the overlay, entries of the snapshot
    materializing.py      how an inode gets a row
    inode_attributes.py   what stat(2) tells of it
    lifetimes.py          when it goes

Owns: that these are one object.
Layer: workspace. docs/workspace.md numbers the invariants.
"""

from __future__ import annotations

from mlbfs.workspace.inode_attributes import InodeAttributes
from mlbfs.workspace.lifetimes import Lifetimes
from mlbfs.workspace.materializing import Materializing


class Core(Materializing, InodeAttributes, Lifetimes):
    """State of one workspace."""
