"""Writes the seed inputs of the fuzz targets; run again only to add to them.

    python tests/native/make_corpus.py

Each file of `corpus/record` is a record or a damaged one, named after what it is; each of
`corpus/chunker` is a size, a window and a texture (see fuzz_chunker.cpp); each of `corpus/sha256`
is a state and the blocks behind it.
"""

from __future__ import annotations

import random
import struct
from pathlib import Path

from mlbfs.store import twin
from mlbfs.store.recordformat import RecordKind, encode_record_parts

CORPUS = Path(__file__).parent / "corpus"
ID = bytes(range(32))


def records() -> dict[str, bytes]:
    rng = random.Random(11)
    numbers = [rng.gauss(0, 0.02) for _ in range(300)]
    text = twin.encode_record(RecordKind.CHUNK, ID, b"compressible text, " * 40, 3)
    frame = text[56:]
    made = {
        "raw": twin.encode_record(RecordKind.CHUNK, ID, rng.randbytes(200), 3),
        "empty": twin.encode_record(RecordKind.CHUNK, ID, b"", 3),
        "zstd": text,
        "node": twin.encode_record(RecordKind.RECIPE_NODE, ID, bytes(range(64)) * 20, 3),
        "planes-2": twin.encode_record(RecordKind.CHUNK, ID, struct.pack("<300e", *numbers) * 4, 3),
        "planes-4": twin.encode_record(RecordKind.CHUNK, ID, struct.pack("<300f", *numbers) * 2, 3),
        "planes-8": twin.encode_record(RecordKind.CHUNK, ID, struct.pack("<300d", *numbers), 3),
        "truncated": text[:-5],
        "plain-length-forged": encode_record_parts(1, 1, 2**18, ID, frame),
        "plain-length-huge": encode_record_parts(1, 1, 2**32 - 1, ID, frame),
        "two-frames": encode_record_parts(1, 1, 1520, ID, frame + frame),
        "skippable-frame": encode_record_parts(1, 1, 900, ID, b"\x50\x2a\x4d\x18\x04\0\0\0abcd"),
        "planes-of-odd-length": encode_record_parts(1, 4, 760, ID, frame),
    }
    made["stored-length-huge"] = text[:12] + b"\xff" * 4 + text[16:]
    return made


def chunker_inputs() -> dict[str, bytes]:
    rng = random.Random(12)
    textures = {
        "noise": rng.randbytes(3000),
        "zeros": bytes(10),
        "text": b"id,name,value\n1,first,0.5\n2,second,0.25\n" * 10,
        "period": rng.randbytes(65),
    }
    sizes = {"noise": 60_000, "zeros": 60_000, "text": 40_000, "period": 65_535}
    return {
        name: sizes[name].to_bytes(2, "little") + b"\x90" + data for name, data in textures.items()
    }


def sha256_inputs() -> dict[str, bytes]:
    rng = random.Random(13)
    return {
        "no-block": rng.randbytes(32),
        "one-block": bytes(32) + bytes(range(64)),
        "many-blocks": rng.randbytes(32 + 64 * 9 + 17),
        "ones": b"\xff" * (32 + 128),
    }


def main() -> None:
    made = {"record": records(), "chunker": chunker_inputs(), "sha256": sha256_inputs()}
    for folder, inputs in made.items():
        (CORPUS / folder).mkdir(parents=True, exist_ok=True)
        for name, data in inputs.items():
            (CORPUS / folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
