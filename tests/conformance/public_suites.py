"""Runs public test-suites on a mount and on ext4: what passes there must pass here.

    python tests/conformance/public_suites.py [--quick] [--folder FOLDER]

- **CPython's own tests** of files, paths, archives, databases and maps, about 5,000 of them; they
  come with the Python that runs this (Debian: libpython3-testsuite). Each must end as on ext4.
- **stress-ng**'s file system stressors, which verify what they read, if it is installed.

FOLDER lies on ext4; by default it is made where temporary files go.
"""

# ruff: noqa: SIM905 - these are tables of words
from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import TYPE_CHECKING

from mlbfs.mount.session import mounted
from mlbfs.workspace.testing import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator

QUICK = "test_shutil test_fileio test_mmap test_stat test_tempfile test_glob".split()

PYTHON_TESTS = """
    test_os test_posix test_posixpath test_genericpath test_pathlib test_shutil test_glob
    test_tempfile test_stat test_mmap test_fcntl test_largefile test_tarfile test_zipfile
    test_zipimport test_gzip test_bz2 test_lzma test_dbm test_dbm_dumb test_shelve test_mailbox
    test_fileio test_io test_file test_fileinput test_filecmp test_linecache test_import
    test_py_compile test_compileall test_sqlite3 test_logging test_unicode_file
    test_unicode_file_functions test_pkg test_runpy test_eintr test_sendfile test_netrc
""".split()

STRESSORS = """
    access chdir chmod chown copy-file dentry dir dirdeep dirmany dup fallocate fcntl fiemap
    filename flock fsize fstat getdent hdd inotify io iomix lease link locka lockf lockofd mknod
    open rename seek sendfile symlink sync-file touch utime xattr mmapfork sigio readahead
""".split()

TRUSTED = {"test_copy2_xattr", "test_copyxattr", "test_copyxattr_symlinks"}
"""Skipped on a mount: they want attributes in `trusted.`, which are not kept (S60)."""


def run_python_tests(folder: Path, names: list[str]) -> dict[str, str]:
    """Returns how each test ended, by its name."""
    report = folder.with_name(f"{folder.name}.xml")
    words = [sys.executable, "-m", "test", "--tempdir", folder, "--junit-xml", report, *names]
    environment = os.environ | {"TMPDIR": os.fspath(folder)}
    subprocess.run(words, env=environment, stdout=subprocess.DEVNULL, check=False)
    ended = {}
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = [kind for kind in ("failure", "error", "skipped") if case.find(kind) is not None]
        ended[str(case.get("name"))] = kinds[0] if kinds else "passed"
    return ended


def run_stressor(folder: Path, name: str) -> int:
    """Returns the exit code of one stressor: 0 passed, 2 failed, 3 and 4 not possible here."""
    words = ["stress-ng", "--temp-path", folder, "--verify", "--timeout", "2", f"--{name}", "1"]
    return subprocess.run(words, capture_output=True, check=False).returncode


def compare_python_tests(places: tuple[Path, Path], names: list[str]) -> list[str]:
    ours, theirs = (run_python_tests(place, names) for place in places)
    sys.stdout.write(f"CPython: {len(ours)} tests on the mount, {len(theirs)} on ext4\n")
    assert ours.keys() == theirs.keys(), "both ran the same tests"
    return [
        f"{name}: {ours[name]} on the mount, {ended} on ext4"
        for name, ended in theirs.items()
        if ended != ours[name] and name.rpartition(".")[2] not in TRUSTED
    ]


def compare_stressors(places: tuple[Path, Path]) -> list[str]:
    if shutil.which("stress-ng") is None:
        sys.stdout.write("stress-ng: not installed, left out\n")
        return []
    found = []
    for name in STRESSORS:
        ours, theirs = (run_stressor(place, name) for place in places)
        if ours != theirs:
            found.append(f"stress-ng {name}: {ours} on the mount, {theirs} on ext4")
    sys.stdout.write(f"stress-ng: {len(STRESSORS)} stressors\n")
    return found


@contextlib.contextmanager
def two_places(base: Path) -> Iterator[tuple[Path, Path]]:
    """Yields a folder in a mount and one beside it."""
    bench = Bench(base / "repository")
    bench.commit({b"readme": b"text\n"})
    git_dir = bench.git.common_dir
    bench.close()
    with mounted(git_dir, "main") as mount:
        plain = base / "plain"
        places = (mount / "suites", plain / "suites")
        for place in places:
            place.mkdir(parents=True)
        yield places


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="some tests of CPython only")
    parser.add_argument("--folder", type=Path, help="where to work, on ext4")
    options = parser.parse_args()
    if importlib.util.find_spec("test.test_os") is None:
        sys.stderr.write("this Python comes without its tests: apt install libpython3-testsuite\n")
        return 1
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as base,
        two_places(Path(base)) as places,
    ):
        found = compare_python_tests(places, QUICK if options.quick else PYTHON_TESTS)
        if not options.quick:
            found += compare_stressors(places)
    sys.stdout.write("".join(f"{line}\n" for line in found) or "all as on ext4\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
