"""CIFAR-10-LT: balanced accuracy of each balance. CIFAR10 OUT [--balances a,b] [--seeds 0,1,2] [train's flags].

The tail is exponential with factor 100 (Cui et al. 2019): of class c the first 5,000 * 100 ** (-c / 9) training files
in the order of their names. All test files are used.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

FACTOR = 100.0


def long_tail(root: Path, out: Path) -> Path:
    """Writes `out/long_tail.csv`, a manifest of CIFAR-10's files with columns file, label, split."""
    names = sorted(folder.name for folder in (root / "train").iterdir() if folder.is_dir())
    rows = []
    for at, name in enumerate(names):
        files = sorted((root / "train" / name).iterdir())
        kept = int(len(files) * FACTOR ** (-at / (len(names) - 1)))
        rows += [(f"train/{name}/{file.name}", name, "") for file in files[:kept]]
        rows += [(f"test/{name}/{file.name}", name, "test") for file in sorted((root / "test" / name).iterdir())]
    out.mkdir(parents=True, exist_ok=True)
    with (out / "long_tail.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "label", "split"), *rows])
    return out / "long_tail.csv"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--balances", default="none,class-weights,auto")
    parser.add_argument("--seeds", default="0,1,2")
    ours, flags = parser.parse_known_args()
    manifest = long_tail(ours.data, ours.out)
    for seed in ours.seeds.split(","):
        for balance in ours.balances.split(","):
            with tempfile.TemporaryDirectory() as folder:
                words = [sys.executable, "-m", "fieldmark", "train", str(manifest), "--root", str(ours.data), *flags]
                words += ["--balance", balance, "--seed", seed, "--out", f"{folder}/b.fieldmark", "--json"]
                done = subprocess.run(words, stdout=subprocess.PIPE, check=True)
            result = json.loads(done.stdout)
            figures = {name: result["test"][name] for name in ("balanced_accuracy", "accuracy", "macro_f1")}
            print(json.dumps({"balance": balance, "seed": seed, "seconds": result["seconds"], **figures}), flush=True)


if __name__ == "__main__":
    main()
