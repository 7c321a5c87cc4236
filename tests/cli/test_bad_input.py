"""Bad input gets one clear line, a hint where there is something to type, and nothing is lost."""

from __future__ import annotations

import os
import resource
import select
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cli

pytestmark = pytest.mark.slow

MIB = 1024 * 1024


def test_no_repository(cli: Cli) -> None:
    """A folder without a repository, and a Git repository that was not adopted."""
    missing = cli.fails(1, "log")
    assert "is not in a Git repository" in missing.err
    assert "hint: make one with 'mlbfs init'" in missing.err
    subprocess.run(["git", "init", "-q", cli.work / "git"], check=True)
    foreign = cli.fails(1, "-C", "git", "ls")
    assert "mlbfs init" in foreign.err
    assert cli.fails(1, "-C", "git", "mounts").err == foreign.err
    assert "cannot go to 'nowhere'" in cli.fails(2, "-C", "nowhere", "log").err


def test_repository_of_a_newer_format(cli: Cli, repository: Path) -> None:
    """It is refused with a sentence that says what to do."""
    path = repository / ".git" / "mlbfs" / "format"
    path.write_text(path.read_text().replace("mlbfs-format 1", "mlbfs-format 99"))
    assert "update mlbfs" in cli.fails(1, "ls", "v1", cwd=repository).err


def test_format_file_that_says_nothing(cli: Cli, repository: Path) -> None:
    """The error names the file and what belongs into it."""
    path = repository / ".git" / "mlbfs" / "format"
    text = path.read_text()
    path.write_text("")
    failed = cli.fails(3, "ls", "v1", cwd=repository)
    assert str(path) in failed.err
    assert all(line in failed.err for line in text.splitlines())


@pytest.mark.fuse
def test_hostile_tree(cli: Cli, repository: Path) -> None:
    """A root that no file system may get is refused by name, by ls and by mount."""
    git = ["git", "-C", str(repository)]

    def write(kind: str, data: bytes) -> str:
        command = [*git, "hash-object", "-t", kind, "-w", "--literally", "--stdin"]
        return subprocess.run(command, input=data, check=True, capture_output=True).stdout.decode()

    blob = bytes.fromhex(write("blob", b"[core]\n"))
    tree = write("tree", b"100644 .git\0" + blob).strip()
    who = b"A <a@b> 1 +0000\n"
    text = b"tree " + tree.encode() + b"\nauthor " + who + b"committer " + who + b"\nx\n"
    subprocess.run([*git, "branch", "evil", write("commit", text).strip()], check=True)
    (cli.work / "mnt").mkdir()
    for command in (["ls", "evil"], ["mount", "evil", cli.work / "mnt"]):
        failed = cli.fails(3, *command, cwd=repository)
        assert f"entry named '.git'; nothing of tree {tree[:10]} is shown" in failed.err
        assert f"hint: 'git ls-tree {tree[:10]}'" in failed.err


@pytest.mark.fuse
def test_two_mounts_at_one_folder(cli: Cli, repository: Path) -> None:
    """Started at once, one is refused: what it covered could not be reached any more."""
    (cli.work / "mnt").mkdir()
    refs = ["v1", "v1", "v1"]
    started = [cli.start("mount", ref, cli.work / "mnt", cwd=repository) for ref in refs]
    ended = [process.communicate()[1] for process in started]
    assert sorted(process.returncode for process in started) == [0, 1, 1], ended
    cli.ok("umount", cli.work / "mnt")
    assert list((cli.work / "mnt").iterdir()) == []


