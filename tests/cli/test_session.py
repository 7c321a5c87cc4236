"""A session as a person would have it, through the installed command line."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cli

pytestmark = pytest.mark.slow


def test_init_adopts_and_does_no_harm_twice(cli: Cli) -> None:
    """A new folder becomes a repository; running it again changes nothing."""
    first = cli.ok("init", "repo", "--json").json
    again = cli.ok("init", "repo", "--json").json
    assert (first["created"], again["created"]) == (True, False)
    assert first["git_dir"] == again["git_dir"] == str(cli.work / "repo" / ".git")
    assert "is a repository already" in cli.ok("init", "repo").out


def test_init_says_how_files_merge(cli: Cli, data: Path) -> None:
    """New branches begin with it, unless they bring their own or it was not wanted."""
    made = cli.ok("init", "repo", "--json").json["attributes"]
    assert made == [str(cli.work / "repo" / ".git" / "mlbfs" / "gitattributes")]
    imported = cli.ok("-C", "repo", "import", f"{data}/", "-b", "raw")
    assert imported.err.splitlines() == [
        "it begins with a .gitattributes that says how files merge"
    ]
    assert "table" in cli.ok("-C", "repo", "cat", "raw:.gitattributes").out
    assert cli.ok("init", "repo", "--json").json["attributes"] == []
    assert cli.ok("init", "bare", "--no-attributes", "--json").json["attributes"] == []
    assert "new branches begin with" in cli.ok("init", "bare", "--attributes").err


def test_init_leaves_attributes_of_a_work_tree(cli: Cli) -> None:
    """One that has none gets them, uncommitted; one that has some keeps them."""
    for name in ("with", "without"):
        subprocess.run(["git", "init", "-q", cli.work / name], check=True)
        (cli.work / name / "readme").write_text("hello\n")
    (cli.work / "with" / ".gitattributes").write_text("*.csv -text\n")
    assert ".gitattributes stays as it is" in cli.ok("init", "with").err
    assert (cli.work / "with" / ".gitattributes").read_text() == "*.csv -text\n"
    assert "commit it" in cli.ok("init", "without").err
    written = (cli.work / "without" / ".gitattributes").read_bytes()
    assert written == (cli.work / "without" / ".git" / "mlbfs" / "gitattributes").read_bytes()


def test_init_adopts_a_repository_with_history(cli: Cli) -> None:
    """History of stock Git is read as it stands."""
    git = ["git", "-C", cli.work / "old"]
    environment = os.environ | cli.environment
    subprocess.run(["git", "init", "-q", "-b", "main", cli.work / "old"], check=True)
    (cli.work / "old" / "readme").write_text("hello\n")
    subprocess.run([*git, "add", "."], check=True, env=environment)
    subprocess.run([*git, "commit", "-qm", "Begin"], check=True, env=environment)
    old = cli.work / "old"
    cli.ok("init", cwd=old)
    assert cli.ok("cat", "main:readme", cwd=old).out == "hello\n"
    assert "Begin" in cli.ok("log", cwd=old).out
    refused = cli.fails(1, "import", cli.environment["PATH"].split(":")[0], "-b", "main", cwd=old)
    assert "is checked out at" in refused.err


def test_import_names_what_it_does_not_keep(cli: Cli, data: Path) -> None:
    """People's words go to standard error, the result to standard output."""
    os.mkfifo(data / "pipe")
    (data / "empty").mkdir()
    cli.ok("init", "repo", "--no-attributes")
    result = cli.ok("-C", "repo", "import", f"{data}/", "-b", "raw")
    assert result.err.splitlines() == ["not kept (empty-folder): empty", "not kept (fifo): pipe"]
    assert result.out.startswith("made branch raw at ")
    again = cli.ok("-C", "repo", "import", f"{data}/", "-b", "raw")
    assert "raw has all of it already (4 files" in again.out


