"""Several threads at work on one workspace, commits among them."""

from __future__ import annotations

import random
import threading

import pytest

from mlbfs.store.writer import StoreWriter
from mlbfs.workspace import content
from mlbfs.workspace.commit import NothingToCommitError
from mlbfs.workspace.testing import SIGNATURE, Paths
from mlbfs.workspace.vfs_errors import VfsError


def run_all(actions):
    """Runs each action in a thread of its own; raises what any of them raised."""
    failures = []

    def guarded(action):
        try:
            action()
        except BaseException as err:
            failures.append(err)

    threads = [threading.Thread(target=guarded, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "no operation hangs"
    if failures:
        raise failures[0]


@pytest.mark.slow
def test_threads_with_folders_of_their_own_see_what_they_wrote(bench, paths):
    """While commits run and names are listed; the last commit has it all."""
    wanted = {}
    commits = []

    def worker(number):
        chance = random.Random(number)
        top = b"w%d" % number
        paths.mkdir(top)
        mine = {}
        for step in range(120):
            path = top + b"/%d" % chance.randrange(12)
            kind = chance.randrange(5)
            if path not in mine:
                mine[path] = chance.randbytes(chance.choice([0, 10, 9000]))
                paths.create(path, mine[path])
            elif kind == 0:
                paths.unlink(path)
                del mine[path]
            elif kind == 1:
                other = top + b"/moved-%d" % step
                paths.rename(path, other)
                mine[other] = mine.pop(path)
            else:
                offset = chance.randrange(len(mine[path]) + 1)
                piece = chance.randbytes(100)
                paths.write(path, offset, piece)
                old = mine[path]
                mine[path] = old[:offset] + piece + old[offset + 100 :]
            if path in mine:
                assert paths.read(path) == mine[path]
        wanted.update(mine)

    def committer():
        for _ in range(8):
            try:
                commits.append(paths.workspace.commit("some", author=SIGNATURE).commit)
            except NothingToCommitError:
                continue

    def lister():
        for _ in range(60):
            names = [item.name for item in paths.workspace.readdir(1)]
            assert len(names) == len(set(names))

    run_all([*(lambda n=n: worker(n) for n in range(4)), committer, lister])
    for path, data in wanted.items():
        assert paths.read(path) == data
    if not paths.workspace.status().is_clean:
        commits.append(paths.workspace.commit("rest", author=SIGNATURE).commit)
    held = bench.committed(bench.head())
    assert {path: held[path].data for path in wanted} == wanted
    assert bench.head() == commits[-1]
    for commit in commits:
        bench.committed(commit)


def test_appends_to_one_file_from_several_threads_all_arrive(paths):
    """Each at its own offset, as the kernel hands them out."""
    ino = paths.create(b"log")

    def append(number):
        for step in range(50):
            paths.workspace.write(ino, (step * 4 + number) * 8, b"%08d" % (step * 4 + number))

    run_all([lambda n=n: append(n) for n in range(4)])
    assert paths.read(b"log") == b"".join(b"%08d" % number for number in range(200))


def test_a_write_to_a_large_file_waits_until_the_commit_has_read_it(bench, paths, monkeypatch):
    """It is too large to copy; the write comes through once the file is stored."""
    monkeypatch.setattr(content, "FROZEN_COPY_LIMIT", 1000)
    paths.create(b"large", bytes(10_000))
    begin, waiting = StoreWriter.ingest, threading.Event()
    writer = threading.Thread(target=lambda: paths.write(b"large", 0, b"later"))
    wait = content.Content._wait_thawable

    def wait_thawable(self, ino):
        if threading.current_thread() is writer:
            waiting.set()
        wait(self, ino)

    def ingest(self, *args, **kwargs):
        writer.start()
        assert waiting.wait(60)
        return begin(self, *args, **kwargs)

    monkeypatch.setattr(content.Content, "_wait_thawable", wait_thawable)
    monkeypatch.setattr(StoreWriter, "ingest", ingest)
    paths.workspace.commit("large", author=SIGNATURE)
    writer.join(60)
    assert bench.committed(bench.head())[b"large"].data == bytes(10_000)
    assert paths.read(b"large") == b"later" + bytes(9995)
    assert [change.path for change in paths.workspace.status().changes] == [b"large"]


def test_readers_of_a_file_that_is_removed_get_bytes_or_an_answer(paths):
    """Never an error of another kind."""
    ino = paths.create(b"x", b"x" * 4000)
    done = threading.Event()

    def reader():
        while not done.is_set():
            try:
                data = paths.workspace.read(ino, 0, 4000)
            except VfsError:
                return
            assert data in (b"x" * 4000, b"")

    def remover():
        for _ in range(30):
            paths.truncate(b"x", 0)
            paths.write(b"x", 0, b"x" * 4000)
        paths.unlink(b"x")
        done.set()

    run_all([reader, reader, remover])


def test_two_commits_at_once_are_one_after_the_other(bench, paths):
    """The second finds nothing, or what came in between."""
    paths.create(b"x", b"x")
    outcomes = []

    def commit():
        try:
            outcomes.append(paths.workspace.commit("x", author=SIGNATURE).added)
        except NothingToCommitError:
            outcomes.append(0)

    run_all([commit, commit])
    assert sorted(outcomes) == [0, 1]
    assert Paths(paths.workspace).read(b"x") == b"x"
