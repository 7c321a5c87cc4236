"""A day of an ordinary user: a repository, a mount through fusermount3, commits, a crash.

Run by root it first makes a private view of the file system in which that user can reach Python
and /dev/fuse, then gives up its rights for good.
"""

from __future__ import annotations

import json
import os
import pwd
import select
import shlex
import signal
import stat
import subprocess
import sys
from pathlib import Path

STASHES = ("/mnt", "/media", "/srv", "/opt")  # one is covered, in the private view only
FUSE = Path("/dev/fuse")
BINARY = bytes(range(256)) * 800
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}


# As root


def become_user(work: Path) -> None:
    """Gives up root's rights, having made reachable what the user needs, and starts again."""
    mlbfs(work, "init", "theirs")
    mlbfs(work / "theirs", "branch")
    nobody = pwd.getpwnam("nobody")
    os.chown(work, nobody.pw_uid, nobody.pw_gid)
    code = Path(__file__).resolve().parents[2]
    tops = [Path(sys.base_prefix), Path(sys.prefix), code, work]
    stash = next(place for place in map(Path, STASHES) if not any(place in t.parents for t in tops))
    call("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", stash)
    for number, top in enumerate(tops):
        (stash / str(number)).mkdir()
        call("mount", "--bind", top, stash / str(number))
    for barrier in {barrier for top in tops if (barrier := find_barrier(top)) is not None}:
        call("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", barrier)
    for number, top in enumerate(tops):
        if not top.exists():
            top.mkdir(parents=True)
            call("mount", "--bind", stash / str(number), top)
    if stat.S_IMODE(FUSE.stat().st_mode) & 0o006 != 0o006:
        os.mknod(stash / "fuse", stat.S_IFCHR | 0o666, FUSE.stat().st_rdev)
        (stash / "fuse").chmod(0o666)
        call("mount", "--bind", stash / "fuse", FUSE)
    os.setgroups([])
    os.setresgid(*[nobody.pw_gid] * 3)
    os.setresuid(*[nobody.pw_uid] * 3)
    os.chdir(work)
    os.execv(sys.executable, [sys.executable, __file__, str(work)])


def find_barrier(top: Path) -> Path | None:
    """Returns the outermost folder on the way to `top` that other users may not pass."""
    for place in reversed(top.parents):
        if not place.stat().st_mode & stat.S_IXOTH:
            return place
    return None


def call(*words: str | Path) -> None:
    subprocess.run(words, check=True)


# As anyone


def mlbfs(place: Path, *words: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Runs a command in a folder; it must end with `code`."""
    done = subprocess.run(
        [sys.executable, "-m", "mlbfs", *words],
        cwd=place,
        env=ENVIRONMENT | {"HOME": str(place.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, (words, done)
    assert "Traceback" not in done.stderr, done
    return done


def git(place: Path, *words: str, code: int = 0) -> str:
    """Runs Git in a folder, which must end with `code`; returns what it says."""
    done = subprocess.run(
        ["git", *words], cwd=place, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, (words, done)
    return done.stdout + done.stderr


def a_day(work: Path) -> None:
    """Uses everything that a mount takes."""
    data, repo, mount = work / "data", work / "repo", work / "mount"
    data.mkdir()
    mount.mkdir()
    (data / "model.bin").write_bytes(BINARY)
    (data / "model.bin").chmod(0o400)
    mlbfs(work, "init", "repo")
    assert "FAULT" not in mlbfs(repo, "doctor").stdout
    mlbfs(repo, "import", f"{data}/", "--branch", "main")
    mlbfs(repo, "mount", "main", mount)
    use(mount)
    crash(repo)
    mlbfs(repo, "mount", "main", mount)
    assert (mount / "notes.txt").read_text() == "notes\n"
    assert git(mount, "status", "--porcelain", "-uno") == ""
    mlbfs(mount, "commit", "-m", "From the mount", "--tag", "v1")
    assert git(mount, "rev-parse", "HEAD", "--abbrev-ref", "HEAD") == git(
        repo, "rev-parse", "main", "--abbrev-ref", "main"
    )
    assert "use mlbfs status" in git(mount, "status", code=128)
    assert "kept for the next mount" not in mlbfs(repo, "umount", mount).stdout
    mlbfs(repo, "mount", "v1", mount)
    assert (mount / "notes.txt").read_text() == "notes\n"
    assert (mount / "model.bin").read_bytes() == BINARY
    mlbfs(repo, "umount", mount)
    mlbfs(repo, "fsck")
    assert "FAULT" not in mlbfs(repo, "doctor").stdout


def use(mount: Path) -> None:
    """Writes into a mount; the kernel keeps to the modes of files, as anywhere."""
    assert (mount / "model.bin").read_bytes() == BINARY
    (mount / "notes.txt").write_text("notes\n")
    status = (mount / "notes.txt").stat()
    assert (status.st_uid, status.st_gid) == (os.getuid(), os.getgid())
    (mount / "closed").mkdir(mode=0o500)
    try:
        (mount / "closed" / "file").write_text("x")
    except PermissionError:
        (mount / "closed").rmdir()
    else:
        raise AssertionError("a folder without the right to write took a file")


def crash(repo: Path) -> None:
    """Kills the daemon and waits until it is gone."""
    (found,) = json.loads(mlbfs(repo, "mounts", "--json").stdout)
    process = os.pidfd_open(found["pid"])
    signal.pidfd_send_signal(process, signal.SIGKILL)
    assert select.select([process], [], [], 20)[0], "it is still there"
    os.close(process)


def foreign_repository(work: Path) -> None:
    """Another user's: refused as by Git, and when it is trusted, for what cannot be written."""
    theirs = work / "theirs"
    mount = work / "mount"
    hint = mlbfs(theirs, "branch", code=2).stderr.splitlines()[1]
    command = shlex.split(hint.partition("if you trust it: ")[2])
    subprocess.run(command, env=ENVIRONMENT | {"HOME": str(work)}, check=True)
    for words in (["branch"], ["mount", "main", str(mount)]):
        found = mlbfs(theirs, *words, code=2 if words[0] == "mount" else 1).stderr.splitlines()
        assert "ermission denied" in found[0] or "may not write" in found[0], found
        assert found[1].startswith("hint: "), found


def main() -> None:
    work = Path(sys.argv[1])
    if os.geteuid() == 0:
        become_user(work)
    a_day(work)
    if (work / "theirs").exists():
        foreign_repository(work)
    sys.stdout.write("all is well\n")


if __name__ == "__main__":
    main()
