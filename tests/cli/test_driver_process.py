"""Drivers of other packages: whatever one does, the merge survives it and keeps nothing of it."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import sys
from pathlib import Path

import pytest

from mlbfs.merge.driver import DriverError, parse_choice
from mlbfs.merge.versions import Side
from mlbfs.workspace.merges import Merges
from mlbfs.workspace.merging import MergeRequest, Outcome
from mlbfs.workspace.testing import SIGNATURE, Bench

NAME = b"notes"
RUNS = b"[1]\n"
FOLDER = {b"folder/x": b"x\n", b"runs.json": RUNS}
OURS, THEIRS = b"ours\n", b"theirs\n"


class Lab:
    """A repository of which both branches changed one file, and a package of drivers."""

    def __init__(self, work: Path) -> None:
        self.root = work / "repo"
        self.package = work / "package"
        bench = Bench(self.root)
        base = bench.commit(FOLDER | {NAME: b"base\n"})
        refs = bench.git.refs
        refs.compare_and_swap("refs/heads/dev", None, base.id, identity=SIGNATURE, message="test")
        bench.commit(FOLDER | {NAME: OURS})
        bench.commit(FOLDER | {NAME: THEIRS}, branch="dev")
        bench.close()
        self.head = self.branch()
        info = self.package / "wild-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wild\nVersion: 1\n")
        (info / "entry_points.txt").write_text(
            "[mlbfs.merge_drivers]\n"
            "wild = wild:Wild\n"
            "broken = wild:Broken\n"
            "missing = wild_and_missing:Driver\n"
        )
        shutil.copy(Path(__file__).with_name("wild_drivers.py"), self.package / "wild.py")

    def branch(self) -> str:
        return (self.root / ".git" / "refs" / "heads" / "main").read_text()

    @property
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": os.fspath(self.package)}

    def words(self, driver: str, *more: str) -> list[str]:
        strategy = f"notes={driver}"
        return ["-C", os.fspath(self.root), "merge", "dev", "--into", "main", *more,
                "--strategy-for", strategy]  # fmt: skip

    def merge(self, word: str, **more: object):
        """Merges in this process with a driver of `wild`, which runs in another one."""
        return self.merge_with(f"wild:{word}", **more)

    def merge_with(self, driver: str, **more: object):
        bench = Bench(self.root)
        try:
            overrides = [(NAME, parse_choice(driver))]
            request = MergeRequest("main", bench.head("dev"), "dev", SIGNATURE, SIGNATURE,
                                   overrides=overrides, **more)  # fmt: skip
            merged = Merges(bench.source).begin(request)
            held = None
            if merged.outcome is Outcome.MERGED:
                found = bench.committed(bench.head())
                held = {path: shape.data for path, shape in found.items()}
            return merged, held
        finally:
            bench.close()

    def scratch(self) -> list[Path]:
        """Returns what lies in scratch folders, the lock of all aside."""
        top = self.root / ".git" / "mlbfs" / "scratch"
        return [path for path in top.rglob("*") if path != top / "lock"]

    def check_no_process(self) -> None:
        """Nothing that a driver ran in, or started, is left."""
        file = self.package / "processes"
        for line in file.read_text().split() if file.exists() else []:
            wait_for_end(int(line))

    def check_untouched(self) -> None:
        """Nothing is committed, nothing waits, nothing is left."""
        assert self.head == self.branch()
        assert not (self.root / ".git" / "refs" / "mlbfs").exists()
        assert self.scratch() == []
        self.check_no_process()


def wait_for_end(number: int) -> None:
    """Waits until a process has ended; fails if it does not."""
    try:
        watched = os.pidfd_open(number)
    except ProcessLookupError:
        return
    try:
        assert select.select([watched], [], [], 20)[0], f"process {number} goes on"
    finally:
        os.close(watched)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture
def here(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The package is found by this process."""
    monkeypatch.syspath_prepend(lab.package)
    return lab


# What works


