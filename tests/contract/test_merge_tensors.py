"""What the driver of tensors keeps, for each of its formats."""

from __future__ import annotations

import io
import json
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from mlbfs.errors import InvalidInputError
from mlbfs.merge import windows
from mlbfs.merge.conflicts import ConflictKind
from mlbfs.merge.driver import Pieces, Span, Take
from mlbfs.merge.safetensors import BITS, MAX_HEADER
from mlbfs.merge.versions import Side
from tests.contract.merging import merge

Arrays = dict[str, np.ndarray]
TENSORS = st.builds(
    np.array,
    st.lists(st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("inf")]), max_size=4),
    dtype=st.sampled_from([np.float32, np.float64]),
) | st.builds(np.array, st.lists(st.integers(0, 9), max_size=4), dtype=st.just(np.uint8))
FILES = st.dictionaries(st.sampled_from(["w", "b", "é", "a.b"]), TENSORS, max_size=4)
FORMATS = ["safetensors", "npz", "packed"]


def save(kind: str, arrays: Arrays) -> bytes:
    """Writes a file with the library of its format."""
    if kind == "safetensors":
        return save_safetensors(arrays)
    file = io.BytesIO()
    (np.savez if kind == "npz" else np.savez_compressed)(file, **arrays)
    return file.getvalue()


def load(kind: str, data: bytes | None) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Reads a file with the library of its format, so that values can be compared by bytes."""
    assert data is not None, "the file is there"
    if kind == "safetensors":
        arrays = load_safetensors(data)
    else:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    return {name: (one.dtype.str, one.shape, one.tobytes()) for name, one in arrays.items()}


def seen(arrays: Arrays) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Returns arrays as `load` does."""
    return {name: (one.dtype.str, one.shape, one.tobytes()) for name, one in arrays.items()}


def f32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


# Properties


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=60, deadline=None)
@given(base=FILES, ours=FILES, theirs=FILES)
def test_the_side_that_changed_a_tensor_wins(
    kind: str, base: Arrays, ours: Arrays, theirs: Arrays
) -> None:
    """A model of the rule by name; what both changed is theirs, and told; nothing else is."""
    before, mine, other = seen(base), seen(ours), seen(theirs)
    wanted, changed, removed = {}, set(), set()
    for name in mine.keys() | other.keys():
        b, o, t = before.get(name), mine.get(name), other.get(name)
        if t in (o, b):
            value = o
        elif o == b:
            value = t
        elif o is None or t is None:
            removed.add(name)
            value = o or t
        else:
            changed.add(name)
            value = t
        if value is not None:
            wanted[name] = value
    found = merge("tensors", *(save(kind, one) for one in (base, ours, theirs)))
    assert load(kind, found.data) == wanted
    suffix = "" if kind == "safetensors" else ".npy"
    assert {one.where.removesuffix(suffix) for one in found.conflicts} == changed | removed
    assert {one.where.removesuffix(suffix) for one in found.open_conflicts} == removed


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=40, deadline=None)
@given(base=FILES, changed=FILES)
def test_an_unchanged_side_gives_the_other(kind: str, base: Arrays, changed: Arrays) -> None:
    """Without a conflict, and tensor for tensor."""
    before, after = save(kind, base), save(kind, changed)
    for ours, theirs in ((before, after), (after, before)):
        for words in ("", ":average", ":conflict=fail"):
            found = merge(f"tensors{words}", before, ours, theirs)
            assert found.conflicts == ()
            assert load(kind, found.data) == seen(changed)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("words", ["", ":average:conflict=ours", ":conflict=ours"])
@settings(max_examples=30, deadline=None)
@given(base=FILES, ours=FILES, theirs=FILES)
def test_merging_again_changes_nothing(
    kind: str, words: str, base: Arrays, ours: Arrays, theirs: Arrays
) -> None:
    """What came of it has all that theirs brought."""
    versions = [save(kind, one) for one in (base, ours, theirs)]
    first = merge(f"tensors{words}", *versions)
    again = merge(f"tensors{words}", versions[2], first.data, versions[2])
    assert again.data == first.data


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=40, deadline=None)
@given(base=FILES, ours=FILES, theirs=FILES)
def test_a_mean_does_not_ask_which_side_is_ours(
    kind: str, base: Arrays, ours: Arrays, theirs: Arrays
) -> None:
    """Swapping the sides mirrors the conflicts, and gives the same tensors where there are none."""
    versions = [save(kind, one) for one in (base, ours, theirs)]
    one = merge("tensors:average", *versions)
    other = merge("tensors:average", versions[0], versions[2], versions[1])
    told = {(found.where, found.ours, found.theirs) for found in one.conflicts}
    assert told == {(found.where, found.theirs, found.ours) for found in other.conflicts}
    if not told:
        assert load(kind, one.data) == load(kind, other.data)


