"""Merge drivers that break every promise, and some that keep them; `wild:WORD` names one.

A test copies this module into a distribution of its own, as `wild`. What runs is noted in the file
`processes` beside it.
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
from pathlib import Path

from mlbfs.merge.conflicts import Conflict, ConflictKind
from mlbfs.merge.driver import Data, FileAt, FileSpan, MergeResult, Pieces, Removed, Span, Take
from mlbfs.merge.versions import Side

HERE = Path(__file__).parent


class Wild:
    name = "wild"

    def merge(self, call):
        note_process(os.getpid())
        (call.scratch / "left").write_bytes(b"left")
        return globals()[call.choice.words[0]](call)


class Broken:
    def __init__(self):
        raise ZeroDivisionError("made wrong")


def note_process(number):
    with (HERE / "processes").open("a") as file:
        file.write(f"{number}\n")


def data(*_):
    return MergeResult(Data(b"merged\n"))


def conflict(call, path=None, kind=ConflictKind.CONTENT, message="no", **more):
    found = Conflict(path or call.path, kind, message, **more)
    return MergeResult(Take(Side.OURS), (found,))


def file(call, write):
    path = call.scratch / "made"
    write(path)
    return MergeResult(FileAt(path))


def fork():
    child = os.fork()
    if child == 0:
        while True:
            signal.pause()
    note_process(child)


# What works


def take(call):
    return MergeResult(Take(Side.THEIRS), note="took it")


def lies_in_a_file(call):
    return file(call, lambda path: path.write_bytes(call.read(Side.OURS) + call.read(Side.THEIRS)))


def is_long(call):
    return MergeResult(Data(b"0123456789abcdef" * (2 << 20)))


def tells_much(call):
    texts = {side: letter * 100_000 for side, letter in zip(Side, "bot", strict=True)}
    found = Conflict(call.path, ConflictKind.CELL, "cell", "row", **texts, settled=Side.OURS)
    return MergeResult(Take(Side.OURS), (found,) * 1000)


def is_pieced(call):
    return MergeResult(
        Pieces((Span(Side.OURS, 0, 2), b"+" * (17 << 20), Span(Side.THEIRS, 2, call.theirs.size)))
    )


def is_short(call):
    return MergeResult(Pieces((Span(Side.BASE, 0, 2), b"|", Span(Side.THEIRS, 0, 3))))


def removes(call):
    return MergeResult(Removed())


def keeps_both(call):
    return MergeResult(Take(Side.OURS), beside={call.path + b".theirs": Take(Side.THEIRS)})


def looks_around(call):
    other = call.inputs.find(Side.OURS, b"runs.json")
    said = [call.inputs.find(Side.OURS, b"nothing"), call.inputs.changed_at(Side.OURS, call.path)]
    text = call.inputs.open(other).read(0, 100) + b"%d" % (said[0] is None and said[1] > 0)
    with call.stream(Side.THEIRS, 3) as stream:
        return MergeResult(Data(text + stream.read() + call.open(Side.OURS).read(99, 5)))


def settles(call):
    return conflict(call, settled=Side.OURS)


def prints(call):
    sys.stdout.write("printed\n")
    os.write(1, b"written\n")
    return data()


def forks_and_works(call):
    fork()
    return data()


# What raises or ends


def raises(call):
    raise ZeroDivisionError("a\nline")


class OddError(Exception):
    def __str__(self):
        raise ZeroDivisionError


def raises_odd(call):
    raise OddError


def exits(call):
    sys.exit(0)


def ends(call):
    os._exit(0)


def crashes(call):
    ctypes.string_at(0)


def is_killed(call):
    os.kill(os.getpid(), signal.SIGKILL)


def forks_and_ends(call):
    fork()
    os._exit(3)


def closes(call):
    os.closerange(3, 256)
    return data()


def closes_and_stays(call):
    os.closerange(3, 256)
    while True:
        signal.pause()


def scribbles(call):
    for number in range(3, 32):
        with contextlib.suppress(OSError):
            os.write(number, b"\xff" * 64)
    return data()


def asks_nonsense(call):
    call.inputs._ask({"do": "read", "handle": 7, "offset": 0, "length": 1})


def reads_nothing_there(call):
    version = type(call.ours)(call.ours.mode, b"\1" * 20, b"\2" * 32, 5)
    return MergeResult(Data(call.inputs.open(version).read(0, 5)))


# What hangs


def hangs(call):
    if (HERE / "ready").exists():
        (HERE / "ready").write_bytes(b"1")  # a pipe that the test reads
    while True:
        time.sleep(100)


def hangs_in_c(call):
    ctypes.PyDLL(None).pause()  # with the interpreter's lock


def reads_for_ever(call):
    while True:
        call.read(Side.OURS)


# What is nonsense


def nothing(call):
    return None


def no_content(call):
    return MergeResult(None)


def text(call):
    return MergeResult(Data("text"))


def unknown_side(call):
    return MergeResult(Take("left"))


def span_outside(call):
    return MergeResult(Pieces((Span(Side.OURS, 0, call.ours.size + 1),)))


def span_backwards(call):
    return MergeResult(Pieces((Span(Side.OURS, 2, 1),)))


def span_negative(call):
    return MergeResult(Pieces((Span(Side.OURS, -1, 1),)))


def span_of_words(call):
    return MergeResult(Pieces((Span(Side.OURS, "0", True),)))


def file_span_outside(call):
    path = call.scratch / "short"
    path.write_bytes(b"abc")
    return MergeResult(Pieces((FileSpan(path, 0, 4),)))


def file_span_elsewhere(call):
    return MergeResult(Pieces((FileSpan(Path("/etc/passwd"), 0, 1),)))


def is_spanned(call):
    path = call.scratch / "parts"
    path.write_bytes(b"abcdef")
    return MergeResult(Pieces((FileSpan(path, 4, 6), Span(Side.OURS, 0, 2), FileSpan(path, 0, 1))))


def file_outside(call):
    return MergeResult(FileAt(Path("/etc/passwd")))


def file_by_link(call):
    return file(call, lambda path: path.symlink_to("/etc/passwd"))


def file_by_linked_folder(call):
    (call.scratch / "folder").symlink_to("/etc")
    return MergeResult(FileAt(call.scratch / "folder" / "passwd"))


def folder(call):
    return file(call, lambda path: path.mkdir())


def pipe(call):
    return file(call, os.mkfifo)


def no_file(call):
    return MergeResult(FileAt(call.scratch / "missing"))


def file_of_odd_name(call):
    return MergeResult(FileAt("\0"))


def unknown_kind(call):
    return conflict(call, kind="quarrel")


def other_path(call):
    return conflict(call, path=b"other")


def no_words(call):
    return conflict(call, message=None)


def odd_values(call):
    return conflict(call, ours=7)


def odd_settling(call):
    return conflict(call, settled="left")


def no_conflict(call):
    return MergeResult(Take(Side.OURS), ("a conflict",))


def beside_above(call):
    return MergeResult(Take(Side.OURS), beside={b"../escaped": Data(b"")})


def beside_git(call):
    return MergeResult(Take(Side.OURS), beside={b".git": Data(b"")})


def beside_itself(call):
    return MergeResult(Take(Side.OURS), beside={call.path: Data(b"")})


def beside_another(call):
    return MergeResult(Take(Side.OURS), beside={b"runs.json": Data(b"")})


def beside_a_folder(call):
    return MergeResult(Take(Side.OURS), beside={b"folder": Data(b"")})


def beside_removed(call):
    return MergeResult(Take(Side.OURS), beside={b"beside": Removed()})


def two_lines(call):
    return MergeResult(Take(Side.OURS), note="one\ntwo")


def note_of_bytes(call):
    return MergeResult(Take(Side.OURS), note=b"bytes")


def gigabytes(call):
    return MergeResult(Take(Side.OURS), note="x" * (257 << 20))


def shrinks_the_memory(call):
    for number in range(3, 32):
        with contextlib.suppress(OSError):
            os.ftruncate(number, 0)
    return MergeResult(Data(b"%d" % len(call.read(Side.OURS))))