def test_more_conflicts_than_can_be_sent_are_shown_shorter(here: Lab) -> None:
    """300 MB of values: each is told of, with the beginning of what each side has."""
    merged, held = here.merge("tells_much")
    assert held is not None
    assert held[NAME] == OURS
    assert len(merged.conflicts) == 1000
    for found in merged.conflicts:
        assert found.where == "row"
        texts = (found.base, found.ours, found.theirs)
        assert [text[:9] + text[-3:] for text in texts if text] == [
            letter * 9 + "..." for letter in "bot"
        ]
        assert all(len(text) == (16 << 20) // 3000 for text in texts if text)


WORKING = {
    "take": THEIRS,
    "lies_in_a_file": OURS + THEIRS,
    "is_long": b"0123456789abcdef" * (2 << 20),
    "is_pieced": b"ou" + b"+" * (17 << 20) + b"eirs\n",
    "is_short": b"ba|the",
    "is_spanned": b"efoua",
    "removes": None,
    "keeps_both": OURS,
    "looks_around": RUNS + b"1irs\n",
    "settles": OURS,
    "prints": b"merged\n",
    "forks_and_works": b"merged\n",
    "shrinks_the_memory": b"5",
}


@pytest.mark.parametrize("word", WORKING)
def test_an_answer_is_committed(here: Lab, word: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Every form of it; what the driver started and wrote is gone, and it printed nothing."""
    merged, held = here.merge(word)
    assert merged.outcome is Outcome.MERGED
    beside = {NAME + b".theirs": THEIRS} if word == "keeps_both" else {}
    content = {} if WORKING[word] is None else {NAME: WORKING[word]}
    assert held == FOLDER | content | beside
    assert here.scratch() == []
    here.check_no_process()
    assert capfd.readouterr().out == ""


def test_one_process_serves_a_merge(here: Lab) -> None:
    """Several paths are merged by it, one after the other."""
    bench = Bench(here.root)
    for branch, data in (("main", OURS), ("dev", THEIRS)):
        bench.commit({b"more/notes": data, b"x/notes": data}, branch=branch, keep=True)
    bench.close()
    _, held = here.merge("take")
    assert [held[path] for path in (NAME, b"more/notes", b"x/notes")] == [THEIRS] * 3
    processes = (here.package / "processes").read_text().split()
    assert len(processes) == 3
    assert len(set(processes)) == 1


# What is nonsense


NONSENSE = {
    "nothing": "NoneType and not a result",
    "no_content": "NoneType where content is due",
    "text": "str where bytes are due",
    "unknown_side": "left",
    "span_outside": "bytes 0 to 6 of ours, which has 5",
    "file_span_outside": "bytes 0 to 4 of short, which has 3",
    "file_span_elsewhere": "a file outside its scratch folder",
    "span_backwards": "bytes 2 to 1 of ours",
    "span_negative": "-1 where a number",
    "span_of_words": "'0' where a number",
    "file_outside": "outside its scratch folder",
    "file_by_link": "outside its scratch folder",
    "file_by_linked_folder": "outside its scratch folder",
    "folder": "no regular file",
    "pipe": "no regular file",
    "no_file": "cannot be found",
    "file_of_odd_name": "cannot be read",
    "unknown_kind": "no known kind: 'quarrel'",
    "other_path": "another path",
    "no_words": "without words",
    "odd_values": "no text",
    "odd_settling": "left",
    "no_conflict": "str where a conflict is due",
    "beside_above": "not beside the path",
    "beside_git": "not beside the path",
    "beside_itself": "not beside the path",
    "beside_another": "it would replace 'runs.json'",
    "beside_a_folder": "it would replace 'folder'",
    "beside_removed": "remove a file beside",
    "two_lines": "not one line",
    "note_of_bytes": "cannot be sent",
    "gigabytes": "too long",
    "scribbles": "merge driver",
    "asks_nonsense": "it asked what cannot be read",
}


@pytest.mark.parametrize("word", NONSENSE)
def test_nonsense_is_refused(here: Lab, word: str) -> None:
    """With the name of the driver, the path, and what is wrong with the answer."""
    with pytest.raises(DriverError) as caught:
        here.merge(word)
    assert "merge driver 'wild' failed on 'notes': " in caught.value.message
    assert NONSENSE[word] in caught.value.message
    assert caught.value.hint is not None
    here.check_untouched()


# What raises, ends or hangs


FAILING = {
    "raises": "ZeroDivisionError: a line",
    "raises_odd": "OddError",
    "exits": "SystemExit: 0",
    "ends": "it ended its process with exit code 0",
    "crashes": "its process was ended by SIGSEGV",
    "is_killed": "its process was ended by SIGKILL",
    "forks_and_ends": "it ended its process with exit code 3",
    "closes": "it ended its process with exit code 0",
    "closes_and_stays": "it closed its connection to the merge",
    "not_there": "KeyError: 'not_there'",
}


@pytest.mark.parametrize("word", FAILING)
def test_a_driver_that_fails_ends_the_command_with_a_line(cli, lab: Lab, word: str) -> None:
    """And a hint; exit code 1, nothing committed, no process and no file left."""
    cli.environment |= lab.environment
    done = cli.fails(1, *lab.words(f"wild:{word}"))
    line = done.err.splitlines()[0]
    assert line == f"mlbfs: merge driver 'wild' failed on 'notes': {FAILING[word]}"
    assert "hint: " in done.err
    assert done.out == ""
    lab.check_untouched()


@pytest.mark.parametrize("word", ["hangs", "hangs_in_c", "reads_for_ever"])
def test_a_driver_that_hangs_is_ended(cli, lab: Lab, word: str) -> None:
    """Whatever it does meanwhile."""
    cli.environment |= lab.environment
    done = cli.fails(1, *lab.words(f"wild:{word}", "--driver-timeout", "0.75"))
    said = "merge driver 'wild' took longer than 0.75 s for 'notes' and was ended"
    assert said in done.err
    assert "--driver-timeout" in done.err.splitlines()[1]
    lab.check_untouched()


def test_the_configuration_limits_drivers(cli, lab: Lab) -> None:
    """In seconds; what is no number of seconds is refused."""
    cli.environment |= lab.environment
    config = lab.root / ".git" / "config"
    text = config.read_text()
    for value in ("-1", "soon"):
        config.write_text(f"{text}[mlbfs]\n\tdriverTimeout = {value}\n")
        assert "driverTimeout" in cli.fails(2, *lab.words("wild:take")).err
    config.write_text(text)
    for given in ("nan", "-1", "inf", "soon"):
        done = cli.run(*lab.words("wild:take", "--driver-timeout", given))
        assert done.code == 2
        assert "--driver-timeout" in done.err
    config.write_text(f"{text}[mlbfs]\n\tdriverTimeout = 1\n")
    assert "took longer than 1 s" in cli.fails(1, *lab.words("wild:hangs")).err
    lab.check_untouched()


@pytest.mark.parametrize(
    ("name", "said"), [("broken", "ZeroDivisionError: made wrong"), ("missing", "cannot be loaded")]
)
def test_a_driver_that_cannot_be_made_fails(cli, lab: Lab, name: str, said: str) -> None:
    """As one that raises."""
    cli.environment |= lab.environment
    done = cli.fails(1, *lab.words(name))
    assert f"merge driver {name!r} failed on 'notes'" in done.err
    assert said in done.err
    lab.check_untouched()


def test_what_cannot_be_read_is_told_as_it_is(here: Lab) -> None:
    """Content that is not there is no mistake of the driver."""
    with pytest.raises(Exception, match="is not in this repository") as caught:
        here.merge("reads_nothing_there")
    assert type(caught.value).__name__ == "NotFoundError"
    here.check_untouched()


def test_a_name_that_is_no_driver_runs_nothing(cli, lab: Lab) -> None:
    """Neither a command of Git's configuration nor a module of that name."""
    cli.environment |= lab.environment
    marker = lab.root / "ran"
    (lab.package / "sneaky.py").write_text(f"open({os.fspath(marker)!r}, 'w')\n")
    with (lab.root / ".git" / "config").open("a") as config:
        config.write(f'[merge "sneaky"]\n\tdriver = touch {marker}\n')
    bench = Bench(lab.root)
    bench.commit({b".gitattributes": b"notes merge=sneaky\n"}, keep=True)
    bench.close()
    lab.head = lab.branch()
    done = cli.fails(1, "-C", lab.root, "merge", "dev", "--into", "main")
    assert "there is no merge driver 'sneaky'" in done.err
    assert not marker.exists()
    lab.check_untouched()


def test_naming_a_driver_does_not_load_it_here(here: Lab) -> None:
    """What a package does when it is imported, it does in the other process."""
    here.merge("take")
    assert "wild" not in sys.modules


def test_the_driver_of_the_page_works(here: Lab) -> None:
    """The example of docs/merge-drivers.md, as it stands there."""
    page = (Path(__file__).parents[2] / "docs" / "merge-drivers.md").read_text()
    source, _, entry = page.split("```python\n")[1].partition("```\n\n```toml\n")
    name, module, attribute = re.search(r'^(\w+) = "(\w+):(\w+)"$', entry, re.MULTILINE).groups()
    (here.package / f"{module}.py").write_text(source)
    with (here.package / "wild-1.dist-info" / "entry_points.txt").open("a") as file:
        file.write(f"{name} = {module}:{attribute}\n")
    bench = Bench(here.root)
    for branch, data in (("main", b"rate=2\nseed=1\nmine=1\n"), ("dev", b"rate=3\nseed=2")):
        bench.commit({NAME: data}, branch=branch, keep=True)
    bench.close()
    merged, _ = here.merge_with(name)
    assert [found.kind for found in merged.conflicts] == ["malformed"]  # the base is no settings
    bench = Bench(here.root)
    Merges(bench.source).abort("main", SIGNATURE)
    base = bench.commit({NAME: b"rate=1\nseed=1\ngone=1\n"})
    refs = bench.git.refs
    refs.compare_and_swap("refs/heads/dev", bench.head("dev").id, base.id,
                          identity=SIGNATURE, message="test")  # fmt: skip
    bench.commit({NAME: b"rate=2\nseed=1\nmine=1\n"})
    bench.commit({NAME: b"rate=3\nseed=2\ngone=1\n"}, branch="dev")
    bench.close()
    merged, held = here.merge_with(f"{name}:conflict=ours")
    assert [(one.where, one.settled) for one in merged.conflicts] == [("rate", Side.OURS)]
    assert held == {NAME: b"rate = 2\nseed = 2\nmine = 1\n"}


# A merge that is ended


@pytest.fixture
def hanging(cli, lab: Lab):
    """A merge whose driver hangs; the driver has begun."""
    cli.environment |= lab.environment
    os.mkfifo(lab.package / "ready")
    process = cli.start(*lab.words("wild:hangs", "--driver-timeout", "0"))
    assert (lab.package / "ready").read_bytes() == b"1"
    return process


def test_ctrl_c_ends_the_driver(lab: Lab, hanging) -> None:
    """The merge is interrupted, and nothing is left."""
    hanging.send_signal(signal.SIGINT)
    _, err = hanging.communicate()
    assert hanging.returncode == 130
    assert b"interrupted" in err
    lab.check_untouched()


@pytest.mark.parametrize("by", ["merge", "gc"])
def test_what_a_killed_merge_leaves_goes_with_the_next(cli, lab: Lab, hanging, by: str) -> None:
    """The driver ends with the merge; its files are removed, by a merge or by gc."""
    hanging.kill()
    hanging.communicate()
    lab.check_no_process()
    assert lab.head == lab.branch()
    assert "left" in {path.name for path in lab.scratch()}
    if by == "gc":
        cli.ok("-C", lab.root, "gc")
    else:
        cli.ok("-C", lab.root, "merge", "dev", "--into", "main", "--dry-run",
               "--strategy-for", "notes=theirs")  # fmt: skip
    assert lab.scratch() == []


def test_the_files_of_a_merge_under_way_stay(cli, lab: Lab, hanging) -> None:
    """While others merge."""
    cli.ok("-C", lab.root, "merge", "dev", "--into", "main", "--dry-run",
           "--strategy-for", "notes=theirs")  # fmt: skip
    assert "left" in {path.name for path in lab.scratch()}
    hanging.send_signal(signal.SIGINT)
    hanging.communicate()
    lab.check_untouched()


def test_what_cannot_be_removed_keeps_nobody_from_merging(here: Lab) -> None:
    """A file among the folders of merges, and one that is no folder of a merge that was killed."""
    top = here.root / ".git" / "mlbfs" / "scratch"
    (top / "old").mkdir(parents=True)
    (top / "old" / "left").write_bytes(b"left")
    (top / "file").write_bytes(b"not ours")
    merged, _ = here.merge("take")
    assert merged.outcome is Outcome.MERGED
    assert sorted(path.name for path in top.iterdir()) == ["file", "lock"]


# Stock Git


def test_git_calls_drivers_in_a_process_of_their_own(cli, lab: Lab, tmp_path: Path) -> None:
    """A crash is a failure that Git is told of, and the file of ours stays."""
    cli.environment |= lab.environment
    files = {side: tmp_path / side for side in Side}
    for side, data in ((Side.BASE, b"base\n"), (Side.OURS, OURS), (Side.THEIRS, THEIRS)):
        files[side].write_bytes(data)
    words = [*files.values(), "7", "notes"]
    done = cli.run("-C", lab.root, "merge-driver", "wild:crashes", *words)
    assert done.code == 129
    assert "merge driver 'wild' failed on 'notes': its process was ended by SIGSEGV" in done.err
    assert files[Side.OURS].read_bytes() == OURS
    cli.ok("-C", lab.root, "merge-driver", "wild:lies_in_a_file", *words)
    assert files[Side.OURS].read_bytes() == OURS + THEIRS
    lab.check_untouched()