@settings(max_examples=40, deadline=None)
@given(base=FILES, ours=FILES, theirs=FILES, step=st.sampled_from([16, 64]))
def test_the_size_of_a_step_does_not_matter(
    base: Arrays, ours: Arrays, theirs: Arrays, step: int
) -> None:
    """Reading in steps gives what reading at once gives."""
    versions = [save("safetensors", one) for one in (base, ours, theirs)]
    wanted = merge("tensors:average", *versions)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "STEP", step)
        assert merge("tensors:average", *versions).data == wanted.data


# What a result is made of


def test_what_did_not_change_is_a_span_of_ours() -> None:
    """One tensor of theirs comes in at the place of the old one; the rest is not touched."""
    base = {"a": f32(*range(100)), "b": f32(*range(100)), "c": f32(*range(100))}
    ours, theirs = base | {"c": f32(*[2] * 100)}, base | {"b": f32(*[3] * 100)}
    versions = [save_safetensors(one) for one in (base, ours, theirs)]
    found = merge("tensors", *versions)
    assert load("safetensors", found.data) == seen(ours | {"b": theirs["b"]})
    start = len(versions[1]) - 1200
    assert found.result.content == Pieces(
        (
            Span(Side.OURS, 0, start + 400),
            Span(Side.THEIRS, start + 400, start + 800),
            Span(Side.OURS, start + 800, start + 1200),
        )
    )
    assert merge("tensors", versions[0], versions[1], versions[0]).result.content == Take(Side.OURS)


def test_a_new_tensor_stands_behind_those_of_ours_and_is_aligned() -> None:
    """Large numbers come first, if they did before; the tensors begin at a multiple of eight."""
    base = {"z": np.zeros(3, np.uint8)}
    ours, theirs = base | {"y": np.ones(3, np.uint8)}, base | {"x": np.ones(2, np.float64)}
    found = merge("tensors", *(save_safetensors(one) for one in (base, ours, theirs)))
    assert found.data is not None
    (length,) = struct.unpack("<Q", found.data[:8])
    assert (8 + length) % 8 == 0
    assert next(iter(json.loads(found.data[8 : 8 + length]))) == "x"
    assert load("safetensors", found.data) == seen(ours | theirs)


def test_entries_of_archives_keep_their_bytes() -> None:
    """Packed or not: an archive of which one array changed is mostly spans."""
    base = {"a": f32(*range(100)), "b": f32(*range(100))}
    ours, theirs = base | {"c": f32(1)}, base | {"b": f32(2)}
    versions = [save("packed", base), save("npz", ours), save("packed", theirs)]
    found = merge("tensors", *versions)
    assert load("npz", found.data) == seen(ours | theirs)
    content = found.result.content
    assert isinstance(content, Pieces)
    assert [type(part) for part in content.parts] == [Span, Span, Span, bytes]
    with zipfile.ZipFile(io.BytesIO(found.data or b"")) as archive:
        assert archive.testzip() is None
        methods = {one.filename: one.compress_type for one in archive.infolist()}
    assert methods == {"a.npy": 0, "b.npy": 8, "c.npy": 0}


