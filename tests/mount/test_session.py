"""Mounting and unmounting: what is refused, what is reported, what a crash leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlbfs.errors import (
    AlreadyExistsError,
    ConflictError,
    ErrorKind,
    InvalidInputError,
    NotFoundError,
    ReadOnlyError,
)
from mlbfs.mount import session
from mlbfs.mount.control import ControlError
from mlbfs.mount.live import find_mount, request, wait_for_end
from mlbfs.mount.mountinfo import mount_at, read_mountinfo
from mlbfs.mount.registry import find_mounts, run_directory

pytestmark = [pytest.mark.fuse, pytest.mark.slow]  # each test has its own mount


def is_mounted(path: Path) -> bool:
    return mount_at(read_mountinfo(), path) is not None


def test_mounted_context_manager(builder) -> None:
    """A mount for the length of a block, in a folder made for it."""
    with session.mounted(builder.git_dir, "v1") as folder:
        assert (folder / "hello.txt").read_bytes() == b"hello\n"
    assert not folder.exists()
    assert find_mounts(run_directory(builder.git_dir)) == []


def test_block_that_leaves_a_file_open(builder) -> None:
    """The mount is gone after the block; what is still open reads on."""
    with session.mounted(builder.git_dir, "v1") as folder:
        file = open(folder / "binary", "rb", buffering=0)  # noqa: SIM115
        (live,) = session.list_mounts(builder.git_dir)
    assert not folder.exists()
    with file:
        assert file.read(256) == bytes(range(256))
    wait_for_end(live.record)


def test_work_is_kept_between_mounts(mounts) -> None:
    """Unmounting with unsaved work says how much there is, and the next mount has it."""
    place = mounts.mount("main")
    (place / "new").write_bytes(b"unsaved")
    (place / "hello.txt").unlink()
    done = session.unmount(place)
    assert (done.unsaved, done.was_stale) == (2, False)
    place = mounts.mount("main")
    assert (place / "new").read_bytes() == b"unsaved"
    assert not (place / "hello.txt").exists()


def test_killed_daemon(mounts) -> None:
    """After a kill the next mount cleans up and has everything that was written and closed."""
    place = mounts.mount("main")
    (place / "new").write_bytes(b"written")
    mounts.kill(place)
    with pytest.raises(OSError, match="not connected"):
        place.stat()
    (left,) = session.list_mounts(mounts.git_dir)
    assert (left.is_alive, left.is_mounted) == (False, True)
    place = mounts.mount("main")
    assert (place / "new").read_bytes() == b"written"
    found = {"commit": None, "deleted": 0, "unsynced": []}
    assert mounts.records[-1].recovery == found
    assert request(mounts.records[-1], "info")[0]["recovery"] == found
    assert "was not unmounted; everything that was written is there" in mounts.log()
    (live,) = session.list_mounts(mounts.git_dir)
    assert (live.is_alive, live.is_mounted) == (True, True)


def test_unmount_of_killed_daemon(mounts) -> None:
    """Unmounting what a crash has left works, and says so."""
    place = mounts.mount("v1")
    mounts.kill(place)
    done = session.unmount(place)
    assert done.was_stale
    assert not is_mounted(place)
    assert os.listdir(place) == []
    assert session.list_mounts(mounts.git_dir) == []


def test_second_writable_mount_is_refused(mounts) -> None:
    """The refusal names the first place; read-only beside it is fine."""
    first = mounts.mount("main", "first")
    with pytest.raises(ConflictError) as caught:
        mounts.mount("main", "second")
    assert caught.value.kind is ErrorKind.ALREADY_MOUNTED
    assert str(first) in caught.value.message
    beside = mounts.mount("main", "beside", read_only=True)
    (first / "new").write_bytes(b"only here")
    assert not (beside / "new").exists()
    assert (beside / "hello.txt").read_bytes() == b"hello\n"


def test_busy_mount(mounts) -> None:
    """A mount in use stays, and the error names who uses it; lazily it goes."""
    place = mounts.mount("v1")
    with open(place / "hello.txt", "rb"):
        with pytest.raises(ConflictError) as caught:
            session.unmount(place)
        assert caught.value.kind is ErrorKind.MOUNT_BUSY
        assert str(os.getpid()) in caught.value.message
        assert is_mounted(place)
    session.unmount(place)
    place = mounts.mount("v1")
    with open(place / "hello.txt", "rb") as file:
        session.unmount(place, lazy=True)
        assert not is_mounted(place)
        assert file.read() == b"hello\n"
    wait_for_end(mounts.records[-1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_unmounts(mounts, number: signal.Signals) -> None:
    """A signal ends the daemon cleanly: unmounted, workspace closed, record gone."""
    place = mounts.mount("main")
    (place / "new").write_bytes(b"x")
    record = mounts.records[-1]
    os.kill(record.pid, number)
    wait_for_end(record)
    assert not is_mounted(place)
    assert find_mounts(run_directory(mounts.git_dir)) == []
    place = mounts.mount("main")
    assert (place / "new").read_bytes() == b"x"


def test_plain_unmount_ends_the_daemon(mounts) -> None:
    """The system's own command is as good as ours."""
    place = mounts.mount("main")
    subprocess.run(["fusermount3", "-u", place], check=True)
    wait_for_end(mounts.records[-1])
    assert find_mounts(run_directory(mounts.git_dir)) == []