def test_unknown_names(cli: Cli, repository: Path) -> None:
    """Refs, paths, commands and options that do not exist."""
    assert "data/raw" in cli.fails(1, "log", "data/rwa", cwd=repository).err
    assert "'nope' does not exist in" in cli.fails(1, "cat", "v1:nope", cwd=repository).err
    assert "does not exist" in cli.fails(1, "ls", "v1:labels.csv/x", cwd=repository).err
    usage = cli.run("comit", cwd=repository)
    assert usage.code == 2
    assert "did you mean 'commit'?" in usage.err
    assert cli.run("ls", "--nope", cwd=repository).code == 2
    for name in ("a..b", "-x", "a b", "HEAD"):
        assert cli.run("branch", "--", name, "v1", cwd=repository).code == 2
    assert "exists already" in cli.fails(1, "branch", "data/raw", "v1", cwd=repository).err
    assert "cannot be made" in cli.fails(1, "branch", "data", "v1", cwd=repository).err


def test_sources_that_cannot_be_imported(cli: Cli, repository: Path) -> None:
    """A missing source, an empty one, one around the repository, a path that no tree can hold."""
    (cli.work / "empty").mkdir()
    for source, code, text in [
        ("nope", 1, "does not exist"),
        ("empty", 2, "no file to import"),
        (".", 2, "overlaps the repository"),
        ("repo/.git", 2, "overlaps the repository"),
    ]:
        failed = cli.fails(code, "-C", "repo", "import", cli.work / source, "-b", "data/raw")
        assert text in failed.err
    failed = cli.fails(2, "-C", "repo", "import", "../data", "-b", "data/raw", "--to", "a/../b")
    assert "not a path that a tree can hold" in failed.err
    assert len(cli.ok("log", "data/raw", "--json", cwd=repository).json) == 1


def test_names_that_are_not_utf8_are_kept(cli: Cli, repository: Path) -> None:
    """Byte for byte, into the branch and out again."""
    cli.ok("export", "v1", cli.work / "out", cwd=repository)
    assert b"nm\xff" in os.listdir(os.fsencode(cli.work / "out"))
    entries = cli.ok("ls", "v1", "--json", cwd=repository).json
    assert os.fsencode(entries[3]["path"]) == b"nm\xff"


def test_unknown_author_is_told_what_to_type(cli: Cli, repository: Path) -> None:
    """Git's own remedy is the hint."""
    for role in ("AUTHOR", "COMMITTER"):
        del cli.environment[f"GIT_{role}_NAME"]
    failed = cli.fails(2, "tag", "v2", "v1", cwd=repository)
    assert "git config --global user.name" in failed.err


def test_full_disk_leaves_the_repository_as_it_was(cli: Cli, repository: Path) -> None:
    """The branch stays, and the next import gives the space back."""
    big = cli.work / "big"
    big.mkdir()
    (big / "noise").write_bytes(os.urandom(40 * MIB))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8 * MIB, 8 * MIB))

    before = cli.ok("log", "data/raw", "--json", cwd=repository).json
    process = cli.start("import", big, "-b", "data/raw", cwd=repository, preexec_fn=limit)
    _, err = process.communicate()
    assert process.returncode == 1, err
    assert b"free some space" in err
    assert cli.ok("log", "data/raw", "--json", cwd=repository).json == before
    cli.ok("fsck", cwd=repository)
    cli.ok("import", big, "-b", "data/raw", cwd=repository)
    packs = repository / ".git" / "mlbfs" / "packs"
    assert sum(path.stat().st_size for path in packs.rglob("*") if path.is_file()) < 45 * MIB


def test_ctrl_c_during_an_import(cli: Cli, repository: Path) -> None:
    """Exit code 130, one word, the branch as it was, and nothing left after the next import."""
    with (cli.work / "huge").open("wb") as file:
        file.truncate(1 << 40)
    packs = repository / ".git" / "mlbfs" / "packs"
    process = cli.start("import", "../huge", "-b", "data/raw", cwd=repository)
    while not list(packs.glob("tmp-*")):
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out, err.strip()) == (130, b"", b"mlbfs: interrupted")
    assert len(cli.ok("log", "data/raw", "--json", cwd=repository).json) == 1
    cli.ok("import", "../data/run.sh", "-b", "other", cwd=repository)
    assert not list(packs.glob("tmp-*"))


