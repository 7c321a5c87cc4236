"""A mount answers as ext4 does: thousands of cases, played on both, must come out alike.

The full run takes some minutes: `make conformance`. Otherwise every so manieth case is played.
What may differ stands in exceptions.py, with its reason.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from compare import Result, compare
from exceptions import EXCEPTIONS

pytestmark = [pytest.mark.fuse, pytest.mark.slow]

PLAY = Path(__file__).with_name("play.py")
IS_FULL = os.environ.get("MLBFS_CONFORMANCE") == "full"
IS_ROOT = os.geteuid() == 0
COMMITTED = 9000 if IS_FULL else 60
NOBODY = 65534


def every(number: int) -> list[str]:
    """Returns the option that leaves cases out; a prime, so that no kind of case is left out."""
    return [] if IS_FULL else ["--every", str(number)]


def play_both(mount: Path, ext4: Path, *options: str, ours: str = "", theirs: str = "") -> Result:
    """Plays the same cases in both folders at the same time."""
    with tempfile.TemporaryFile("w+") as our_trace, tempfile.TemporaryFile("w+") as their_trace:
        players = [
            subprocess.Popen(
                [sys.executable, PLAY, folder, *options, *filter(None, [own])], stdout=trace
            )
            for folder, own, trace in ((mount, ours, our_trace), (ext4, theirs, their_trace))
        ]
        assert [player.wait() for player in players] == [0, 0]
        our_trace.seek(0)
        their_trace.seek(0)
        return compare(our_trace, their_trace)


def check(result: Result) -> None:
    assert result.differences == [], "\n".join(result.differences)
    assert result.count > 40


@pytest.mark.timeout(3600)
def test_new_files(mount: Path, ext4: Path, tmp_path: Path) -> None:
    """What was made in the mount is as on ext4 (S1, S2, S3, S9, S10, S34, S40).

    The full run plays each exception, and finds one that is not needed any more
    (S35, S61, S70, S71).
    """
    for place in (mount / "new", ext4 / "new"):
        place.mkdir()
    result = play_both(mount / "new", ext4 / "new", *every(101))
    check(result)
    if IS_FULL and IS_ROOT:
        assert {exception.name for exception in EXCEPTIONS} - result.used == set()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mount", [COMMITTED], indirect=True)
def test_committed_files(mount: Path, ext4: Path) -> None:
    """What came with the commit is as on ext4 too (S1), whichever call touches it first."""
    (ext4 / "committed").mkdir()
    where = (mount / "committed", ext4 / "committed")
    check(play_both(*where, *every(307), ours="--ready-made", theirs="--commit-times"))


@pytest.mark.timeout(3600)
@pytest.mark.skipif(not IS_ROOT, reason="the other tests have played as an ordinary user")
def test_an_ordinary_user(mount: Path, ext4: Path) -> None:
    """An ordinary user is refused what ext4 refuses (S1, S2)."""
    for place in (mount / "theirs", ext4 / "theirs"):
        place.mkdir()
    options = ["--uid", str(NOBODY), *every(211)]
    check(play_both(mount / "theirs", ext4 / "theirs", *options))


@pytest.mark.timeout(3600)
@pytest.mark.skipif(importlib.util.find_spec("test.test_os") is None, reason="no CPython tests")
def test_public_suites(ext4: Path) -> None:
    """CPython's own tests of files end as on ext4; the full run adds many more, and stress-ng."""
    quick = [] if IS_FULL else ["--quick"]
    words = [sys.executable, PLAY.with_name("public_suites.py"), "--folder", ext4, *quick]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
