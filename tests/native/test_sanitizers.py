"""The kernels under AddressSanitizer and UndefinedBehaviorSanitizer, over the fuzz corpus."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"

pytestmark = [pytest.mark.native, pytest.mark.slow]


def cmake() -> str:
    """Returns the CMake of this environment, or the one on PATH."""
    places = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    found = shutil.which("cmake", path=places)
    assert found is not None, "the sanitizer build needs cmake (extra: test)"
    return found


def run(*arguments: str | Path, cwd: Path = ROOT) -> str:
    """Runs a program and returns its output; a failure shows all it wrote."""
    done = subprocess.run(
        arguments, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def programs(tmp_path_factory) -> Path:
    """Builds the replay programs with both sanitizers and warnings as errors."""
    build = tmp_path_factory.mktemp("sanitize")
    run(cmake(), "--preset", "sanitize", "-B", build, cwd=ROOT / "native")
    run(cmake(), "--build", build, "--parallel", "2")
    return build / "tests"


@pytest.mark.parametrize("target", ["record", "chunker", "sha256"])
def test_the_corpus_replays_clean(programs, target):
    """No input of the corpus, nor its prefixes and mutations, trips a sanitizer or a check."""
    count = len(list((CORPUS / target).iterdir()))
    assert f"{count} inputs\n" == run(programs / f"fuzz_{target}", CORPUS / target)


def test_file_kernels_are_clean(programs, tmp_path):
    """Reading files and records makes no bad access."""
    run(programs / "check_files", tmp_path)
