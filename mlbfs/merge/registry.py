"""Finds merge drivers by name: those of mlbfs, and those of other packages.

Owns: the table of our drivers, and the group of entry points that others use.
Layer: merge. A driver's module is imported when it is used: some need libraries of their own.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from mlbfs.errors import ErrorKind, NotFoundError
from mlbfs.merge.driver import DriverError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

    from mlbfs.merge.driver import MergeDriver

GROUP = "mlbfs.merge_drivers"
"""Entry points under which packages offer drivers."""

BUILT_IN = {
    "auto": "mlbfs.merge.drivers.auto:Auto",
    "text": "mlbfs.merge.drivers.text:Text",
    "binary": "mlbfs.merge.drivers.sides:Binary",
    "ours": "mlbfs.merge.drivers.sides:Ours",
    "theirs": "mlbfs.merge.drivers.sides:Theirs",
    "newest": "mlbfs.merge.drivers.sides:Newest",
    "overwrite": "mlbfs.merge.drivers.overwrite:Overwrite",
    "keep-both": "mlbfs.merge.drivers.keep_both:KeepBoth",
    "union": "mlbfs.merge.drivers.union:Union",
    "json": "mlbfs.merge.drivers.json:Json",
    "jsonl": "mlbfs.merge.drivers.jsonl:JsonLines",
    "sqlite": "mlbfs.merge.drivers.sqlite:Sqlite",
    "mlflow": "mlbfs.merge.drivers.mlflow:Mlflow",
    "csv": "mlbfs.merge.drivers.csv:Csv",
    "parquet": "mlbfs.merge.drivers.parquet:Parquet",
    "tensors": "mlbfs.merge.drivers.tensors:Tensors",
}
"""Name and class of each driver of ours."""


def driver_names() -> list[str]:
    """Returns the names of all drivers that can be found, ours first."""
    others = sorted({found.name for found in _offered()} - BUILT_IN.keys())
    return [*BUILT_IN, *others]


def require_driver(name: str) -> None:
    """Checks that there is a driver of a name; none is loaded, so nothing of it runs.

    Raises:
        NotFoundError: There is none.
    """
    if name not in BUILT_IN and not any(found.name == name for found in _offered()):
        raise _no_driver(name)


def load_driver(name: str) -> MergeDriver:
    """Returns a driver by its name; a name of ours is never another package's.

    Raises:
        NotFoundError: There is none of that name.
        DriverError: It cannot be loaded, because a library that it needs is missing, say.
    """
    try:
        return cast("MergeDriver", _find(name)())
    except ImportError as err:
        raise DriverError(
            f"merge driver {name!r} cannot be loaded: {err}",
            hint=f"pip install 'mlbfs[{name}]'" if name in BUILT_IN else None,
        ) from err


def _find(name: str) -> type:
    place = BUILT_IN.get(name)
    if place is not None:
        module, _, attribute = place.partition(":")
        return cast("type", getattr(import_module(module), attribute))
    for found in _offered():
        if found.name == name:
            return cast("type", found.load())
    raise _no_driver(name)


def _offered() -> EntryPoints:
    """Returns what other packages offer; looked up each time, and by those who need it alone."""
    from importlib.metadata import entry_points  # a fifth of the time that a worker takes to start

    return entry_points(group=GROUP)


def _no_driver(name: str) -> NotFoundError:
    return NotFoundError(
        f"there is no merge driver {name!r}",
        kind=ErrorKind.MERGE_DRIVER_NOT_FOUND,
        hint=f"there are {', '.join(driver_names())}",
    )
