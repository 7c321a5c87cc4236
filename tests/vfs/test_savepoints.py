"""Savepoints: what they hold, what they leave alone, when they give way, how long they live."""

from __future__ import annotations

import threading

import pytest

from mlbfs.errors import MlbfsError, NotFoundError, StoreFullError
from mlbfs.git.roots import iter_roots
from mlbfs.store.writer import StoreWriter
from mlbfs.workspace import content, savepoints
from mlbfs.workspace.diff import ChangeKind
from mlbfs.workspace.garbage import collect_garbage
from mlbfs.workspace.recording import GaveWayError
from mlbfs.workspace.savepoints import (
    PREFIX,
    find_savepoint,
    list_savepoints,
    remove_savepoints,
)
from mlbfs.workspace.testing import SIGNATURE, Paths, file

NOISE = bytes(range(256)) * 64


def changes(workspace):
    return {change.path: change.kind for change in workspace.status().changes}


def during(monkeypatch, action, record):
    """Runs an action in another thread once files are being stored for `record`."""
    begin = StoreWriter.ingest
    threads = []

    def ingest(self, *args, **kwargs):
        thread = threading.Thread(target=action)
        threads.append(thread)
        thread.start()
        thread.join(60)
        assert not thread.is_alive(), "nothing waits for a savepoint"
        return begin(self, *args, **kwargs)

    monkeypatch.setattr(StoreWriter, "ingest", ingest)
    try:
        return record()
    finally:
        monkeypatch.undo()
        assert threads


def test_a_savepoint_holds_the_changes_and_moves_nothing(bench, paths):
    """Branch, base and changes stay; without new changes there is no new one."""
    workspace, head = paths.workspace, bench.head()
    assert workspace.savepoint() is None
    paths.write(b"a", 0, b"TEXT")
    paths.unlink(b"d/one")
    paths.create(b"new", NOISE)
    before = changes(workspace)
    made = workspace.savepoint()
    held = bench.committed(made.commit)
    assert (held[b"a"].data, held[b"new"].data) == (b"TEXT of a\n", NOISE)
    assert b"d/one" not in held
    assert made.commit.parents == (head.id,)
    assert (bench.head(), workspace.base) == (head, head)
    assert changes(workspace) == before
    assert not workspace.needs_savepoint
    assert workspace.savepoint().number == made.number == 1
    paths.write(b"a", 0, b"MORE")
    assert workspace.needs_savepoint
    assert workspace.savepoint().number == 2
    assert [point.number for point in list_savepoints(bench.git, "main")] == [2, 1]


def test_what_a_savepoint_stored_is_not_read_again_by_the_commit(bench, paths, monkeypatch):
    """Not even by the savepoint after a commit of something else."""
    paths.create(b"new", NOISE)
    paths.write(b"big", 9, b"nine")
    paths.workspace.savepoint()
    asked = []
    begin = StoreWriter.ingest
    monkeypatch.setattr(
        StoreWriter,
        "ingest",
        lambda self, sources, **options: begin(
            self, asked.extend(s := list(sources)) or s, **options
        ),
    )

    def refuse(*args, **kwargs):
        raise AssertionError("the large file is stored already")

    monkeypatch.setattr(StoreWriter, "put_stream", refuse)
    paths.create(b"other", b"\0other")
    paths.workspace.commit("some", author=SIGNATURE, paths=[b"other"])
    assert [source.size for source in asked] == [6]
    paths.workspace.savepoint()
    paths.workspace.commit("the rest", author=SIGNATURE)
    assert [source.size for source in asked] == [6]
    held = bench.committed(bench.head())
    assert (held[b"new"].data, held[b"big"].data[9:13]) == (NOISE, b"nine")


def test_a_write_after_a_savepoint_is_seen(bench, paths):
    """In place, by truncation, and through a file that was stored but not changed since."""
    for name in (b"x", b"y", b"z"):
        paths.create(name, NOISE)
    paths.workspace.savepoint()
    paths.chmod(b"x", 0o755)
    paths.write(b"x", 3, b"three")
    paths.truncate(b"y", 100)
    paths.workspace.commit("all", author=SIGNATURE)
    held = bench.committed(bench.head())
    assert held[b"x"] == file(NOISE[:3] + b"three" + NOISE[8:], executable=True)
    assert (held[b"y"].data, held[b"z"].data) == (NOISE[:100], NOISE)


def test_writers_and_readers_do_not_wait(bench, paths, monkeypatch):
    """Small files are copied: the savepoint is of one moment, and later writes stay changes."""
    paths.create(b"log", b"first\n")

    def meanwhile():
        paths.write(b"log", 6, b"second\n")
        paths.create(b"late", b"late\n")
        assert paths.read(b"log") == b"first\nsecond\n"

    made = during(monkeypatch, meanwhile, lambda: paths.workspace.savepoint(gives_way=True))
    held = bench.committed(made.commit)
    assert held[b"log"].data == b"first\n"
    assert b"late" not in held
    assert paths.workspace.needs_savepoint
    paths.workspace.commit("all", author=SIGNATURE)
    assert bench.committed(bench.head())[b"log"].data == b"first\nsecond\n"