def test_unknown_ref(mounts) -> None:
    """An error of the daemon arrives as it was raised there, and nothing stays mounted."""
    with pytest.raises(NotFoundError) as caught:
        mounts.mount("nothing")
    assert caught.value.kind is ErrorKind.REF_NOT_FOUND
    assert not is_mounted(mounts.directory())
    assert find_mounts(run_directory(mounts.git_dir)) == []


def test_bad_mount_points(mounts, tmp_path: Path) -> None:
    """Each bad mount point has its own error."""
    git_dir = mounts.git_dir
    (tmp_path / "file").touch()
    (tmp_path / "full/inside").mkdir(parents=True)
    cases = [
        (tmp_path / "missing", NotFoundError, ErrorKind.PATH_NOT_FOUND),
        (tmp_path / "file", InvalidInputError, ErrorKind.INVALID_PATH),
        (tmp_path / "full", ConflictError, ErrorKind.NOT_EMPTY),
        (git_dir, InvalidInputError, ErrorKind.INVALID_PATH),
        (git_dir / "mlbfs", InvalidInputError, ErrorKind.INVALID_PATH),
        (git_dir.parent, InvalidInputError, ErrorKind.INVALID_PATH),
    ]
    for place, error, kind in cases:
        with pytest.raises(error) as caught:
            session.mount(git_dir, "v1", place)
        assert caught.value.kind is kind
        assert caught.value.hint is not None or kind is ErrorKind.INVALID_PATH
    place = mounts.mount("v1")
    with pytest.raises(AlreadyExistsError) as caught:
        session.mount(git_dir, "main", place)
    assert caught.value.kind is ErrorKind.ALREADY_MOUNTED


def test_unmount_elsewhere(tmp_path: Path) -> None:
    """What is no mount of ours cannot be unmounted."""
    with pytest.raises(NotFoundError) as caught:
        session.unmount(tmp_path)
    assert caught.value.kind is ErrorKind.MOUNT_NOT_FOUND


def test_long_and_strange_paths(builder, tmp_path: Path) -> None:
    """A mount point with commas, spaces and far more bytes than a socket address holds."""
    place = tmp_path / "a, b\\c" / ("x" * 200) / "cafe\u0301"
    place.mkdir(parents=True)
    with session.mounted(builder.git_dir, "v1", place) as folder:
        assert (folder / "hello.txt").read_bytes() == b"hello\n"
        assert find_mount(folder / "folder").point == place


def test_commands_of_a_mount(mounts) -> None:
    """ping, info, status and commit over the control socket."""
    place = mounts.mount("main")
    record = mounts.records[-1]
    assert request(record, "ping") == ({"pid": record.pid}, [])
    (place / "new\udcff").write_bytes(b"new")
    info, _ = request(record, "info")
    assert (info["base"], info["behind"], info["recovery"]) == (record.commit, False, None)
    head, pieces = request(record, "status")
    assert head["changes"] == 1
    assert [change["path"] for piece in pieces for change in piece] == ["new\udcff"]
    person = {"name": "A", "email": "a@example.org", "time": 1, "offset": 0}
    with open(place / "new\udcff", "rb") as file:
        done, _ = request(
            record, "commit", {"message": "m\n", "author": person, "committer": person}
        )
        assert (done["added"], done["modified"], done["deleted"]) == (1, 0, 0)
        assert file.read() == b"new"
    info, _ = request(record, "info")
    assert (info["base"], info["tip"], info["behind"]) == (done["commit"], done["commit"], False)
    assert request(record, "status")[0]["changes"] == 0
    assert (place / "new\udcff").read_bytes() == b"new"


