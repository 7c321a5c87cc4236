"""Runs merge drivers.

Owns: how a driver is called, and what becomes of one that fails.
Layer: workspace.

Concurrency: one thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.errors import MlbfsError
from mlbfs.merge.driver import DriverError, MergeResult
from mlbfs.merge.registry import load_driver

if TYPE_CHECKING:
    from mlbfs.merge.driver import MergeCall, MergeDriver


class DriverRunner:
    """Runs the drivers of one merge."""

    def __init__(self) -> None:
        self._drivers: dict[str, MergeDriver] = {}

    def run(self, call: MergeCall) -> MergeResult:
        """Runs the driver that a call names.

        Raises:
            DriverError: It could not do its work; names the driver and the path.
        """
        name = call.choice.name
        driver = self._drivers.get(name)
        if driver is None:
            driver = self._drivers[name] = load_driver(name)
        try:
            result = driver.merge(call)
        except MlbfsError:
            raise
        except Exception as err:
            raise _failed(call, f"{type(err).__name__}: {err}") from err
        if not isinstance(result, MergeResult):
            raise _failed(call, f"it answered {type(result).__name__} and not a result")
        return result


def _failed(call: MergeCall, why: str) -> DriverError:
    return DriverError(
        f"merge driver {call.choice.name!r} failed on "
        f"{call.path.decode(errors='backslashreplace')!r}: {why}".replace("\n", " "),
        hint="choose another one: --strategy-for PATTERN=DRIVER",
    )
