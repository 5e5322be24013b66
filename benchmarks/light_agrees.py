"""Does a light install (no torch) give the same top-1 as the install that trained? BUNDLE FOLDER LIGHT_PYTHON."""

from __future__ import annotations

import json
import subprocess
import sys


def top_1(python: str, bundle: str, folder: str) -> dict[str, str]:
    words = [python, "-m", "fieldmark", "predict", bundle, folder, "--format", "jsonl"]
    lines = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
    return {row["file"]: row["labels"][0] for row in map(json.loads, lines)}


def main() -> None:
    bundle, folder, light = sys.argv[1:]
    ours, theirs = top_1(sys.executable, bundle, folder), top_1(light, bundle, folder)
    same = sum(theirs.get(file) == label for file, label in ours.items())
    print(json.dumps({"images": len(ours), "same_top_1": same}))


if __name__ == "__main__":
    main()
