"""Speed of the kernels, native and in Python, for comparing two builds.

    python -m pytest benchmarks/bench_kernels.py --benchmark-columns=median,iqr,ops

The data are seeded: noise, and normal numbers as a trained layer holds them.
"""

from __future__ import annotations

import hashlib
import importlib
import random
import struct
import tempfile
from typing import TYPE_CHECKING

import pytest

from mlbfs.store.sha256twin import INITIAL

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from pytest_benchmark.fixture import BenchmarkFixture

ID = bytes(32)
CHUNK = 64 * 1024
RNG = random.Random(1)
NOISE = RNG.randbytes(64 * CHUNK)
WEIGHTS = struct.pack("<16384f", *(RNG.gauss(0, 0.02) for _ in range(16384)))
TEXT = b"".join(b"%d,%d,%.3f\n" % (i, i % 7, i / 3) for i in range(5000))[:CHUNK]


@pytest.fixture(params=["mlbfs._native", "mlbfs.store.twin"])
def kernels(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(request.param)


def test_cut_points(benchmark: BenchmarkFixture, kernels: ModuleType) -> None:
    """Cuts 4 MiB of noise."""
    data = NOISE if kernels.__name__ == "mlbfs._native" else NOISE[: 8 * CHUNK]
    benchmark.extra_info["bytes"] = len(data)
    assert benchmark(kernels.cut_points, data, True)[-1] == len(data)


def test_sha256(benchmark: BenchmarkFixture, kernels: ModuleType) -> None:
    """Hashes 4 MiB; `test_sha256_of_hashlib` is what it must not be slower than."""
    data = NOISE if kernels.__name__ == "mlbfs._native" else NOISE[:CHUNK]
    benchmark.extra_info["bytes"] = len(data)
    assert len(benchmark(kernels.sha256_blocks, INITIAL, data)) == 32


def test_sha256_of_hashlib(benchmark: BenchmarkFixture) -> None:
    """Hashes 4 MiB."""
    benchmark.extra_info["bytes"] = len(NOISE)
    assert len(benchmark(lambda: hashlib.sha256(NOISE).digest())) == 32


@pytest.mark.native
def test_sha256_of_every_variant(benchmark: BenchmarkFixture) -> None:
    """Hashes 4 MiB without the processor's instructions, and then with them if it has some."""
    variants = importlib.import_module("mlbfs._native").sha256_variants
    assert len(set(benchmark(variants, INITIAL, NOISE))) == 1


def test_encode_noise(benchmark: BenchmarkFixture, kernels: ModuleType) -> None:
    """Makes raw records of 64 chunks that cannot be compressed."""
    spans = [(start, start + CHUNK, ID) for start in range(0, len(NOISE), CHUNK)]
    _, table = benchmark(kernels.encode_records, NOISE, spans, 1, 3)
    assert {0} == {codec for _, _, codec in table}


@pytest.mark.parametrize(("data", "codec"), [(WEIGHTS, 3), (TEXT, 1)], ids=["weights", "text"])
def test_encode(benchmark: BenchmarkFixture, kernels: ModuleType, data: bytes, codec: int) -> None:
    """Makes one compressed record."""
    assert benchmark(kernels.encode_record, 1, ID, data, 3)[5] == codec


@pytest.mark.parametrize("data", [NOISE[:CHUNK], WEIGHTS, TEXT], ids=["noise", "weights", "text"])
def test_read_record(benchmark: BenchmarkFixture, kernels: ModuleType, data: bytes) -> None:
    """Reads, checks and decodes a cached record."""
    record = kernels.encode_record(1, ID, data, 3)
    with tempfile.TemporaryFile() as file:
        file.write(record)
        file.flush()
        result = benchmark(kernels.read_record, file.fileno(), 0, len(record), ID, True)
    assert result == (0, data)


def test_read_files(benchmark: BenchmarkFixture, kernels: ModuleType, tmp_path: Path) -> None:
    """Reads 256 cached files of 7 kB in one call."""
    paths = [tmp_path / str(number) for number in range(256)]
    for path in paths:
        path.write_bytes(NOISE[:7000])
    names = [bytes(path) for path in paths]
    blob, _ = benchmark(kernels.read_files, names, [7000] * len(names))
    assert len(blob) == 256 * 7000
