"""Merges without a checkout: of two branches of a million files, and of a long file of records.

    python benchmarks/merging.py [--work DIR] [--scale 1.0] [--rounds 5] [CASE ...]

`git merge-tree` merges the same commits of the same repository; it writes trees and no commit, and
moves no branch. At full size the files need 5 GB of disk for some minutes.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

from changes import FOLDER, make_files
from harness import (
    MLBFS,
    Plan,
    Row,
    alternate,
    disk_usage,
    mlbfs,
    peak_memory,
    remove,
    run,
    run_cases,
)

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = 1_000_000
CHANGES = 1000


def _branches(plan: Plan) -> Path:
    """Makes a repository with the branches `ours` and `theirs`, which begin at `base`."""
    files, repository = plan.work / "files", plan.work / "repository"
    for path in (files, repository):
        remove(path)
    files.mkdir()
    count = plan.count(FILES)
    make_files(files, count, flat=False)
    mlbfs("init", repository)
    mlbfs("-C", repository, "import", f"{files}/", "--branch", "base", "-m", "base")
    remove(files)
    step = max(2, count // min(CHANGES, count // 2))
    for branch, first in (("ours", 0), ("theirs", step // 2)):
        changed = plan.work / branch
        remove(changed)
        for number in range(first, count, step):
            path = changed / f"{number // FOLDER:04}" / f"{number:07}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{branch} {number}\n")
        words = ["import", f"{changed}/", "--branch", branch, "--from", "base", "-m", branch]
        mlbfs("-C", repository, *words)
        remove(changed)
    return repository


def tree(plan: Plan) -> list[Row]:
    """A thousand changes on each side, in all folders."""
    repository = _branches(plan)
    ours = run(["git", "-C", repository, "rev-parse", "ours"]).strip()

    def back() -> None:
        run(["git", "-C", repository, "update-ref", "refs/heads/ours", ours])

    samples = alternate(
        plan.rounds,
        {
            "ours": lambda: mlbfs("-C", repository, "merge", "theirs", "--into", "ours"),
            "other": lambda: run(
                ["git", "-C", repository, "merge-tree", "--write-tree", "ours", "theirs"]
            ),
        },
        before=back,
    )
    name = f"merge of two branches of {plan.count(FILES):,} files, {CHANGES:,} changes each"
    row = Row(name, "`git merge-tree`", "under 3 s", ours=samples["ours"], other=samples["other"])
    row.notes = {"load_average": os.getloadavg()}
    row.settle(at_most=float("inf"))
    row.reached = sorted(row.ours)[len(row.ours) // 2] <= 3
    remove(repository)
    return [row]


def _records(path: Path, *, size: int, seed: str) -> None:
    """Writes JSON records of a hundred bytes, until the file has a size."""
    chance, number = random.Random(seed), 0
    with path.open("w") as file:
        while file.tell() < size:
            file.writelines(
                f'{{"id": "{seed}{number + n}", "loss": {chance.random():.12f}, '
                f'"tag": "{chance.getrandbits(128):032x}"}}\n'
                for n in range(1000)
            )
            number += 1000


def records(plan: Plan) -> list[Row]:
    """10,000 records appended to 1 GB of JSON Lines on each side, against `cp` and an append."""
    repository, copy = plan.work / "repository", plan.work / "copy"
    file = plan.work / "records.jsonl"
    remove(repository)
    mlbfs("init", repository)
    _records(file, size=plan.count(1_000_000_000), seed="base")
    size = file.stat().st_size
    mlbfs("-C", repository, "import", file, "--branch", "base", "-m", "base")
    tails = {}
    for branch in ("ours", "theirs"):
        tail = plan.work / branch
        _records(tail, size=plan.count(1_000_000), seed=branch)
        tails[branch] = tail.read_bytes()
        os.truncate(file, size)
        with file.open("ab") as opened:
            opened.write(tails[branch])
        words = ["import", file, "--branch", branch, "--from", "base", "-m", branch]
        mlbfs("-C", repository, *words)
    head = run(["git", "-C", repository, "rev-parse", "ours"]).strip()
    packs = repository / ".git" / "mlbfs" / "packs"
    before = disk_usage(packs)
    merge: list[str | Path] = [MLBFS, "-C", repository, "merge", "theirs", "--into", "ours"]
    memory = Row("the same: peak resident memory", "", "under 300 MB", unit="MB")
    memory.ours.append(peak_memory(*merge))
    stored = Row("the same: new stored bytes", "", "", unit="MB", ours=[disk_usage(packs) - before])

    def back() -> None:
        run(["git", "-C", repository, "update-ref", "refs/heads/ours", head])
        remove(copy)

    def append() -> None:
        run(["cp", file, copy])
        with copy.open("ab") as opened:
            opened.write(tails["ours"])
        os.sync()

    samples = alternate(plan.rounds, {"ours": lambda: run(merge), "other": append}, before=back)
    row = Row("merge of 10,000 records appended on each side to 1 GB", "`cp`, then append", "")
    row.target, row.ours, row.other = "under 20 s", samples["ours"], samples["other"]
    row.settle(at_most=float("inf"))
    row.reached = sorted(row.ours)[len(row.ours) // 2] <= 20
    memory.reached = memory.ours[0] < 300e6
    for path in (repository, copy, file):
        remove(path)
    return [row, memory, stored]


_EDITS_BY_HAND = """
import json, sys
base, ours, theirs = (
    {json.loads(line)["id"]: line for line in open(path)} for path in sys.argv[1:4]
)
with open(sys.argv[4], "w") as file:
    for id in dict.fromkeys([*ours, *theirs]):
        mine, was, other = (found.get(id) for found in (ours, base, theirs))
        line = other if mine == was else mine
        if line is not None:
            file.write(line)
