"""End to end: image files to sealed bundle, wall clock and test accuracy. Everything after DATA goes to `train`.

"curve": after each epoch the seconds of training so far and the score on the validation part, networks only.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from itertools import accumulate
from pathlib import Path


def main() -> None:
    data, *flags = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "fieldmark", "train", data, *flags, "--out", f"{folder}/b.fieldmark", "--json"]
        begun = time.monotonic()
        done = subprocess.run(words, stdout=subprocess.PIPE, check=True)
        wall_s = time.monotonic() - begun
        epochs = json.loads(Path(folder, "b.fieldmark", "report", "report.json").read_text())["epochs"]
    result = json.loads(done.stdout)
    row = {
        "data": data,
        "flags": flags,
        "wall_s": round(wall_s, 1),
        "accuracy": result["test"]["accuracy"],
        "macro_f1": result["test"]["macro_f1"],
        "ece": result["test"]["ece"],
        "latency_ms": result["latency_ms"],
        "size_bytes": result["size_bytes"],
        "choices": result["choices"],
        "curve": [
            (round(seconds), round(epoch["score"], 4))
            for seconds, epoch in zip(accumulate(epoch["seconds"] for epoch in epochs), epochs)
        ],
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