def test_a_savepoint_gives_way_to_a_write_to_a_large_file(bench, paths, monkeypatch):
    """It comes to nothing instead of letting the program wait, and the write is kept."""
    monkeypatch.setattr(content, "FROZEN_COPY_LIMIT", 4096)
    paths.create(b"large", NOISE)
    write = lambda: paths.write(b"large", 0, b"now")  # noqa: E731
    with pytest.raises(GaveWayError):
        during(monkeypatch, write, lambda: paths.workspace.savepoint(gives_way=True))
    assert list_savepoints(bench.git, "main") == []
    assert paths.workspace.needs_savepoint
    assert paths.read(b"large")[:4] == b"now\3"
    held = bench.committed(paths.workspace.savepoint().commit)
    assert held[b"large"].data[:4] == b"now\3"


def test_a_savepoint_takes_no_more_than_half_of_the_room(bench, paths, monkeypatch):
    """When the device is nearly full, programs have what is left."""
    paths.create(b"new", NOISE)
    room = __import__("os").statvfs(bench.git.common_dir)

    class Little:
        f_bavail, f_frsize = len(NOISE) * 2 - 1, 1

    monkeypatch.setattr("mlbfs.workspace.savepoints.os.statvfs", lambda _: Little)
    with pytest.raises(StoreFullError):
        paths.workspace.savepoint(gives_way=True)
    monkeypatch.setattr("mlbfs.workspace.savepoints.os.statvfs", lambda _: room)
    assert paths.workspace.savepoint(gives_way=True).number == 1


def test_only_as_many_and_as_old_ones_as_configured_are_kept(bench, paths):
    """By number and by age; the last one always stays."""
    config = bench.git.common_dir / "config"
    with config.open("a") as file:
        file.write("[mlbfs]\nsavepointKeep = 2\n")
    for text in (b"1", b"2", b"3", b"4"):
        paths.write(b"a", 0, text)
        paths.workspace.savepoint()
    assert [point.number for point in list_savepoints(bench.git, "main")] == [4, 3]
    remove_savepoints(bench.git, "main")
    assert list_savepoints(bench.git, "main") == []


def test_they_are_found_by_number_and_by_id(bench, paths):
    """Anything else is refused by name."""
    paths.write(b"a", 0, b"1")
    made = paths.workspace.savepoint()
    found = list_savepoints(bench.git, "main")
    assert find_savepoint(found, "1") == made
    assert find_savepoint(found, made.commit.id.hex()[:8]) == made
    for text in ("2", "zzzz", "main", ""):
        with pytest.raises(NotFoundError):
            find_savepoint(found, text)


def test_gc_keeps_what_savepoints_hold(bench, paths):
    """Also when the branch has something else by then, and gives it back with them."""
    paths.create(b"new", NOISE * 9)
    made = paths.workspace.savepoint()
    paths.unlink(b"new")
    assert any(root.name == f"{PREFIX}main/1" for root in iter_roots(bench.git))
    paths.workspace.close()
    result = collect_garbage(
        bench.source, bench.store.root, mounted=None, repack=False, dry_run=False
    )
    assert result.missing_files == 0
    assert bench.committed(made.commit)[b"new"].data == NOISE * 9


def test_content_that_went_with_its_savepoint_is_stored_again(bench, paths):
    """A file that no later savepoint could take still commits with its bytes."""
    paths.create(b"new", NOISE * 9)
    paths.workspace.savepoint()
    paths.mkdir(b".git")
    paths.rename(b"new", b".git/hidden")
    remove_savepoints(bench.git, "main")
    paths.workspace.close()
    collect_garbage(bench.source, bench.store.root, mounted=None, repack=False, dry_run=False)
    with bench.open() as again:
        Paths(again).rename(b".git/hidden", b"new")
        again.commit("all", author=SIGNATURE)
    assert bench.committed(bench.head())[b"new"].data == NOISE * 9


def test_a_failed_savepoint_changes_nothing(bench, paths, monkeypatch):
    """The device refuses in the middle; the work goes on and the next one holds it."""
    paths.create(b"new", NOISE)

    def fail(*args, **kwargs):
        raise StoreFullError("no room")

    monkeypatch.setattr(StoreWriter, "ingest", fail)
    with pytest.raises(MlbfsError):
        paths.workspace.savepoint()
    monkeypatch.undo()
    paths.write(b"new", 0, b"more")
    assert changes(paths.workspace) == {b"new": ChangeKind.ADDED}
    assert bench.committed(paths.workspace.savepoint().commit)[b"new"].data[:4] == b"more"


def test_one_that_takes_too_long_comes_to_nothing(bench, paths, monkeypatch):
    """A hole of a terabyte would keep `umount` waiting; the work is in the workspace anyway."""
    monkeypatch.setattr(savepoints, "PATIENCE", 0.3)
    paths.create(b"disk.img")
    paths.truncate(b"disk.img", 1 << 40)
    with pytest.raises(GaveWayError, match=r"longer than 0\.3 seconds"):
        paths.workspace.savepoint(gives_way=True)
    assert savepoints.list_savepoints(bench.git, paths.workspace.name) == []
    assert paths.workspace.needs_savepoint
    assert paths.stat(b"disk.img").size == 1 << 40
