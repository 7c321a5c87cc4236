"""Runs merge drivers: cheap ones of ours here, all others in a process of their own.

Owns: which driver runs where, and what a merge needs to run them.
Layer: workspace.

A driver that only compares ids, or merges the lines of a short text, cannot hang and has no library
to crash in; it costs less than a process. Everything that parses, and everything of other packages,
runs in a process that the merge survives (docs/decisions/0028-drivers-apart.md).

Concurrency: one thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from mlbfs.errors import MlbfsError
from mlbfs.limits import MIB
from mlbfs.merge.driver import MergeResult
from mlbfs.merge.failures import said
from mlbfs.merge.registry import load_driver, require_driver
from mlbfs.workspace.driverprocess import DriverProcess, driver_failed
from mlbfs.workspace.scratch import Scratch

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mlbfs.merge.driver import DriverChoice, MergeCall
    from mlbfs.merge.folders import Alignment, FolderCall

DEFAULT_TIMEOUT = 600.0
"""Seconds that a driver may take for one path: twice what 100 GB of records take."""

_SIDES = frozenset({"ours", "theirs", "newest", "binary", "keep-both"})
"""Drivers that read nothing but ids and times."""

_SHORT = 1 * MIB
"""Longest version of a text whose lines are merged here."""


class DriverRunner:
    """Runs the drivers of one merge. A context manager; its end ends their process.

    Args:
        root: `.git/mlbfs`, for the files of drivers.
        timeout: Seconds that a driver may take for one path; None for any time.
        process: One that is there already, such as `start_early` starts; who has started it ends
            it, also after an error.
    """

    def __init__(
        self,
        root: Path,
        timeout: float | None = DEFAULT_TIMEOUT,
        process: DriverProcess | None = None,
    ) -> None:
        self._scratch = Scratch(root)
        self._timeout = timeout
        self._process = process
        self._is_mine = process is None
        if process is not None:
            process.timeout = timeout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            if self._process is not None and self._is_mine:
                self._process.close()
                self._process = None
        finally:
            self._scratch.__exit__(*exc)

    def scratch(self) -> AbstractContextManager[Path]:
        """Makes a folder for the files of one call.

        Raises:
            StorageError: The device refused.
        """
        return self._scratch.folder()

    def run(self, call: MergeCall) -> MergeResult:
        """Runs the driver that a call names.

        Raises:
            NotFoundError: There is no driver of that name; nothing was run.
            DriverError: It could not do its work; names the driver and the path.
        """
        if _runs_here(call):
            return _run_here(call)
        require_driver(call.choice.name)
        return self._started().run(call)

    def align(self, call: FolderCall) -> Alignment:
        """Has the driver that a call names look at a folder as a whole.

        Raises:
            DriverError: It could not do its work.
        """
        return self._started().align(call)

    def _started(self) -> DriverProcess:
        if self._process is None:
            self._process = DriverProcess(self._timeout)
        return self._process


def start_early(choice: DriverChoice) -> DriverProcess | None:
    """Starts the process that a driver will need, while the repository is being opened.

    Returns:
        The process, to be given to a `DriverRunner` or closed; None if the driver may do without.

    Raises:
        StorageError: The system does not start it.
    """
    if choice.name == "text" or _is_cheap(choice):
        return None
    return DriverProcess(DEFAULT_TIMEOUT)


def _run_here(call: MergeCall) -> MergeResult:
    try:
        result = load_driver(call.choice.name).merge(call)
    except MlbfsError:
        raise
    except Exception as err:
        raise driver_failed(call, said(err)) from err
    if not isinstance(result, MergeResult):
        raise driver_failed(call, f"it answered {type(result).__name__} and not a result")
    return result


def _runs_here(call: MergeCall) -> bool:
    """Whether a call needs no process of its own."""
    if call.choice.name == "text":
        return all(version is None or version.size <= _SHORT for version in call.versions())
    return _is_cheap(call.choice)


def _is_cheap(choice: DriverChoice) -> bool:
    """Whether a driver compares ids and reads nothing."""
    return choice.name in _SIDES or (choice.name == "overwrite" and not choice.words)