def test_reading_without_a_mount(cli: Cli, repository: Path, data: Path) -> None:
    """ls, cat, log and export read any ref."""
    assert cli.ok("ls", "v1", cwd=repository).out.splitlines() == [
        "images/",
        "labels.csv",
        "link",
        "nm\udcff",
        "run.sh",
    ]
    long = cli.ok("ls", "-l", "-r", "v1:images", cwd=repository).out
    assert long.startswith("-    76.8 kB  ")
    assert long.endswith("images/a.bin\n")
    assert cli.ok("cat", "v1:labels.csv", cwd=repository).out == "file,label\na,1\n"
    assert "Import data" in cli.ok("log", "data/raw", cwd=repository).out
    assert cli.ok("log", "--graph", "v1", cwd=repository).out.startswith("* ")
    cli.ok("export", "v1", cli.work / "out", cwd=repository)
    done = subprocess.run(["diff", "-r", data, cli.work / "out"], capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"")
    assert os.access(cli.work / "out" / "run.sh", os.X_OK)


def test_stock_git_reads_what_was_written(cli: Cli, repository: Path) -> None:
    """Git accepts the objects and shows history, tags and text."""
    git = ["git", "-C", repository]
    subprocess.run([*git, "fsck", "--strict", "--no-dangling"], check=True, capture_output=True)
    done = subprocess.run([*git, "show", "v1:labels.csv"], check=True, capture_output=True)
    assert done.stdout == b"file,label\na,1\n"
    subprocess.run([*git, "gc", "-q"], check=True)
    assert cli.ok("cat", "v1:labels.csv", cwd=repository).out == "file,label\na,1\n"


def test_branches_and_tags_come_and_go(cli: Cli, repository: Path) -> None:
    """They cost nothing; what would be lost is not deleted without --force."""
    cli.ok("branch", "dev/model", "v1", cwd=repository)
    assert [row.split()[0] for row in cli.ok("branch", cwd=repository).out.splitlines()] == [
        "data/raw",
        "dev/model",
    ]
    cli.ok("branch", "-d", "dev/model", cwd=repository)
    cli.ok("tag", "-d", "v1", cwd=repository)
    assert cli.ok("tag", cwd=repository).out == ""
    refused = cli.fails(1, "branch", "-d", "data/raw", cwd=repository)
    assert "no other branch or tag has" in refused.err
    # The log of HEAD would keep what it pointed to.
    subprocess.run(["git", "-C", repository, "symbolic-ref", "HEAD", "refs/heads/x"], check=True)
    cli.ok("branch", "-d", "--force", "data/raw", cwd=repository)
    freed = cli.ok("gc", "--json", cwd=repository).json
    assert freed["removed_packs"] == 1
    cli.ok("fsck", cwd=repository)


def test_diff_between_refs(cli: Cli, repository: Path, data: Path) -> None:
    """Text as a unified diff, the rest as sizes and chunks."""
    (data / "labels.csv").write_text("file,label\na,2\n")
    (data / "images" / "a.bin").write_bytes(bytes(range(256)) * 400)
    (data / "run.sh").chmod(0o644)
    (data / "link").unlink()
    (data / "link").symlink_to("labels.csv")
    cli.ok("import", f"{data}/", "-b", "data/raw", cwd=repository)
    out = cli.ok("diff", "v1", "data/raw", cwd=repository).out
    assert "--- a/labels.csv\n+++ b/labels.csv\n@@ -1,2 +1,2 @@\n file,label\n-a,1\n+a,2\n" in out
    assert "images/a.bin: 76.8 kB -> 102.4 kB; " in out
    assert "run.sh: mode 100755 -> 100644\n" in out
    assert "-images/a.bin\n\\ No newline at end of file\n+labels.csv\n" in out
    stat = cli.ok("diff", "--stat", "v1", "data/raw", cwd=repository).out
    assert stat.splitlines() == ["M  images/a.bin", "M  labels.csv", "M  link", "X  run.sh"]


