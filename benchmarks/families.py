"""Every family from scratch for the same time on small images, one line each. CIFAR10 [--models a,b] [--tests 10000]
[train's flags].

Beside them scikit-learn's logistic regression on raw pixels (standardised, 200 steps of L-BFGS at most), "raw". Of
each class the last 100 training files validate, and the first --tests of all test files, alike from each class, test:
with a budget of minutes, what answers for 10,000 images may take is missed in training. Intervals are Wilson's, 95 %.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

import fieldmark
from fieldmark.data.dataset import Dataset
from fieldmark.data.geometry import Geometry
from fieldmark.data.loading import load_many
from fieldmark.measures.intervals import proportion

VALIDATION = 100  # of each class
FAMILIES = {
    "LeNet": "lenet",
    "AlexNet": "alexnet",
    "VGG-16": "vgg16_bn",
    "ResNet": "resnet18",
    "small ResNet": "resnet-small",
    "DenseNet": "densenet121",
    "Inception": "googlenet",
    "EfficientNet": "efficientnet_b0",
    "MobileNet": "mobilenetv2_100",
    "YOLO": "cs3darknet_s",
    "ViT": "vit_tiny_patch16_224",
    "ConViT": "convit_tiny",
}


def manifest(root: Path, out: Path, tests: int) -> Path:
    """Writes `out/parts.csv`, with columns file, label, split."""
    rows = []
    for name in sorted(folder.name for folder in (root / "train").iterdir() if folder.is_dir()):
        files = sorted((root / "train" / name).iterdir())
        parts = ["train"] * (len(files) - VALIDATION) + ["validation"] * VALIDATION
        rows += [(f"train/{name}/{file.name}", name, part) for file, part in zip(files, parts)]
        tested = sorted((root / "test" / name).iterdir())[: tests // 10]
        rows += [(f"test/{name}/{file.name}", name, "test") for file in tested]
    with (out / "parts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "label", "split"), *rows])
    return out / "parts.csv"


def raw_pixels(data: Dataset) -> dict[str, Any]:
    """Logistic regression on the pixels, each minus its mean over its spread."""
    begun, geometry = time.monotonic(), Geometry(size_px=int(np.median(data.sizes_px)), fit="squash")
    train, test = (np.flatnonzero(data.split == part) for part in ("train", "test"))
    pixels = [
        np.stack(list(load_many([data.path(at) for at in rows], geometry))).reshape(len(rows), -1)
        for rows in (train, test)
    ]
    mean, spread = pixels[0].mean(axis=0, dtype=np.float32), pixels[0].std(axis=0, dtype=np.float32) + 1
    seen, asked = ((each - mean) / spread for each in pixels)
    model = LogisticRegression(max_iter=200).fit(seen, data.targets[train])
    right = int((model.predict(asked) == data.targets[test]).sum())
    figure = proportion(right, len(test))
    accuracy = {"value": figure.value, "low": figure.low, "high": figure.high, "n": figure.n}
    return {"family": "logistic regression on raw pixels", "accuracy": accuracy, "seconds": time.monotonic() - begun}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--tests", type=int, default=10_000)
    parser.add_argument("--models", default=",".join(("raw", *FAMILIES.values())))
    ours, flags = parser.parse_known_args()
    if "raw" in ours.models.split(","):
        with tempfile.TemporaryDirectory() as folder:
            data = fieldmark.read(manifest(ours.data, Path(folder), ours.tests), root=ours.data)
            print(json.dumps(raw_pixels(data)), flush=True)
    for family, model in FAMILIES.items():
        if model not in ours.models.split(","):
            continue
        with tempfile.TemporaryDirectory() as folder:
            listed = manifest(ours.data, Path(folder), ours.tests)
            words = [sys.executable, "-m", "fieldmark", "train", str(listed), "--root", str(ours.data)]
            words += [
                "--model",
                model,
                "--method",
                "network",
                "--weights",
                "none",
                *flags,
                "--out",
                f"{folder}/b.fieldmark",
                "--json",
            ]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            print(json.dumps({"family": family, "model": model, "error": done.stderr[-400:]}), flush=True)
            continue
        result = json.loads(done.stdout)
        row = {"family": family, "model": model, "accuracy": result["test"]["accuracy"]}
        row |= {name: result[name] for name in ("seconds", "size_bytes", "latency_ms")}
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
