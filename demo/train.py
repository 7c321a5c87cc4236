"""Trains a classifier of handwritten digits from files, wherever these lie.

    python demo/train.py FOLDER --seed 1 --gamma 0.001

Reads FOLDER/digits/images/*.png, appends a record to FOLDER/metrics.json (a list) and saves the
model to FOLDER/models/digits.joblib. It knows nothing of mlbfs: a mount is a folder.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import joblib
import numpy as np
from PIL import Image
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC


def read_images(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads every image that the table of labels names."""
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    pixels = np.empty((len(rows), 64), np.float64)
    for number, row in enumerate(rows):
        with Image.open(folder / "images" / row["file"]) as image:
            pixels[number] = np.asarray(image, np.float64).reshape(64) / 17
    return pixels, np.array([int(row["digit"]) for row in rows])


def append_record(path: Path, record: dict[str, object]) -> None:
    """Appends a record to a JSON list, as the tracking of experiments does."""
    records = json.loads(path.read_text()) if path.exists() else []
    path.write_text(json.dumps([*records, record], indent=2) + "\n")


def main() -> None:
    """Trains, measures, and saves what came of it beside the data."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--gamma", type=float, default=0.001)
    options = parser.parse_args()

    pixels, digits = read_images(options.folder / "digits")
    train_x, test_x, train_y, test_y = train_test_split(
        pixels, digits, test_size=0.25, random_state=options.seed, stratify=digits
    )
    model = SVC(gamma=options.gamma).fit(train_x, train_y)
    accuracy = float(accuracy_score(test_y, model.predict(test_x)))

    (options.folder / "models").mkdir(exist_ok=True)
    joblib.dump(model, options.folder / "models" / "digits.joblib")
    append_record(
        options.folder / "metrics.json",
        {
            "model": "SVC",
            "gamma": options.gamma,
            "seed": options.seed,
            "trained_on": len(train_y),
            "accuracy": round(accuracy, 4),
        },
    )
    print(f"trained on {len(train_y)} images, accuracy {accuracy:.4f} on {len(test_y)} others")


if __name__ == "__main__":
    main()
