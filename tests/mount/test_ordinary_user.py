"""What root may do proves nothing: the main path as a user without rights."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = Path(__file__).with_name("user_child.py")


@pytest.mark.slow
@pytest.mark.fuse
def test_a_user_without_rights(tmp_path: Path) -> None:
    """From `init` to a tag that is mounted, with a crash between; run by root, as nobody."""
    words = [sys.executable, CHILD, tmp_path]
    if os.geteuid() == 0:
        words = ["unshare", "--mount", "--propagation", "private", *words]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout.endswith("all is well\n"), done.stderr
