"""Ignore rules against `git check-ignore`, on the same tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mlbfs.git.ignore import Ignore
from mlbfs.git.repository import GitRepository

pytestmark = [pytest.mark.git, pytest.mark.slow]

TREE = [
    *("a", "b.o", "c d", "#x", "!y", "foo", "foo ", "build/x", "build/keep", "build/sub/x.o"),
    *("src/a", "src/b.o", "src/build/out", "src/deep/er/foo", "src/deep/a", "doc/foo/bar"),
    *("doc/a.o", "doc/[x]", "doc/\\b", ".hidden", "e/f/g/h", "e/f/a", "e/x.txt"),
]
FOLDERS = sorted({str(above) for path in TREE for above in Path(path).parents} - {"."})

PIECES = st.sampled_from(
    [
        *("*", "**", "?", "/", "/", "a", "foo", "build", "src", "doc", "e", "f", "x", ".o"),
        *("*.o", "[ab]", "[!a]", "\\", "\\ ", " ", "!", "#", "deep", "[", "]", "\t", "bar", "sub"),
    ]
)
LINES = st.lists(PIECES, min_size=1, max_size=5).map("".join)
FILES = st.lists(LINES, max_size=5).map("\n".join)


def make_tree(root: Path, rules: dict[str, str]) -> None:
    for path in TREE:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    for path, text in rules.items():
        (root / path).write_text(text)


def git_says(root: Path) -> set[bytes]:
    paths = [os.fsencode(path) for path in (*TREE, *FOLDERS)]
    done = subprocess.run(
        ["git", "-C", root, "check-ignore", "--no-index", "--stdin", "-z"],
        input=b"\0".join(paths) + b"\0",
        capture_output=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return set(done.stdout.split(b"\0")) - {b""}


def we_say(rules: Ignore) -> set[bytes]:
    files = {os.fsencode(p) for p in TREE if rules.is_ignored(os.fsencode(p), is_folder=False)}
    return files | {
        os.fsencode(p) for p in FOLDERS if rules.is_ignored(os.fsencode(p), is_folder=True)
    }


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ignore") / "tree"
    subprocess.run(["git", "init", "-q", root], check=True)
    make_tree(root, {})
    return root


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(top=FILES, below=FILES, deep=FILES, info=FILES)
@example(top="build/\n!build/keep\n", below="", deep="", info="")
@example(top="*.o\n!src/b.o\n", below="*\n!a\n", deep="foo\n", info="a\n")
@example(top="/a\nsrc/**/foo\n**/sub\ndoc/**\n!doc/foo/\n", below="", deep="", info="")
@example(top="foo\\ \nfoo \n\\#x\n\\!y\nc d  \n", below="", deep="", info="")
@example(top="doc/\\[x]\ndoc/\\\\b\n[\na[", below="", deep="", info="")
@example(top="\ufeff*\n!*/\n!*.o\r\n", below="", deep="", info="")
@example(top="!\n/\n//\n!/\n \n\\\n", below="a/\ndeep/a/", deep="", info="")
def test_the_same_paths_are_ignored(work: Path, top: str, below: str, deep: str, info: str) -> None:
    """For every file and folder, with rules of the root, of folders and of `info/exclude`."""
    rules = {".gitignore": top, "src/.gitignore": below, "src/deep/.gitignore": deep}
    make_tree(work, rules | {".git/info/exclude": info})

    def read(path: bytes) -> bytes | None:
        place = work / os.fsdecode(path)
        return place.read_bytes() if place.is_file() else None

    assert we_say(Ignore(read, info=info.encode())) == git_says(work)


def test_the_rules_of_the_user_count(tmp_path: Path, work: Path) -> None:
    """`core.excludesFile` is the weakest source, as in Git."""
    root = tmp_path / "tree"
    shutil.copytree(work, root)
    make_tree(root, {".gitignore": "!a\n", ".git/info/exclude": "!src/b.o\n"})
    excludes = tmp_path / "excludes"
    excludes.write_text("a\n*.o\n")
    subprocess.run(["git", "-C", root, "config", "core.excludesFile", excludes], check=True)

    def read(path: bytes) -> bytes | None:
        return b"!a\n" if path == b".gitignore" else None

    for path in ("src/.gitignore", "src/deep/.gitignore"):
        (root / path).unlink(missing_ok=True)
    with GitRepository.open(root) as git:
        found = we_say(git.ignore_of(read))
    assert found == git_says(root)
    assert b"b.o" in found
    assert b"a" not in found


def test_a_status_and_a_commit_take_what_git_takes(tmp_path: Path) -> None:
    """The same tree in a work tree of Git: `git status` names the same new files."""
    from mlbfs.workspace.testing import SIGNATURE, Bench, Paths

    rules = {".gitignore": "*.o\nbuild/\n!src/b.o\nfoo\n", "src/.gitignore": "deep/a\n"}
    root = Path(tempfile.mkdtemp(dir=tmp_path))
    subprocess.run(["git", "init", "-q", root], check=True)
    make_tree(root, rules)
    status = subprocess.run(
        ["git", "-C", root, "status", "--porcelain", "-z", "-uall"], check=True, capture_output=True
    )
    wanted = {line[3:] for line in status.stdout.split(b"\0") if line}
    bench = Bench(tmp_path / "repository")
    bench.commit({b"first": b"1\n"})
    with bench.open() as workspace:
        paths = Paths(workspace)
        for folder in FOLDERS:
            paths.mkdir(os.fsencode(folder))
        for path in (*TREE, *rules):
            paths.create(os.fsencode(path), rules.get(path, "").encode())
        assert {change.path for change in workspace.status().changes} == wanted
        workspace.commit("all", author=SIGNATURE)
        assert bench.committed(bench.head()).keys() - {b"first"} == wanted
    bench.close()
