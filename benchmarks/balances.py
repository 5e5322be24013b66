"""Uneven classes: what each way to balance them comes to. DATA [--balances a,b] [--seeds 0,1,2] [train's flags].

A line of JSON for each training, and one at the end for each balance but the first: its gain in each seed over the
first, and the mean of these with its 95 % interval (Student's t over seeds).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile

import numpy as np
from scipy.stats import t

FIGURES = ("balanced_accuracy", "macro_f1", "accuracy")


def run(data: str, balance: str, seed: str, flags: list[str]) -> dict[str, float]:
    """One training; the figures' values, after their line was printed."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "fieldmark", "train", data, *flags]
        words += ["--balance", balance, "--seed", seed, "--out", f"{folder}/b.fieldmark", "--json"]
        done = subprocess.run(words, stdout=subprocess.PIPE, check=True)
    result = json.loads(done.stdout)
    figures = {name: result["test"][name] for name in FIGURES}
    print(json.dumps({"balance": balance, "seed": seed, "seconds": result["seconds"], **figures}), flush=True)
    return {name: figure["value"] for name, figure in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--balances", default="none,class-weights,auto")
    parser.add_argument("--seeds", default="0,1,2")
    ours, flags = parser.parse_known_args()
    first, *others = ours.balances.split(",")
    seeds = ours.seeds.split(",")
    found = {(balance, seed): run(ours.data, balance, seed, flags) for seed in seeds for balance in (first, *others)}
    for balance in others:
        for name in FIGURES:
            gains = np.array([found[balance, seed][name] - found[first, seed][name] for seed in seeds])
            row = {"balance": balance, "over": first, "figure": name, "gains": gains.round(4).tolist()}
            if len(gains) > 1:
                half = t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / len(gains) ** 0.5
                row |= {"mean": gains.mean(), "low": gains.mean() - half, "high": gains.mean() + half}
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
