"""Seconds from nothing to `import fieldmark` and to `fieldmark --help`: median of 11 processes, and Python's own."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time


def median_s(*words: str) -> float:
    took = []
    for _ in range(11):
        begun = time.perf_counter()
        subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
        took.append(time.perf_counter() - begun)
    return round(statistics.median(took), 3)


def main() -> None:
    print(
        json.dumps(
            {
                "python": median_s("-c", "pass"),
                "import fieldmark": median_s("-c", "import fieldmark"),
                "fieldmark --help": median_s("-m", "fieldmark", "--help"),
            }
        )
    )


if __name__ == "__main__":
    main()