def test_entries_whose_sizes_stand_behind_them_are_written_anew() -> None:
    """As archives have them that were written to a pipe."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.data += bytes(data)  # type: ignore[call-overload]
            return memoryview(data).nbytes  # type: ignore[arg-type]

    def piped(arrays: Arrays) -> bytes:
        pipe = Pipe()
        with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.comment = b"from a pipe"
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w") as entry:
                    np.lib.format.write_array(entry, array)
        return pipe.data

    base = {"a": f32(1, 2), "b": f32(3)}
    ours, theirs = base | {"b": f32(4)}, base | {"a": f32(5), "é": f32(6)}
    found = merge("tensors", *(piped(one) for one in (base, ours, theirs)))
    assert load("npz", found.data) == seen(theirs | {"b": ours["b"]})
    with zipfile.ZipFile(io.BytesIO(found.data or b"")) as archive:
        assert (archive.comment, archive.testzip()) == (b"from a pipe", None)


# Policies


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("words", "value", "settled"),
    [
        ("", 3, Side.THEIRS),
        (":overwrite", 3, Side.THEIRS),
        (":overwrite:conflict=ours", 3, Side.THEIRS),
        (":conflict=ours", 2, Side.OURS),
        (":conflict=theirs", 3, Side.THEIRS),
        (":conflict=fail", 2, None),
    ],
)
def test_what_both_changed_is_settled_by_the_policy_and_told(
    kind: str, words: str, value: int, settled: Side | None
) -> None:
    """With its name, and what each side has there."""
    base, ours, theirs = ({"w": f32(number)} for number in (1, 2, 3))
    found = merge(f"tensors{words}", *(save(kind, one) for one in (base, ours, theirs)))
    assert load(kind, found.data) == seen({"w": f32(value)})
    (conflict,) = found.conflicts
    assert (conflict.kind, conflict.settled) == (ConflictKind.VALUE, settled)
    assert (conflict.where, conflict.ours) == (
        "w" if kind == "safetensors" else "w.npy",
        "<f4 [1]",
    )


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("words", "there", "settled"),
    [
        ("", True, None),
        (":average", True, None),
        (":conflict=ours", False, Side.OURS),
        (":average:conflict=theirs", True, Side.THEIRS),
    ],
)
def test_what_one_removed_and_the_other_changed(
    kind: str, words: str, there: bool, settled: Side | None
) -> None:
    """`overwrite` does not settle it: that a tensor is gone is no newer tensor."""
    base, ours, theirs = {"w": f32(1), "b": f32(1)}, {"b": f32(1)}, {"w": f32(2), "b": f32(1)}
    found = merge(f"tensors{words}", *(save(kind, one) for one in (base, ours, theirs)))
    assert load(kind, found.data) == seen(theirs if there else ours)
    (conflict,) = found.conflicts
    assert conflict.settled is settled
    assert conflict.message == "ours removed it, theirs changed it"


@pytest.mark.parametrize("words", ["overwrite:average", "conflict=both"])
def test_wishes_that_contradict_each_other_are_refused(words: str) -> None:
    """And so is a policy that there is none."""
    with pytest.raises(InvalidInputError):
        merge(f"tensors:{words}", b"", b"", b"")


# Means


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", "<c8"])
def test_means_are_rounded_once(kind: str, dtype: str) -> None:
    """Of numbers whose sum is too large, too; NaN stays NaN."""
    largest = np.finfo(dtype).max
    base, ours, theirs = (
        {"w": np.array(values, dtype), "other": f32(1)}
        for values in ([0, 0, 0, 0], [1, largest, np.nan, np.inf], [4, largest, 1, np.inf])
    )
    found = merge("tensors:average", *(save(kind, one) for one in (base, ours, theirs)))
    assert (found.conflicts, found.note) == ((), "1 averaged")
    wanted = {"w": np.array([2.5, largest, np.nan, np.inf], dtype), "other": f32(1)}
    values = load(kind, found.data)
    assert values["other"] == seen(wanted)["other"]
    np.testing.assert_array_equal(np.frombuffer(values["w"][2], dtype), wanted["w"])


def raw(tensors: dict[str, tuple[str, list[int], bytes]], **metadata: str) -> bytes:
    """Writes safetensors of types that NumPy has not."""
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    at = 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + b"".join(one[2] for one in tensors.values())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF)), min_size=1))
def test_means_of_bfloat16_are_the_nearest(pairs: list[tuple[int, int]]) -> None:
    """No other number of that type is nearer to the exact mean."""
    ours, theirs = (struct.pack(f"<{len(pairs)}H", *one) for one in zip(*pairs, strict=True))
    files = [
        raw({"w": ("BF16", [len(pairs)], one)}) for one in (b"\1\1" * len(pairs), ours, theirs)
    ]
    found = merge("tensors:average", *files)
    assert found.conflicts == ()
    assert found.data is not None
    result = struct.unpack(f"<{len(pairs)}H", found.data[-2 * len(pairs) :])
    if files[0] in files[1:] or files[1] == files[2]:
        return
    for (one, other), mean in zip(pairs, result, strict=True):
        exact = (wide(one) + wide(other)) / 2
        if np.isnan(exact) or np.isinf(exact):
            assert str(wide(mean)) == str(exact).lstrip("+")
            continue
        nearest = abs(wide(mean) - exact)
        for near in (mean - 1, mean + 1):
            if np.isfinite(wide(near & 0xFFFF)):
                assert nearest <= abs(wide(near & 0xFFFF) - exact)


def wide(bits: int) -> float:
    """Returns the value of a number of sixteen bits, the upper half of one of thirty-two."""
    return float(struct.unpack("<f", struct.pack("<I", bits << 16))[0])


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (("I32", [1], b"\1\0\0\0"), ("I32", [1], b"\2\0\0\0"), "I32 cannot be averaged"),
        (("BOOL", [1], b"\1"), ("BOOL", [1], b"\2"), "BOOL cannot be averaged"),
        (("F8_E4M3", [1], b"\1"), ("F8_E4M3", [1], b"\2"), "F8_E4M3 cannot be averaged"),
        (("F4", [2], b"\1"), ("F4", [2], b"\2"), "F4 cannot be averaged"),
        (("BF16", [1], b"\1\0"), ("F16", [1], b"\1\0"), "have no mean"),
        (("BF16", [1], b"\1\0"), ("BF16", [1, 1], b"\1\1"), "have no mean"),
    ],
)
def test_what_has_no_mean_is_a_conflict(
    ours: tuple[str, list[int], bytes], theirs: tuple[str, list[int], bytes], words: str
) -> None:
    """Told with the reason, and settled only by `conflict=`."""
    versions = (raw({"w": ("U8", [1], b"\0")}), raw({"w": ours}), raw({"w": theirs}))
    found = merge("tensors:average", *versions)
    (conflict,) = found.open_conflicts
    assert words in conflict.message
    assert found.data == versions[1]
    assert merge("tensors:average:conflict=theirs", *versions).data == versions[2]


# Metadata


def test_metadata_merges_by_key() -> None:
    """And what both changed is told by its key."""
    tensor = {"w": ("U8", [1], b"\0")}
    base = raw(tensor, step="1", format="pt", gone="x")
    ours = raw(tensor, step="2", format="pt", gone="x", mine="1")
    theirs = raw(tensor, step="3", format="pt", other="1")
    found = merge("tensors", base, ours, theirs)
    (conflict,) = found.conflicts
    assert (conflict.where, conflict.ours, conflict.settled) == (
        *("__metadata__.step", "2", Side.THEIRS),
    )
    assert found.data is not None
    length = int.from_bytes(found.data[:8], "little")
    assert json.loads(found.data[8 : 8 + length])["__metadata__"] == {
        "step": "3",
        "format": "pt",
        "mine": "1",
        "other": "1",
    }
    assert merge("tensors:conflict=fail", base, ours, theirs).open_conflicts


# Npy


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=array.dtype.hasobject)
    return file.getvalue()


def test_one_array_is_one_tensor() -> None:
    """Theirs, or the mean, in the order of bytes and dimensions that it has."""
    base, ours, theirs = (npy(np.array([[1, n], [2, 3]], ">f4", order="F")) for n in (0, 2, 4))
    found = merge("tensors", base, ours, theirs)
    assert (found.data, len(found.conflicts), found.open_conflicts) == (theirs, 1, [])
    found = merge("tensors:average", base, ours, theirs)
    assert found.data == npy(np.array([[1, 3], [2, 3]], ">f4", order="F"))
    found = merge("tensors:average", base, ours, npy(np.array([[1, 9], [2, 3]], "<f4")))
    assert "have no mean" in found.conflicts[0].message


@pytest.mark.parametrize(
    "array",
    [
        np.array(["a", "é"]),
        np.array([b"ab"]),
        np.zeros(2, [("a", "<i4"), ("b", "<f8", (2, 3)), ("c", [("d", "|u1")])]),
        np.array(["2024-01-01"], "datetime64[D]"),
        np.array(7, np.int64),
        np.zeros((0, 3), bool),
    ],
)
def test_arrays_of_every_type_are_read(array: np.ndarray) -> None:
    """The size that a type says is that which NumPy wrote."""
    data = npy(array)
    assert merge("tensors", npy(np.zeros(1)), npy(np.ones(1)), data).data == data


@pytest.mark.parametrize("words", ["", ":average"])
def test_objects_are_never_unpickled(words: str) -> None:
    """What both changed is a conflict; what one changed is taken as bytes."""

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return pytest.fail, ("a pickle was opened",)

    base, ours, theirs = (npy(np.array([Trap(), *rest], object)) for rest in ([], [1], [2]))
    found = merge(f"tensors{words}", base, ours, theirs)
    (conflict,) = found.open_conflicts
    assert "never unpickled" in conflict.message

    def archive(data: bytes, number: int) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as target:
            target.writestr("o.npy", data)
            target.writestr("n.npy", npy(f32(number)))
        return file.getvalue()

    found = merge(f"tensors{words}", archive(base, 1), archive(ours, 1), archive(base, 2))
    assert found.conflicts == ()
    with zipfile.ZipFile(io.BytesIO(found.data or b"")) as merged:
        assert merged.read("o.npy") == ours
        assert merged.read("n.npy") == npy(f32(2))


# Hostile inputs


GOOD = {
    "safetensors": save_safetensors({"a": f32(1, 2), "b": f32(3)}, {"k": "v"}),
    "npz": save("npz", {"a": f32(1, 2), "b": f32(3)}),
    "packed": save("packed", {"a": f32(*[1] * 50), "b": f32(3)}),
    "npy": npy(f32(1, 2)),
}
OTHER = {
    "safetensors": save_safetensors({"a": f32(1, 3), "b": f32(3)}),
    "npz": save("npz", {"a": f32(1, 3), "b": f32(3)}),
    "packed": save("packed", {"a": f32(*[2] * 50), "b": f32(3)}),
    "npy": npy(f32(1, 3)),
}


@pytest.mark.parametrize("kind", sorted(GOOD))
def test_a_file_that_is_cut_off_is_a_conflict(kind: str) -> None:
    """At every length, on either side; ours is untouched."""
    good, other = GOOD[kind], OTHER[kind]
    for length in range(len(good)):
        cut = good[:length]
        for base, ours, theirs in ((other, cut, good), (other, good, cut)):
            found = merge("tensors:average", base, ours, theirs)
            assert {one.kind for one in found.open_conflicts} == {ConflictKind.MALFORMED}
            assert found.data == ours


@pytest.mark.parametrize("kind", sorted(GOOD))
@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 10_000), value=st.integers(0, 255), data=st.data())
def test_bytes_of_any_value_crash_nothing(
    kind: str, at: int, value: int, data: st.DataObject
) -> None:
    """One byte is changed: the file merges or is a conflict."""
    bad = bytearray(GOOD[kind])
    bad[at % len(bad)] = value
    words = data.draw(st.sampled_from(["", ":average"]))
    for ours, theirs in ((bytes(bad), OTHER[kind]), (OTHER[kind], bytes(bad))):
        found = merge(f"tensors{words}", GOOD[kind], ours, theirs)
        assert found.data is not None or found.conflicts


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_conflicts(data: bytes) -> None:
    """With the magic of a format in front, too."""
    for kind, front in (("safetensors", b""), ("npz", b"PK\3\4"), ("npy", b"\x93NUMPY\1\0")):
        found = merge("tensors", GOOD[kind], front + data, OTHER[kind])
        assert found.open_conflicts


def header(text: str, body: bytes = b"") -> bytes:
    return len(text.encode()).to_bytes(8, "little") + text.encode() + body


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ((MAX_HEADER + 1).to_bytes(8, "little"), "at most"),
        (b"\xff" * 8, "at most"),
        (b"\1", "too short"),
        ((9).to_bytes(8, "little") + b"{}", "within its header"),
        (header("[]"), "'{'"),
        (header(" {}"), "'{'"),
        (header("{"), "cannot be read"),
        (header('{"a":' * 100_000), "deeply"),
        (header('{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1],"x":1}}', b"1"), "not what"),
        (header('{"a":{"dtype":"U7","shape":[],"data_offsets":[0,1]}}', b"1"), "'U7'"),
        (header('{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}', b"1"), "shape"),
        (header('{"a":{"dtype":"U8","shape":[true],"data_offsets":[0,1]}}', b"1"), "shape"),
        (header('{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}', b"1"), "shape"),
        (header('{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,1]}}', b"1"), "bytes are not"),
        (header('{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', b"1"), "within the file"),
        (header('{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}', b"1"), "within the file"),
        (header('{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', b"12"), "leaves bytes"),
        (header('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"12"), "at the end"),
        (header('{"a":{"dtype":"F4","shape":[1],"data_offsets":[0,1]}}', b"1"), "bytes are not"),
        (
            header(
                '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
                '"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
                b"1",
            ),
            "over another",
        ),
        (
            header(
                f'{{"a":{{"dtype":"U8","shape":[{"9" * 30},0],"data_offsets":[0,0]}}}}',
            ),
            "too large",
        ),
        (header(f'{{"a":{{"dtype":"U8","shape":[{"9" * 5000}]}}}}'), "cannot be read"),
        (header('{"a":1,"a":2}'), "twice"),
        (header('{"__metadata__":{"a":1}}'), "strings"),
        (header('{"a":NaN}'), "NaN"),
        (header('{"\\ud800":1}'), "cannot be read"),
        (b"\x07" + bytes(7) + b'{"\xff":1}', "cannot be read"),
    ],
)
def test_headers_that_lie_are_conflicts(data: bytes, words: str) -> None:
    """Each with what is wrong and the side."""
    found = merge("tensors", GOOD["safetensors"], OTHER["safetensors"], data)
    (conflict,) = found.conflicts
    assert (conflict.kind, found.data) == (ConflictKind.MALFORMED, OTHER["safetensors"])
    assert words in conflict.message
    assert conflict.where.startswith("theirs")


def test_archives_that_unpack_to_more_than_they_hold_are_refused() -> None:
    """Entries that lie over each other, and a size that no array has."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", npy(f32(1)))
        archive.writestr("b.npy", npy(f32(1)))
    data = bytearray(file.getvalue())
    second = data.rindex(b"PK\1\2")
    data[second + 42 : second + 46] = bytes(4)
    data[second + 46 : second + 51] = b"a.npy"
    found = merge("tensors", GOOD["npz"], OTHER["npz"], bytes(data))
    assert "twice" in found.conflicts[0].message
    first = data.index(b"PK\1\2")
    large = bytearray(file.getvalue())
    large[first + 24 : first + 28] = b"\xfe\xff\xff\xff"
    found = merge("tensors", GOOD["npz"], OTHER["npz"], bytes(large))
    assert found.conflicts[0].kind is ConflictKind.MALFORMED


