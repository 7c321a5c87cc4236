"""A device that is full below a mount: nothing that was written is lost, and room can be made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = Path(__file__).with_name("full_child.py")


@pytest.mark.slow
@pytest.mark.fuse
def test_a_full_device_keeps_what_it_has_and_lets_go(tmp_path):
    """Writes are refused, the rest is read; removing and shortening works, also after a remount.

    The promise of a mount (S25).
    """
    (tmp_path / "device").mkdir()
    (tmp_path / "mnt").mkdir()
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    done = subprocess.run(
        ["unshare", "--mount", *user, sys.executable, CHILD, tmp_path / "device", tmp_path / "mnt"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith("all is well\n"), done.stderr
