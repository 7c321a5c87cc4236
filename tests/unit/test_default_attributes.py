"""The attributes that new branches begin with name drivers that exist, and agree with the kinds."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from mlbfs.git.attributes import Attributes
from mlbfs.merge.defaultattributes import DEFAULT_ATTRIBUTES
from mlbfs.merge.kinds import default_driver
from mlbfs.merge.registry import load_driver

FRONTS = {
    b".db": b"SQLite format 3\0",
    b".sqlite": b"SQLite format 3\0",
    b".sqlite3": b"SQLite format 3\0",
    b".gif": b"GIF89a",
    b".parquet": b"PAR1",
    b".jpeg": b"\xff\xd8\xff",
    b".jpg": b"\xff\xd8\xff",
    b".png": b"\x89PNG\r\n\x1a\n",
    b".hdf5": b"\x89HDF\r\n\x1a\n",
}
"""First bytes of files whose name says nothing."""

OTHERWISE = {b"**/mlruns/**"}
"""What is told by more than a name and first bytes."""


def _patterns() -> list[bytes]:
    lines = (line.split() for line in DEFAULT_ATTRIBUTES.splitlines())
    return [words[0] for words in lines if words and not words[0].startswith((b"#", b"[attr]"))]


def _merge_of(path: bytes) -> object:
    files = {b".gitattributes": DEFAULT_ATTRIBUTES}
    return Attributes(files.get).lookup(path, ["merge"]).get("merge")


@pytest.mark.parametrize("pattern", _patterns())
def test_each_line_names_a_driver_that_fits(pattern: bytes) -> None:
    """The driver exists, and is the one that mlbfs would choose for such a file by itself."""
    path = pattern.replace(b"**", b"x").replace(b"*", b"x")
    value = _merge_of(path)
    assert isinstance(value, str)
    assert load_driver(value).name == value
    if pattern not in OTHERWISE:
        assert default_driver(
            path, FRONTS.get(PurePosixPath(path.decode()).suffix.encode(), b"{")
        ) == {"auto": "sqlite"}.get(value, value)


def test_other_files_are_left_to_their_kind() -> None:
    """Code and documents have no line: merging by lines is what everyone does without one."""
    assert [_merge_of(path) for path in (b"train.py", b"README.md", b"a.bin", b"x.npy")] == [
        None
    ] * 4


def test_runs_of_mlflow_are_found_in_every_folder() -> None:
    """At the root and below."""
    paths = (b"mlruns/0/abc/metrics/loss", b"lab/mlruns/0/abc/metrics/val/loss")
    assert [_merge_of(path) for path in paths] == ["mlflow", "mlflow"]