"""


def edits(plan: Plan) -> list[Row]:
    """Records changed, added and removed all over 200 MB of JSON Lines with a key."""
    paths = _versions(plan, "records.jsonl")
    _records(paths[0], size=plan.count(200_000_000), seed="base")
    lines = paths[0].read_bytes().splitlines(keepends=True)
    for number in (1, 2):
        _edit(lines, paths[number], first=number)
    del lines
    name = "merge of 200 MB of records by key, changed in 1,000 places on each side"
    row, memory = _against_script(plan, name, paths, "jsonl:key=id", _EDITS_BY_HAND)
    memory.target, memory.reached = "under 300 MB", memory.ours[0] < 300e6
    return [row, memory]


def _versions(plan: Plan, name: str) -> list[Path]:
    """Returns where the versions of base, ours and theirs are written to."""
    paths = [plan.work / side / name for side in ("base", "ours", "theirs")]
    for path in paths:
        remove(path.parent)
        path.parent.mkdir()
    return paths


def _against_script(
    plan: Plan, name: str, paths: list[Path], choice: str, script: str
) -> tuple[Row, Row]:
    """Merges three versions of a file, against a script that is given them and where to write."""
    repository, out = plan.work / "repository", plan.work / "merged"
    remove(repository)
    mlbfs("init", repository)
    for path in paths:
        side = path.parent.name
        start = [] if side == "base" else ["--from", "base"]
        mlbfs("-C", repository, "import", path, "--branch", side, *start, "-m", side)
    head = run(["git", "-C", repository, "rev-parse", "ours"]).strip()
    merge: list[str | Path] = [MLBFS, "-C", repository, "merge", "theirs", "--into", "ours"]
    merge += ["--strategy-for", f"{paths[0].name}={choice}"]
    by_hand: list[str | Path] = [sys.executable, "-c", script, *paths, out]
    memory = Row("the same: peak resident memory", "", "", unit="MB")
    memory.ours, memory.other = [peak_memory(*merge)], [peak_memory(*by_hand)]

    def back() -> None:
        run(["git", "-C", repository, "update-ref", "refs/heads/ours", head])
        remove(out)

    def write() -> None:
        run(by_hand)
        os.sync()

    samples = alternate(plan.rounds, {"ours": lambda: run(merge), "other": write}, before=back)
    row = Row(name, "a script that holds them in memory", "faster than the script")
    row.ours, row.other = samples["ours"], samples["other"]
    row.settle(at_most=1)
    for path in (repository, out, *(path.parent for path in paths)):
        remove(path)
    return row, memory


def _edit(lines: list[bytes], path: Path, *, first: int) -> None:
    """Writes records of which some are changed, some gone, and some behind new ones."""
    changed = list(lines)
    step = max(3, len(lines) // 1000)
    for at in range(first, len(lines), step):
        kind = at // step % 3
        line = changed[at]
        changed[at] = (line.replace(b'"loss": 0', b'"loss": 1'), b"", _new_record(at) + line)[kind]
    path.write_bytes(b"".join(changed))


def _new_record(number: int) -> bytes:
    return b'{"id": "new %d", "loss": 0.5, "tag": ""}\n' % number


_DOCUMENT_BY_HAND = """
import json, sys
base, ours, theirs = (
    {row["id"]: row for row in json.load(open(path))} for path in sys.argv[1:4]
)
merged = []
for id in dict.fromkeys([*ours, *theirs]):
    mine, was, other = (found.get(id) for found in (ours, base, theirs))
    row = other if mine == was else mine
    if row is not None:
        merged.append(row)