def test_what_is_encrypted_or_packed_otherwise_is_refused_by_name() -> None:
    """It is well formed, so the conflict is of another kind."""
    data = bytearray(GOOD["npz"])
    data[data.index(b"PK\1\2") + 8] |= 1
    found = merge("tensors", GOOD["npz"], OTHER["npz"], bytes(data))
    (conflict,) = found.conflicts
    assert (conflict.kind, conflict.message) == (ConflictKind.BINARY, "it is encrypted")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.npy", npy(f32(1)))
    found = merge("tensors", GOOD["npz"], OTHER["npz"], file.getvalue())
    assert found.conflicts[0].message == "it is compressed with lzma"


def test_versions_of_several_formats_are_a_conflict() -> None:
    """Which says what each is."""
    found = merge("tensors", GOOD["npy"], OTHER["npy"], GOOD["safetensors"])
    assert found.conflicts[0].message.endswith("base is npy, ours is npy, theirs is safetensors")


def test_every_type_of_the_library_is_known() -> None:
    """One byte of each that fits into bytes."""
    for dtype, bits in BITS.items():
        count = 8 * 3 // bits if bits < 8 else 1
        data = bytes(bits * count // 8)
        file = raw({"w": (dtype, [count], data)})
        assert merge("tensors", None, file, raw({})).data is not None