def test_two_imports_into_one_branch_at_once(cli: Cli, repository: Path) -> None:
    """Both end up on the branch, one after the other."""
    processes = []
    for name in ("one", "two"):
        folder = cli.work / name
        folder.mkdir()
        for number in range(50):
            (folder / str(number)).write_bytes(os.urandom(20_000))
        processes.append(cli.start("import", folder, "-b", "data/raw", cwd=repository))
    for process in processes:
        _, err = process.communicate()
        assert process.returncode == 0, err
    names = cli.ok("ls", "data/raw", cwd=repository).out.split()
    assert {"one/", "two/", "images/"} <= set(names)
    assert len(cli.ok("log", "data/raw", "--json", cwd=repository).json) == 3


def _flip(repository: Path) -> None:
    """Damages the first record of the first pack."""
    pack = next((repository / ".git" / "mlbfs" / "packs").glob("*.pack"))
    data = bytearray(pack.read_bytes())
    data[200] ^= 0xFF
    pack.chmod(0o644)
    pack.write_bytes(data)


def test_flipped_byte_in_a_pack(cli: Cli, repository: Path, data: Path) -> None:
    """The read fails with exit code 3 and names the remedy; importing again brings it back."""
    _flip(repository)
    failed = cli.fails(3, "cat", "v1:images/a.bin", cwd=repository)
    assert "'images/a.bin'" in failed.err
    assert "mlbfs fsck" in failed.err
    failed = cli.fails(3, "export", "v1", cli.work / "out", cwd=repository)
    assert "'images/a.bin'" in failed.err
    report = cli.run("fsck", "--json", cwd=repository)
    assert report.code == 3
    assert not report.json["sound"]
    assert {"record-damaged", "file-incomplete"} <= {f["kind"] for f in report.json["findings"]}
    assert "hint: run 'mlbfs fsck --repair'" in cli.run("fsck", cwd=repository).err
    for command in (["fsck", "--repair"], ["fsck"]):  # what is lost, no repair can bring back
        left = cli.run(*command, cwd=repository)
        assert left.code == 3
        assert "--repair" not in left.err
        assert "imported" in left.err
    cli.ok("import", f"{data}/", "-b", "again", cwd=repository)
    cli.ok("fsck", cwd=repository)
    assert cli.ok("cat", "v1:images/a.bin", cwd=repository).code == 0


def test_lost_chunk_index_is_rebuilt(cli: Cli, repository: Path) -> None:
    """Deleting the index loses nothing."""
    (repository / ".git" / "mlbfs" / "index.lmdb").unlink()
    failed = cli.fails(3, "cat", "v1:images/a.bin", cwd=repository)
    assert "hint: run 'mlbfs fsck --repair'" in failed.err
    cli.ok("fsck", "--repair", cwd=repository)
    assert cli.ok("cat", "v1:images/a.bin", cwd=repository).code == 0
    cli.ok("fsck", cwd=repository)


def test_missing_content_is_found(cli: Cli, repository: Path) -> None:
    """A pointer without its content is named by path and commit."""
    shutil.rmtree(repository / ".git" / "mlbfs")
    cli.ok("init", cwd=repository)
    report = cli.run("fsck", cwd=repository)
    assert report.code == 3
    assert "'images/a.bin' of commit" in report.out
    assert "[content-missing]" in report.out


