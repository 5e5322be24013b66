"""Writes OUT, a manifest of CIFAR-10-LT: columns file, label, split. CIFAR10 OUT

The tail is exponential with factor 100 (Cui et al. 2019): of class c the first 5,000 * 100 ** (-c / 9) training files
in the order of their names. All test files are used.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

FACTOR = 100.0


def long_tail(root: Path) -> list[tuple[str, str, str]]:
    """Rows of (file, label, split), files relative to `root`."""
    names = sorted(folder.name for folder in (root / "train").iterdir() if folder.is_dir())
    rows = []
    for at, name in enumerate(names):
        files = sorted((root / "train" / name).iterdir())
        kept = int(len(files) * FACTOR ** (-at / (len(names) - 1)))
        rows += [(f"train/{name}/{file.name}", name, "") for file in files[:kept]]
        rows += [(f"test/{name}/{file.name}", name, "test") for file in sorted((root / "test" / name).iterdir())]
    return rows


if __name__ == "__main__":
    root, out = map(Path, sys.argv[1:])
    with out.open("w", newline="") as file:
        csv.writer(file).writerows([("file", "label", "split"), *long_tail(root)])