@pytest.mark.fuse
def test_commit_from_inside_a_mount(cli: Cli, mounted: Path, repository: Path) -> None:
    """Inside the mount no command needs to be told anything but the message."""
    (mounted / "metrics.json").write_text("[1]\n")
    (mounted / "labels.csv").unlink()
    (mounted / "hollow").mkdir()
    status = cli.ok("status", cwd=mounted / "images").out.splitlines()
    assert status[1:] == [
        "D  labels.csv",
        "A  metrics.json",
        "   hollow/  (empty: Git cannot keep it)",
    ]
    assert "+[1]" in cli.ok("diff", cwd=mounted).out
    done = cli.ok("commit", "-m", "Train", "--tag", "v2", cwd=mounted)
    assert "not kept (empty folder): hollow" in done.err
    assert "tagged v2: 1 added, 0 modified, 1 deleted" in done.out
    assert cli.ok("status", "--json", cwd=mounted).json["clean"]
    assert (mounted / "hollow").is_dir()
    assert cli.ok("cat", "metrics.json", cwd=mounted).out == "[1]\n"
    assert cli.ok("cat", "../metrics.json", cwd=mounted / "images").out == "[1]\n"
    assert cli.ok("ls", cwd=mounted / "images").out == "a.bin\n"
    log = cli.ok("log", "-n", "1", "--json", cwd=mounted).json
    assert log[0]["refs"] == ["data/raw", "tag: v2"]
    assert log[0]["author"] == {"name": "Ada", "email": "ada@example.com"}
    assert [c["message"] for c in cli.ok("log", "metrics.json", "--json", cwd=mounted).json] == [
        "Train\n"
    ]
    nothing = cli.fails(2, "commit", "-m", "Again", cwd=mounted)
    assert "nothing to commit" in nothing.err
    taken = cli.fails(1, "commit", "-m", "Again", "--tag", "v1", cwd=mounted)
    assert "tag 'v1' exists already" in taken.err


@pytest.mark.fuse
def test_unsaved_work_outlives_the_mount(cli: Cli, mounted: Path, repository: Path) -> None:
    """Unmounting says what is kept; without a mount it can be seen and committed by branch."""
    (mounted / "new.bin").write_bytes(bytes(200_000))
    gone = cli.ok("umount", mounted)
    assert "1 change of data/raw not committed: kept for the next mount" in gone.err
    assert not list(mounted.iterdir())
    status = cli.ok("status", "--branch", "data/raw", "--json", cwd=repository).json
    assert [(c["path"], c["change"]) for c in status["changes"]] == [("new.bin", "added")]
    assert "new.bin: new, 200.0 kB" in cli.ok("diff", "-b", "data/raw", cwd=repository).out
    cli.ok("mount", "data/raw", mounted, cwd=repository)
    assert (mounted / "new.bin").stat().st_size == 200_000
    cli.ok("umount", mounted)
    cli.ok("commit", "-b", "data/raw", "-m", "Kept", cwd=repository)
    assert cli.ok("ls", "data/raw:new.bin", cwd=repository).out == "new.bin\n"


@pytest.mark.fuse
def test_read_only_and_all_mounts(cli: Cli, repository: Path) -> None:
    """A tag cannot be written; --all shows every ref, a new one without remounting."""
    (cli.work / "tag").mkdir()
    (cli.work / "all").mkdir()
    cli.ok("mount", "v1", cli.work / "tag", cwd=repository)
    cli.ok("mount", "--all", cli.work / "all", cwd=repository)
    try:
        with pytest.raises(OSError, match="Read-only"):
            (cli.work / "tag" / "x").write_text("x")
        every = cli.work / "all"
        assert (every / "branches" / "data" / "raw" / "labels.csv").is_file()
        assert (every / "tags" / "v1" / "labels.csv").is_file()
        cli.ok("branch", "new", "v1", cwd=repository)
        assert (every / "branches" / "new" / "labels.csv").is_file()
        mounts = cli.ok("mounts", "--json", cwd=repository).json
        assert [(m["kind"], m["ref"], m["read_only"], m["state"]) for m in mounts] == [
            ("tag", "v1", True, "live"),
            ("all", None, True, "live"),
        ]
        assert "mounted read-only" in cli.fails(1, "status", cli.work / "tag").err
    finally:
        cli.ok("umount", cli.work / "tag")
        cli.ok("umount", cli.work / "all")