def test_branch_that_moved_elsewhere(mounts, builder) -> None:
    """The mount stays where it is and says that it is behind."""
    place = mounts.mount("main")
    record = mounts.records[-1]
    tip = builder.commit("refs/heads/main", {b"other": b"x"})
    info, _ = request(record, "info")
    assert (info["behind"], info["tip"]) == (True, tip.hex())
    assert (place / "hello.txt").exists()


def test_commit_on_a_snapshot_is_refused(mounts) -> None:
    """A read-only mount has nothing to commit."""
    mounts.mount("v1")
    with pytest.raises(ReadOnlyError):
        request(mounts.records[-1], "status")


FOREGROUND = """
import sys
from pathlib import Path
from mlbfs.mount.session import mount_here
mount_here(Path(sys.argv[1]), "main", Path(sys.argv[2]), lambda it: print(it.id, flush=True))
"""


FORKING = """
import sys
from pathlib import Path
from mlbfs.mount import launch, session
assert launch._may_fork()
try:
    session.mount(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
except Exception as err:
    print(type(err).__name__, err.kind, sep=":")
"""


def test_light_process_forks_the_daemon(mounts) -> None:
    """A command forks: nothing is inherited, it ends, the daemon stays; errors come through."""
    place = mounts.directory()
    command = [sys.executable, "-c", FORKING, mounts.git_dir]
    assert subprocess.run([*command, "none", place], capture_output=True, check=True).stdout == (
        b"NotFoundError:ref-not-found\n"
    )
    with open(mounts.git_dir / "HEAD", "rb") as inherited:
        os.set_inheritable(inherited.fileno(), True)
        subprocess.run([*command, "v1", place], check=True, pass_fds=[inherited.fileno()])
    assert (place / "hello.txt").read_bytes() == b"hello\n"
    (found,) = find_mounts(run_directory(mounts.git_dir))
    mounts.records.append(found.record)
    opened = {os.readlink(link) for link in Path(f"/proc/{found.record.pid}/fd").iterdir()}
    assert str(mounts.git_dir / "HEAD") not in opened
    assert os.readlink(f"/proc/{found.record.pid}/cwd") == "/"


def test_foreground(mounts) -> None:
    """The mount is served in place, and Ctrl-C ends it cleanly."""
    place = mounts.directory()
    with subprocess.Popen(
        [sys.executable, "-c", FOREGROUND, mounts.git_dir, place],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert len(process.stdout.readline()) == 13
        assert (place / "hello.txt").read_bytes() == b"hello\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert not is_mounted(place)


def test_daemon_that_does_not_answer(mounts) -> None:
    """A stopped daemon is killed by a lazy unmount, and nothing is lost."""
    place = mounts.mount("main")
    (place / "new").write_bytes(b"x")
    record = mounts.records[-1]
    os.kill(record.pid, signal.SIGSTOP)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlbfs.mount.control.SILENCE_LIMIT", 0.1)
        with pytest.raises(ControlError):
            session.unmount(place)
        session.unmount(place, lazy=True)
    assert not is_mounted(place)
    place = mounts.mount("main")
    assert (place / "new").read_bytes() == b"x"


def test_lazily_unmounted_branch_is_still_in_use(mounts) -> None:
    """A branch is not mounted again while programs use the place it was taken from."""
    place = mounts.mount("main")
    with open(place / "hello.txt", "rb"):
        session.unmount(place, lazy=True)
        with pytest.raises(ConflictError, match="lazily"):
            mounts.mount("main", "elsewhere")
    wait_for_end(mounts.records[-1])
    mounts.mount("main", "elsewhere")


@pytest.mark.parametrize(("configured", "expected"), [(None, os.geteuid() == 0), ("false", False)])
def test_other_users(mounts, configured: str | None, expected: bool) -> None:
    """Root's mounts are seen by others unless the configuration says otherwise."""
    if configured is not None:
        config = mounts.git_dir / "config"
        config.write_text(config.read_text() + f"[mlbfs]\n\tallowOther = {configured}\n")
    place = mounts.mount("v1")
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    (line,) = [line for line in lines if f" {place} " in line]
    assert ("allow_other" in line.rpartition(" ")[2].split(",")) == expected


def test_two_mounts_at_once(mounts, builder) -> None:
    """Two branches side by side, each with its own changes."""
    builder.commit("refs/heads/other", {b"file": b"other"})
    one, two = mounts.mount("main", "one"), mounts.mount("other", "two")
    (one / "mine").write_bytes(b"1")
    (two / "mine").write_bytes(b"2")
    assert ((one / "mine").read_bytes(), (two / "mine").read_bytes()) == (b"1", b"2")
    assert sorted(os.listdir(two)) == ["file", "mine"]
