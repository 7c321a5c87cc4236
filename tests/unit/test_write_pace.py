"""When writes are made on the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlbfs.mount import write_pace
from mlbfs.mount.write_pace import WritePace

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that the test sets."""
    now = [1000.0]
    monkeypatch.setattr(write_pace.time, "monotonic", lambda: now[0])
    return now


def vmstat(path: Path, dirty: int, writeback: int = 0) -> Path:
    """Writes a table of the kernel with limits of 1,000 and 2,000 pages."""
    path.write_text(
        f"nr_free_pages 5\nnr_dirty {dirty}\nnr_writeback {writeback}\n"
        "nr_dirty_threshold 2000\nnr_dirty_background_threshold 1000\n"
    )
    return path


@pytest.mark.parametrize(
    ("dirty", "writeback", "free"),
    [(0, 0, True), (1249, 0, True), (1250, 0, False), (9, 1300, False)],
)
def test_free_below_the_place_where_writers_wait(
    tmp_path: Path, clock: list[float], dirty: int, writeback: int, free: bool
) -> None:
    """Half-way between the limits the kernel lets writers sleep; a quarter is kept clear of it."""
    assert WritePace(vmstat(tmp_path / "vmstat", dirty, writeback)).is_free() is free


def test_looks_again_only_after_a_while(tmp_path: Path, clock: list[float]) -> None:
    """A look costs as much as a write."""
    table = vmstat(tmp_path / "vmstat", 0)
    pace = WritePace(table)
    assert pace.is_free()
    vmstat(table, 5000)
    assert pace.is_free()
    clock[0] += write_pace.LOOK_EVERY
    assert not pace.is_free()


def test_one_that_waited_ends_it_for_a_while(tmp_path: Path, clock: list[float]) -> None:
    """A container's own limit shows only in how long a write takes."""
    pace = WritePace(vmstat(tmp_path / "vmstat", 0))
    assert pace.is_free()
    pace.note(write_pace.LONG / 2)
    assert pace.is_free()
    pace.note(write_pace.LONG * 2)
    assert not pace.is_free()
    clock[0] += write_pace.PAUSE
    assert pace.is_free()


@pytest.mark.parametrize("text", ["", "nr_dirty many\n", "no table"])
def test_what_cannot_be_read_means_no(tmp_path: Path, clock: list[float], text: str) -> None:
    """Without the kernel's table every write goes to a thread."""
    (tmp_path / "vmstat").write_text(text)
    assert not WritePace(tmp_path / "vmstat").is_free()
    assert not WritePace(tmp_path / "missing").is_free()
