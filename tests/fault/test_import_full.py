"""A device that fills up during an import: what the import took is given back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = Path(__file__).with_name("import_full_child.py")


@pytest.mark.slow
def test_an_import_without_room_takes_none(tmp_path):
    """Wherever it meets the end of the device, the error says so and all it took is given back."""
    (tmp_path / "device").mkdir()
    (tmp_path / "source").mkdir()
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    places = [tmp_path / "device", tmp_path / "source"]
    done = subprocess.run(
        ["unshare", "--mount", *user, sys.executable, CHILD, *places],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith("all is well\n"), done.stderr
