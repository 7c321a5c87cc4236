"""What fsync or a commit returned from is there after a power cut of a real device.

The number of rounds is `MLBFS_POWER_ROUNDS`; `tests/fault/power.py` says how a round works.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROUNDS = os.environ.get("MLBFS_POWER_ROUNDS", "8")
SCRIPT = Path(__file__).with_name("power.py")

CAN_CUT = os.geteuid() == 0 and Path("/dev/loop-control").exists() and shutil.which("mkfs.ext4")


@pytest.mark.slow
@pytest.mark.git
@pytest.mark.timeout(0)
@pytest.mark.skipif(not CAN_CUT, reason="needs root and loop devices; test_power_order.py does not")
def test_nothing_durable_is_lost_with_the_power(tmp_path):
    """Over rounds of random operations, each ended by a shutdown of the file system below."""
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, SCRIPT, "--rounds", ROUNDS],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{ROUNDS} power cuts from seed 1: nothing lost\n"
