"""CIFAR-10 with 40 % wrong labels: the last epoch of plain training and of what --noisy picks. CIFAR10 OUT
[--noises a,b] [--arms a,b] [--seeds 0,1] [--images 20000] [--tests 10000]
[train's flags, such as --model resnet-small --epochs 30].

Training images are the first 2,000 files of each class in the order of their names. "symmetric": 40 % of each class
get one of the nine other labels; "class-dependent": 40 % of truck, bird and deer are called automobile, airplane and
horse, and of cat and dog each other. The first --tests of the test files, alike from each class and with their true
labels, stand in the manifest as its validation part: the epoch record then is the curve of test accuracy. That the
loop keeps its best epoch by them has no part in the figures, which are of the last epoch; --noisy sees training
images alone.

Each run is a line in OUT/noise.jsonl, and on standard output; the table at the end is of all lines in that file.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from fieldmark.measures.intervals import proportion

RATE = 0.4
CALLED = {"truck": "automobile", "bird": "airplane", "deer": "horse", "cat": "dog", "dog": "cat"}
ARMS = {
    "cross-entropy": ("--label-smoothing", "0"),
    "label-smoothing": ("--label-smoothing", "0.1"),
    "noisy": ("--noisy", "yes"),
    "early-learning": ("--remedy", "early-learning"),
    "posterior": ("--remedy", "posterior", "--noisy", "yes"),
    "small-loss": ("--remedy", "small-loss", "--noisy", "yes"),
}


def noisy(names: list[str], name: str, count: int, kind: str) -> list[str]:
    """Labels of `count` images of class `name`, the same ones each time."""
    random = np.random.default_rng((names.index(name), 40))
    others = [CALLED.get(name, name)] if kind == "class-dependent" else [other for other in names if other != name]
    labels = [name] * count
    for place in random.permutation(count)[: round(RATE * count)]:
        labels[place] = others[random.integers(len(others))]
    return labels


def manifest(root: Path, out: Path, kind: str, images: int, tests: int) -> tuple[Path, float]:
    """Writes the manifest of one kind of noise, and says which share of the training labels is wrong."""
    names = sorted(folder.name for folder in (root / "train").iterdir() if folder.is_dir())
    rows, wrong = [], 0
    for name in names:
        files = sorted((root / "train" / name).iterdir())[: images // len(names)]
        labels = noisy(names, name, len(files), kind)
        wrong += sum(label != name for label in labels)
        rows += [(f"train/{name}/{file.name}", label, "train") for file, label in zip(files, labels)]
    learnt = len(rows)
    for name in names:
        files = sorted((root / "test" / name).iterdir())[: tests // len(names)]
        rows += [(f"test/{name}/{file.name}", name, "validation") for file in files]
    out.mkdir(parents=True, exist_ok=True)
    with (out / f"{kind}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "label", "split"), *rows])
    return out / f"{kind}.csv", wrong / learnt


def run(data: Path, root: Path, arm: str, seed: str, flags: list[str]) -> dict[str, Any]:
    """One training: the curve of test accuracy, the last epoch with its interval, and what was estimated."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "b.fieldmark"
        words = [sys.executable, "-m", "fieldmark", "train", str(data), "--root", str(root), "--split", "0.9,0.1,0"]
        words += ["--method", "network", *ARMS[arm], *flags, "--seed", seed, "--out", str(bundle), "--json"]
        done = subprocess.run(words, stdout=subprocess.PIPE, check=True)
        report = json.loads((bundle / "report" / "report.json").read_text())
    result, recipe = json.loads(done.stdout), report["manifest"]["recipe"]
    curve, n = [epoch["score"] for epoch in report["epochs"]], report["manifest"]["data"]["parts"]["validation"]["n"]
    last = proportion(round(curve[-1] * n), n)
    return {
        "arm": arm,
        "seed": seed,
        "last": last.value,
        "low": last.low,
        "high": last.high,
        "n": n,
        "lost": max(curve) - curve[-1],
        "remedy": recipe["remedy"],
        "estimate": recipe.get("label_noise"),
        "seconds": result["seconds"],
        "curve": curve,
    }


def table(lines: list[dict[str, Any]]) -> str:
    """One row a run: the last epoch with its 95 % interval, and what the best one had more; then the curves."""
    head = "| noise | arm | remedy | seed | epochs | last epoch | 95 % | n | lost since its best |\n|" + "---|" * 9
    rows = [
        f"| {line['noise']} | {line['arm']} | {line['remedy']} | {line['seed']} | {len(line['curve'])} "
        f"| {line['last']:.3f} | {line['low']:.3f} to {line['high']:.3f} | {line['n']} | {line['lost']:.3f} |"
        for line in lines
    ]
    curves = [
        f"{line['noise']}, {line['arm']}, seed {line['seed']}: " + " ".join(f"{score:.3f}" for score in line["curve"])
        for line in lines
    ]
    return "\n".join([head, *rows, "", *curves])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--noises", default="symmetric,class-dependent")
    parser.add_argument("--arms", default=",".join([*ARMS][:3]), help=f"of {', '.join(ARMS)}")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--tests", type=int, default=10_000)
    ours, flags = parser.parse_known_args()
    for kind in ours.noises.split(","):
        data, planted = manifest(ours.data, ours.out, kind, ours.images, ours.tests)
        for seed in ours.seeds.split(","):
            for arm in ours.arms.split(","):
                line = {"noise": kind, "planted": planted, **run(data, ours.data, arm, seed, flags)}
                with (ours.out / "noise.jsonl").open("a") as file:
                    file.write(json.dumps(line) + "\n")
                print(json.dumps(line), flush=True)
    print(table([json.loads(line) for line in (ours.out / "noise.jsonl").read_text().splitlines()]))


if __name__ == "__main__":
    main()
