"""Several labels: mAP of Fieldmark beside one logistic regression a label, on the same features and test images.

DATA OUT [--ways probe,network] [--seeds 0,1,2,3,4] [--label NAME] [train's flags]. DATA holds `image_labels.csv` with
columns file, labels and split; its training part trains, and every other part is the test part. The regressions
(scikit-learn, C = 1 and C chosen for each label by log-loss on 5 folds) see EfficientNet-Lite0's embedding of those
training images, plain and standardised. The interval is of the paired bootstrap over test images: mean over seeds of
our mAP, minus the best of theirs. Labels without a training image are left out on both sides.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.preprocessing import StandardScaler

import fieldmark
from fieldmark.data.dataset import Dataset
from fieldmark.data.loading import load_many
from fieldmark.encoders.building import encoder_row
from fieldmark.encoders.weights import load_weights
from fieldmark.measures.outcomes import outcomes
from fieldmark.measures.ranking import ranking
from fieldmark.progress import silent
from fieldmark.training.probe import embed

MODEL = "efficientnet-lite0"
RESAMPLES = 2000
Floats = NDArray[np.float64]


def with_a_test_part(root: Path, out: Path) -> Path:
    """Writes `out/multi_label.csv`: training rows as they are, all others as the test part."""
    with (root / "image_labels.csv").open(newline="") as file:
        rows = [(r["file"], r["labels"], "train" if r["split"] == "train" else "test") for r in csv.DictReader(file)]
    out.mkdir(parents=True, exist_ok=True)
    with (out / "multi_label.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "labels", "split"), *rows])
    return out / "multi_label.csv"


def embedding(data: Dataset) -> NDArray[np.float32]:
    """float32 [N, D] by the encoder with the weights and the geometry of a probe."""
    row = encoder_row(MODEL)
    encoder = row.build(row.geometry(None).size_px)
    load_weights(encoder, row.weights, "auto")
    pixels = np.stack(list(load_many([data.path(at) for at in range(len(data))], row.geometry(None))))
    return embed(encoder, pixels, np.arange(len(data)), deadline=None, progress=silent)


def regressions(data: Dataset) -> dict[str, Floats]:
    """For each way of fitting them the scores [test images, C] of one regression a label."""
    train, test = data.split == "train", data.split == "test"
    chosen = {"Cs": np.logspace(-4, 2, 7), "cv": 5, "scoring": "neg_log_loss", "max_iter": 1000}
    made: dict[str, Floats] = {}
    plain = embedding(data)
    for kind, features in (("plain", plain), ("standardised", StandardScaler().fit(plain[train]).transform(plain))):
        seen = turned(features, train)
        for name in ("C = 1", "C by folds"):
            scores = np.zeros((int(test.sum()), len(data.classes)))
            for label in range(len(data.classes)):
                truth = data.targets[train, label]
                # Folds need a positive each; below, C = 1.
                by_folds = name == "C by folds" and min(truth.sum(), (1 - truth).sum()) >= 5
                model = LogisticRegressionCV(**chosen) if by_folds else LogisticRegression(max_iter=1000)
                if 0 < truth.sum() < len(truth):
                    scores[:, label] = model.fit(seen[train], truth).decision_function(seen[test])
            made[f"{name}, {kind}"] = scores
    return made


def turned(features: NDArray[Any], train: NDArray[np.bool_]) -> Floats:
    """In the axes of the training rows: the same regressions (their weights lie there), from fewer numbers."""
    centred = (features - features[train].mean(axis=0)).astype(np.float64)
    return np.asarray(centred @ np.linalg.svd(centred[train], full_matrices=False)[2].T)


def ours(
    manifest: Path, root: Path, out: Path, way: str, seed: str, flags: list[str]
) -> tuple[Floats, dict[str, Any]]:
    """Probabilities [test images, C] of the bundle that `fieldmark train` makes, and what it says of itself."""
    bundle = out / f"{way}-{seed}.fieldmark"
    words = [sys.executable, "-m", "fieldmark", "train", str(manifest), "--root", str(root), "--model", MODEL, *flags]
    words += ["--method", way, "--seed", seed, "--out", str(bundle), "--json"]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True)
    data = fieldmark.read(manifest, root=root).part("test")
    model = fieldmark.load(bundle)
    said = [answer.probabilities for answer in model.predict_many(data.path(at) for at in range(len(data)))]
    return np.array(said), {**json.loads(done.stdout), "classes": model.bundle.manifest.classes}


def average_precision(truth: NDArray[Any], scores: Floats, times: Floats) -> Floats:
    """[C, B] of scores [N, C], for images that count so often [N, B]; NaN for a label that no image has."""
    ranks = scores.argsort(axis=0, kind="stable").argsort(axis=0) / len(scores)
    return ranking(outcomes(truth, ranks, task="multi"), times)[1]


def compared(truth: NDArray[Any], mine: list[Floats], theirs: Floats) -> dict[str, float]:
    """Mean over seeds of our mAP minus theirs, with its paired 95 % interval over test images."""
    count = len(truth)
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=RESAMPLES).T
    times = np.concatenate([np.ones((count, 1)), drawn], axis=1)
    gap = np.mean([np.nanmean(average_precision(truth, each, times), axis=0) for each in mine], axis=0)
    gap = gap - np.nanmean(average_precision(truth, theirs, times), axis=0)
    low, high = np.quantile(gap[1:], [0.025, 0.975]) + gap[0] - gap[1:].mean()
    return {"difference": round(float(gap[0]), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def figures(truth: NDArray[Any], scores: Floats, classes: tuple[str, ...], label: str | None) -> dict[str, float]:
    precision = average_precision(truth, scores, np.ones((len(truth), 1)))[:, 0]
    told = {"map": round(float(np.nanmean(precision)), 4)}
    return {**told, label: round(float(precision[classes.index(label)]), 4)} if label else told


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--ways", default="probe,network")
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--label", help="a label whose average precision is told as well")
    options, flags = parser.parse_known_args()
    warnings.simplefilter("ignore")  # scikit-learn's upcoming changes
    manifest = with_a_test_part(options.data, options.out)
    data = fieldmark.read(manifest, root=options.data)
    kept = np.flatnonzero(data.part("train").counts)
    classes, truth = tuple(data.classes[at] for at in kept), data.part("test").targets[:, kept]
    theirs = {name: scores[:, kept] for name, scores in regressions(data).items()}
    told = {name: figures(truth, scores, classes, options.label) for name, scores in theirs.items()}
    for name, row in told.items():
        print(json.dumps({"way": f"logistic regression, {name}", **row}), flush=True)
    best = max(theirs, key=lambda name: told[name]["map"])
    for way in options.ways.split(","):
        mine = []
        for seed in options.seeds.split(","):
            said, result = ours(manifest, options.data, options.out, way, seed, flags)
            mine.append(said[:, [result["classes"].index(name) for name in classes]])
            row = {"way": way, "seed": seed, "seconds": result["seconds"]}
            print(json.dumps({**row, **figures(truth, mine[-1], classes, options.label)}), flush=True)
        print(json.dumps({"way": way, "beside": best, **compared(truth, mine, theirs[best])}), flush=True)


if __name__ == "__main__":
    main()