json.dump(merged, open(sys.argv[4], "w"))
"""


def document(plan: Plan) -> list[Row]:
    """A list of 500,000 objects in one JSON document, 100 changed and one added on each side."""
    chance, count = random.Random("base"), plan.count(500_000)
    base = [
        {"id": n, "loss": chance.random(), "tag": f"{chance.getrandbits(128):032x}", "at": [n, 1]}
        for n in range(count)
    ]
    paths = _versions(plan, "runs.json")
    paths[0].write_text(json.dumps(base))
    for number in (1, 2):
        rows = list(base)
        for at in range(number, count, max(3, count // 100)):
            rows[at] = rows[at] | {"loss": -1.0}
        rows.append({"id": -number, "loss": 0.5, "tag": "", "at": []})
        paths[number].write_text(json.dumps(rows))
    del base, rows
    name = "merge of JSON documents of 500,000 records by key, 100 changed on each side"
    return list(_against_script(plan, name, paths, "json:key=id", _DOCUMENT_BY_HAND))


def _table(path: Path, rows: int) -> None:
    """Writes a table of samples with an index."""
    chance = random.Random("base")
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TABLE sample "
            "(id INTEGER PRIMARY KEY, name TEXT, score REAL, label INT, note TEXT)"
        )
        database.execute("CREATE INDEX by_label ON sample (label)")
        database.executemany(
            "INSERT INTO sample VALUES (?, ?, ?, ?, ?)",
            (
                (n, f"sample {n}", chance.random(), n % 100, f"{chance.getrandbits(96):024x}")
                for n in range(rows)
            ),
        )
    database.close()


def _change(path: Path, rows: int, column: str) -> None:
    """Changes one row in a hundred, in one column, and adds a thousandth."""
    chance = random.Random(column)
    with sqlite3.connect(path) as database:
        database.executemany(
            f"UPDATE sample SET {column} = -1 WHERE id = ?",
            ((n,) for n in chance.sample(range(rows), rows // 100)),
        )
        database.executemany(
            "INSERT INTO sample (name, score) VALUES (?, 1)",
            ((f"{column} {n}",) for n in range(rows // 1000)),
        )
    database.close()


def database(plan: Plan) -> list[Row]:
    """1 % of 1,000,000 rows changed on each side, against `cp` of the database."""
    repository, copy, file = plan.work / "repository", plan.work / "copy", plan.work / "samples.db"
    rows = plan.count(1_000_000)
    remove(repository)
    mlbfs("init", repository)
    _table(file, rows)
    mlbfs("-C", repository, "import", file, "--branch", "base", "-m", "base")
    run(["cp", file, copy])
    for branch, column in (("ours", "score"), ("theirs", "label")):
        run(["cp", copy, file])
        _change(file, rows, column)
        words = ["import", file, "--branch", branch, "--from", "base", "-m", branch]
        mlbfs("-C", repository, *words)
    head = run(["git", "-C", repository, "rev-parse", "ours"]).strip()
    merge: list[str | Path] = [MLBFS, "-C", repository, "merge", "theirs", "--into", "ours"]
    memory = Row("the same: peak resident memory", "", "", unit="MB")
    memory.ours.append(peak_memory(*merge))

    def back() -> None:
        run(["git", "-C", repository, "update-ref", "refs/heads/ours", head])
        remove(copy)

    def again() -> None:
        run(["cp", file, copy])
        os.sync()

    samples = alternate(plan.rounds, {"ours": lambda: run(merge), "other": again}, before=back)
    row = Row(
        "merge of a database of 1,000,000 rows, 1 % changed on each side", "`cp`", "under 5 s"
    )
    row.ours, row.other = samples["ours"], samples["other"]
    row.settle(at_most=float("inf"))
    row.reached = sorted(row.ours)[len(row.ours) // 2] <= 5
    for path in (repository, copy, file):
        remove(path)
    return [row, memory]


_APPEND_BY_HAND = """
import sys
import pyarrow as pa, pyarrow.parquet as pq
base, ours, theirs = (pq.read_table(path) for path in sys.argv[1:4])
merged = pa.concat_tables([ours, theirs.slice(base.num_rows)])
pq.write_table(merged, sys.argv[4])
"""
_KEY_BY_HAND = """
import sys
import pyarrow as pa, pyarrow.compute as pc, pyarrow.parquet as pq
base, ours, theirs = (pq.read_table(path) for path in sys.argv[1:4])
joined = ours.join(base, "id", "id", "full outer", right_suffix=" base")
joined = joined.join(theirs, "id", "id", "full outer", right_suffix=" theirs").sort_by("id")
columns = {"id": joined["id"]}
for name in ours.column_names[1:]:
    mine, was, other = (joined[name + suffix] for suffix in ("", " base", " theirs"))
    is_same = pc.fill_null(pc.equal(mine, was), False)
    columns[name] = pc.if_else(pc.or_(is_same, pc.is_null(mine)), other, mine)
    columns[name] = pc.coalesce(columns[name], mine)
