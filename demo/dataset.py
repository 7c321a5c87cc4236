"""Writes real data as a folder: the handwritten digits and the tables that scikit-learn ships."""

from __future__ import annotations

import csv
import shutil
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

if TYPE_CHECKING:
    from pathlib import Path


def write_dataset(folder: Path) -> None:
    """Writes `digits/` (1,797 PNG files and a table of labels) and `tables/` (CSV, as shipped)."""
    _write_digits(folder / "digits")
    _copy_tables(folder / "tables")


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


def _copy_tables(folder: Path) -> None:
    folder.mkdir()
    for table in resources.files("sklearn.datasets.data").iterdir():
        if table.name.endswith((".csv", ".csv.gz")):
            with table.open("rb") as source, (folder / table.name).open("wb") as target:
                shutil.copyfileobj(source, target)
