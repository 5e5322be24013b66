"""Every export of a bundle beside its float32 graph, on all photos of a folder. BUNDLE DATA OUT [export's flags]

DATA has folders train, validation and test. All its images prove, those of `train` and `validation` once more as what
ranges of int8 are set by. Prints a line of JSON for each form, and leaves the exports and their table in OUT.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

PARTS = ("train", "validation", "test")


def manifest(data: Path, out: Path) -> Path:
    """All images as those that prove, and the first two parts under another name as what they are."""
    again = out.resolve() / "again"  # not where it leads to: another name is the point
    again.symlink_to(data.resolve())
    found = [file for part in PARTS for file in sorted((data / part).glob("*/*"))]
    rows = [(str(file.resolve()), file.parent.name, "test") for file in found]
    for part in PARTS[:2]:
        rows += [(str(file), file.parent.name, part) for file in sorted((again / part).glob("*/*"))]
    listed = out / "all.csv"
    with listed.open("w", newline="") as stream:
        csv.writer(stream).writerows([("file", "label", "split"), *rows])
    return listed


def main() -> None:
    bundle, data, out, *flags = sys.argv[1:]
    Path(out).mkdir(parents=True)
    listed = manifest(Path(data), Path(out))
    words = [sys.executable, "-m", "fieldmark", "export", bundle, str(listed), "--root", "/", "--out", out, "--json"]
    done = subprocess.run([*words, *(flags or ["--all"])], stdout=subprocess.PIPE, check=True)
    for row in json.loads(done.stdout):
        print(json.dumps({"bundle": Path(bundle).name, **row}))


if __name__ == "__main__":
    main()
