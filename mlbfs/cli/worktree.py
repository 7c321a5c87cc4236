"""What Git's own commands, which call mlbfs, are at work on: a repository and its work tree.

Owns: how that is found: as Git tells it in `GIT_DIR` and `GIT_WORK_TREE`, or from the folder that
it starts its helpers in.
Layer: cli.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mlbfs.cli import render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.cli.context import Context
    from mlbfs.git.attributes import Attributes
    from mlbfs.workspace.adopting import Adopted


@contextmanager
def filtered_repository(context: Context) -> Iterator[tuple[Adopted, Attributes]]:
    """Opens the repository, with a store if it has none, and the attributes of its work tree.

    Raises:
        NotFoundError: There is no repository.
    """
    from mlbfs.workspace.adopting import Adopted
    from mlbfs.workspace.filtering import work_tree_attributes

    with Adopted(context.git_start()) as repository:
        named = context.environment.get("GIT_WORK_TREE")
        if not named and context.environment.get("GIT_DIR"):
            named = "."  # Git starts its helpers at the top of the work tree, wherever that is
        work_tree = Path(named).absolute() if named else repository.git.work_tree
        place = None if work_tree is None else os.fsencode(work_tree)
        yield repository, work_tree_attributes(repository.source, place)


def say_waiting() -> None:
    """Says why nothing happens for a while."""
    render.say("mlbfs: waiting for gc, which has the chunk store for itself ...")