@pytest.mark.parametrize("filters", [[], ["--filter=blob:none"]])
def test_what_a_clone_never_fetched_is_no_damage(
    cli: Cli, repository: Path, filters: list[str]
) -> None:
    """It is counted; what only a commit of the clone needs is damage, if it is gone."""
    there = cli.work / "clone"
    subprocess.run(["git", "-C", repository, "config", "uploadpack.allowFilter", "1"], check=True)
    url = repository.as_uri()
    subprocess.run(["git", "clone", "-q", "--no-checkout", *filters, url, there], check=True)
    cli.ok("init", cwd=there)
    report = cli.ok("fsck", cwd=there)
    assert "never fetched" in report.out
    assert "[content-not-fetched]" in report.out
    assert "note: " in report.out
    assert "git lfs fetch" in report.err
    found = cli.ok("fsck", "--json", cwd=there).json
    assert found["sound"]
    assert [one["harmful"] for one in found["findings"]] == [False]
    (cli.work / "own.bin").write_bytes(bytes(range(256)) * 1000)
    cli.ok("import", cli.work / "own.bin", "-b", "own", cwd=there)
    cli.ok("fsck", cwd=there)
    shutil.rmtree(there / ".git" / "mlbfs")
    cli.ok("init", cwd=there)
    lost = cli.run("fsck", cwd=there)
    assert lost.code == 3
    assert [line for line in lost.out.splitlines() if line.startswith("damage: ")] == [
        line for line in lost.out.splitlines() if "own.bin" in line
    ]


@pytest.mark.fuse
def test_mount_points_that_cannot_be_used(cli: Cli, mounted: Path, repository: Path) -> None:
    """Missing, not empty, a file, taken, the repository itself; and a branch that is mounted."""
    (cli.work / "full").mkdir()
    (cli.work / "full" / "x").write_text("x")
    (cli.work / "free").mkdir()
    for ref, point, code, text in [
        ("v1", cli.work / "nope", 1, "does not exist"),
        ("v1", cli.work / "full", 1, "is not empty"),
        ("v1", cli.work / "full" / "x", 2, "is not a folder"),
        ("v1", mounted, 1, "already"),
        ("v1", repository, 2, "would cover the repository"),
        ("v1", repository / ".git" / "mlbfs", 2, "lies in the repository"),
        ("nope", cli.work / "free", 1, "nope"),
        ("data/raw", cli.work / "free", 1, f"is mounted at '{mounted}'"),
    ]:
        assert text in cli.fails(code, "mount", ref, point, cwd=repository).err
    assert cli.run("mount", "v1", cwd=repository).code == 2
    assert cli.run("mount", "--all", "v1", cli.work / "free", cwd=repository).code == 2
    assert "is not in an mlbfs mount" in cli.fails(1, "umount", cli.work / "free").err
    refused = cli.fails(1, "branch", "-d", "data/raw", cwd=repository)
    assert "is mounted at" in refused.err
    for source in (mounted, mounted / "images", cli.work):
        failed = cli.run("import", source, "-b", "x", cwd=repository)
        assert failed.code == 2, failed
    busy = subprocess.Popen(["cat"], cwd=mounted, stdin=subprocess.PIPE)
    try:
        assert "is in use by cat" in cli.fails(1, "umount", mounted).err
    finally:
        busy.communicate()


@pytest.mark.fuse
def test_mount_whose_daemon_was_killed(cli: Cli, mounted: Path, repository: Path) -> None:
    """Commands say that it is dead and what to type; umount cleans up; the work is still there."""
    (mounted / "kept").write_text("kept\n")
    (mount,) = cli.ok("mounts", "--json", cwd=repository).json
    pid = os.pidfd_open(mount["pid"])
    os.kill(mount["pid"], signal.SIGKILL)
    select.select([pid], [], [])
    os.close(pid)
    (mount,) = cli.ok("mounts", "--json", cwd=repository).json
    assert mount["state"] == "stale"
    dead = cli.fails(1, "status", mounted)
    assert "has no living daemon" in dead.err
    assert f"mlbfs umount {mounted}" in dead.err
    advice = {f["check"]: f["hint"] for f in cli.run("doctor", "--json", cwd=repository).json}
    assert advice["mount"] == f"run 'mlbfs umount {mounted}'"
    assert "its daemon had died" in cli.ok("umount", mounted).out
    cli.ok("mount", "data/raw", mounted, cwd=repository)
    assert (mounted / "kept").read_text() == "kept\n"