pq.write_table(pa.table(columns), sys.argv[4])
"""


def _columns(rows: int, seed: str, first: int = 0) -> dict[str, list[object]]:
    chance = random.Random(seed)
    return {
        "id": list(range(first, first + rows)),
        "name": [f"{seed} {number}" for number in range(rows)],
        "score": [chance.random() for _ in range(rows)],
        "label": [chance.randrange(100) for _ in range(rows)],
        "note": [f"{chance.getrandbits(96):024x}" for _ in range(rows)],
    }


def _parquet(plan: Plan, name: str, key: str, by_hand: str, *, with_changes: bool) -> list[Row]:
    """Merges tables of 1,000,000 rows, to which each side adds 10,000, against a script."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    repository, out = plan.work / "repository", plan.work / "merged.parquet"
    rows, added = plan.count(1_000_000), plan.count(10_000)
    remove(repository)
    mlbfs("init", repository)
    table = pa.table(_columns(rows, "base"))
    paths = []
    for number, side in enumerate(("base", "ours", "theirs")):
        path, found = plan.work / side / "table.parquet", table
        path.parent.mkdir(exist_ok=True)
        if number:
            if with_changes:
                column = ("score", "label")[number - 1]
                values = found[column].to_pylist()
                for row in random.Random(side).sample(range(rows), rows // 100):
                    values[row] = -1
                place = found.schema.names.index(column)
                found = found.set_column(place, column, [values])
            more = pa.table(_columns(added, side, rows + number * added))
            found = pa.concat_tables([found, more])
        pq.write_table(found, path, row_group_size=1 << 17)
        start = [] if side == "base" else ["--from", "base"]
        mlbfs("-C", repository, "import", path, "--branch", side, *start, "-m", side)
        paths.append(path)
    head = run(["git", "-C", repository, "rev-parse", "ours"]).strip()
    packs = repository / ".git" / "mlbfs" / "packs"
    before = disk_usage(packs)
    merge: list[str | Path] = [MLBFS, "-C", repository, "merge", "theirs", "--into", "ours"]
    merge += ["--strategy-for", f"*.parquet={key}"]
    memory = Row("the same: peak resident memory", "", "", unit="MB")
    memory.ours.append(peak_memory(*merge))
    stored = Row("the same: new stored bytes, against the size of the script's file", "", "")
    stored.unit, stored.ours = "MB", [disk_usage(packs) - before]

    def back() -> None:
        run(["git", "-C", repository, "update-ref", "refs/heads/ours", head])
        remove(out)

    def script() -> None:
        run([sys.executable, "-c", by_hand, *paths, out])
        os.sync()
        stored.other = [out.stat().st_size]

    samples = alternate(plan.rounds, {"ours": lambda: run(merge), "other": script}, before=back)
    row = Row(name, "a script with pyarrow", "under 5 s")
    row.ours, row.other = samples["ours"], samples["other"]
    row.settle(at_most=float("inf"))
    row.reached = sorted(row.ours)[len(row.ours) // 2] <= 5
    for path in (repository, out, *paths):
        remove(path)
    return [row, memory, stored]


def table_append(plan: Plan) -> list[Row]:
    """Rows that both sides append to a Parquet file."""
    name = "merge of Parquet files of 1,000,000 rows, 10,000 appended on each side"
    return _parquet(plan, name, "parquet", _APPEND_BY_HAND, with_changes=False)


def table_key(plan: Plan) -> list[Row]:
    """Cells that both sides change in a Parquet file with a key."""
    name = "merge of Parquet files by key, 1,000,000 rows, 1 % changed on each side"
    return _parquet(plan, name, "parquet:key=id", _KEY_BY_HAND, with_changes=True)


def copy(plan: Plan) -> list[Row]:
    """A folder of 100,000 files copied to another branch, against Git's own commands for that."""
    files, repository, index = plan.work / "files", plan.work / "repository", plan.work / "index"
    for path in (files, repository):
        remove(path)
    (files / "data").mkdir(parents=True)
    count = plan.count(100_000)
    make_files(files / "data", count, flat=False)
    mlbfs("init", repository)
    mlbfs("-C", repository, "import", f"{files}/", "--branch", "raw", "-m", "raw")
    remove(files)
    files.mkdir()
    (files / "train.py").write_text("import data\n")
    mlbfs("-C", repository, "import", f"{files}/", "--branch", "main", "-m", "code")
    head = run(["git", "-C", repository, "rev-parse", "main"]).strip()

    trees = set()

    def back() -> None:
        run(["git", "-C", repository, "update-ref", "refs/heads/main", head])
        index.unlink(missing_ok=True)

    def look() -> None:
        trees.add(run(["git", "-C", repository, "rev-parse", "main^{tree}"]))

    def git() -> None:
        environment = {"GIT_INDEX_FILE": str(index)}
        words = ["git", "-C", repository]
        run([*words, "read-tree", "main"], extra_env=environment)
        run([*words, "read-tree", "-i", "--prefix=in/data/", "raw:data"], extra_env=environment)
        tree = run([*words, "write-tree"], extra_env=environment).strip()
        commit = run([*words, "commit-tree", "-p", "main", "-m", "copy", tree]).strip()
        run([*words, "update-ref", "refs/heads/main", commit])

    samples = alternate(
        plan.rounds,
        {
            "ours": lambda: mlbfs("-C", repository, "copy", "raw:data", "--to", "main:in"),
            "other": git,
        },
        before=back,
        after=look,
    )
    assert len(trees) == 1, "both make the same tree"
    name = f"copy of a folder of {count:,} files to another branch"
    row = Row(name, "`git read-tree --prefix`", "under 0.5 s")
    row.ours, row.other = samples["ours"], samples["other"]
    row.settle(at_most=float("inf"))
    row.reached = sorted(row.ours)[len(row.ours) // 2] <= 0.5
    for path in (files, repository, index):
        remove(path)
    return [row]


CASES: dict[str, Callable[[Plan], list[Row]]] = {
    "tree": tree,
    "records": records,
    "edits": edits,
    "document": document,
    "database": database,
    "table-append": table_append,
    "table-key": table_key,
    "copy": copy,
}


if __name__ == "__main__":
    run_cases(CASES, __doc__)