@pytest.mark.fuse
def test_foreground_mount_ends_with_ctrl_c(cli: Cli, repository: Path) -> None:
    """It says when it is ready, and unmounts on the signal."""
    point = cli.work / "mnt"
    point.mkdir()
    process = cli.start("mount", "--foreground", "data/raw", point, cwd=repository)
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"mounted branch data/raw at ")
    assert (point / "labels.csv").is_file()
    process.send_signal(2)
    process.communicate()
    assert process.returncode in (0, 130)
    assert not list(point.iterdir())


@pytest.mark.fuse
def test_import_into_a_mounted_branch_with_unsaved_work(
    cli: Cli, mounted: Path, repository: Path, data: Path
) -> None:
    """The mount keeps its work and says that it is behind; its commit goes on top of the import."""
    (mounted / "mine").write_text("mine\n")
    (data / "theirs").write_text("theirs\n")
    cli.ok("import", f"{data}/", "-b", "data/raw", cwd=repository)
    status = cli.ok("status", "--json", cwd=mounted).json
    assert status["behind"]
    assert [change["path"] for change in status["changes"]] == ["mine"]
    done = cli.ok("commit", "-m", "Mine", cwd=mounted)
    assert "had moved on" in done.err
    assert (mounted / "mine").read_text() == "mine\n"
    assert (mounted / "theirs").read_text() == "theirs\n"
    assert not cli.ok("status", "--json", cwd=mounted).json["behind"]


@pytest.mark.fuse
def test_import_over_unsaved_work(cli: Cli, mounted: Path, repository: Path, data: Path) -> None:
    """A commit of what the import has changed too is refused; the way out that is told works."""
    (mounted / "labels.csv").write_text("mine\n")
    (data / "labels.csv").write_text("theirs\n")
    cli.ok("import", f"{data}/", "-b", "data/raw", cwd=repository)
    refused = cli.fails(1, "commit", "-m", "Mine", cwd=mounted)
    assert "'labels.csv'" in refused.err
    assert "mlbfs switch --create" in refused.err
    assert (mounted / "labels.csv").read_text() == "mine\n"


def test_stock_git_reads_a_repository_whose_branch_is_not_main(
    cli: Cli, repository: Path, data: Path
) -> None:
    """`git log` and `git clone` show what was imported first."""
    log = ["git", "-C", repository, "log", "--format=%s"]
    assert subprocess.run(log, check=True, capture_output=True, text=True).stdout == "Import data\n"
    subprocess.run(["git", "clone", "-q", repository, cli.work / "clone"], check=True)
    text = (data / "labels.csv").read_text()
    assert (cli.work / "clone" / "labels.csv").read_text() == text


@pytest.mark.fuse
def test_commands_in_a_mount_of_all_refs_mean_the_ref_of_the_folder(
    cli: Cli, repository: Path, data: Path
) -> None:
    """Not HEAD: what one stands in is meant; above the refs a command that needs one says so."""
    cli.ok("import", data / "run.sh", "--branch", "plain", cwd=repository)
    point = cli.work / "all"
    point.mkdir()
    cli.ok("mount", "--all", point, cwd=repository)
    inside = point / "branches" / "plain"
    images = point / "branches" / "data" / "raw" / "images"
    assert cli.ok("ls", cwd=inside).out == "run.sh\n"
    assert cli.ok("ls", cwd=images).out == "a.bin\n"
    assert cli.ok("cat", "../labels.csv", cwd=images).out == (data / "labels.csv").read_text()
    cli.ok("tag", "here", cwd=inside)
    cli.ok("branch", "from-tag", cwd=point / "tags" / "v1")
    rows = cli.ok("branch", "--json", cwd=point).json
    heads = {row["name"]: row["commit"] for row in rows}
    assert cli.ok("tag", "--json", cwd=point).json[0]["commit"] == heads["plain"]
    assert heads["from-tag"] == heads["data/raw"]
    for above in (point, point / "branches" / "data"):
        refused = cli.fails(2, "ls", cwd=above)
        assert "several branches, tags or commits" in refused.err
        assert cli.ok("ls", "plain", cwd=above).out == "run.sh\n"
    cli.ok("umount", point)
