"""Writes real data as a folder: handwritten digits, tables and photos that scikit-learn ships."""

from __future__ import annotations

import csv
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

if TYPE_CHECKING:
    from pathlib import Path


def write_dataset(folder: Path) -> None:
    """Writes `digits/` (PNG files and a table of labels), `tables/` and `photos/` (as shipped)."""
    _write_digits(folder / "digits")
    _copy_shipped("sklearn.datasets.data", (".csv", ".csv.gz"), folder / "tables")
    _copy_shipped("sklearn.datasets.images", (".jpg",), folder / "photos")


def _write_digits(folder: Path) -> None:
    images = folder / "images"
    images.mkdir(parents=True)
    digits = load_digits()
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "digit"])
        for number, (pixels, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
            name = f"{number:04}.png"
            # Sixteen levels of ink, spread over the 255 of a grey PNG.
            Image.fromarray((pixels * 15.9).astype(np.uint8)).save(images / name)
            table.writerow([name, int(digit)])


def _copy_shipped(package: str, suffixes: tuple[str, ...], folder: Path) -> None:
    folder.mkdir()
    for file in resources.files(package).iterdir():
        if file.name.endswith(suffixes):
            (folder / file.name).write_bytes(file.read_bytes())
