"""One image from its bytes to its answer, inside the process, beside what its parts take alone. BUNDLE IMAGES [N]

Milliseconds, medians and p99 over N images (default 400, files over and over): `decode` with the geometry, `run` of
the bare graph on its pixels, `predict` of the bytes, each taken in turn on the same image; `more` is the median, over
images, of what `predict` takes beyond the other two, with its 95 % interval (bootstrap).
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fieldmark.data.loading import load_bytes
from fieldmark.inference.classifier import load

WARM_UP = 20


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    found = work()
    return 1000 * (time.perf_counter() - began), found


def main() -> None:
    bundle, folder, *more = sys.argv[1:]
    count = int(more[0]) if more else 400
    classifier = load(bundle)
    geometry = classifier.bundle.manifest.geometry
    files = itertools.cycle(sorted(path for path in Path(folder).rglob("*") if path.is_file()))
    rows = []
    for encoded in (next(files).read_bytes() for _ in range(WARM_UP + count)):
        decode_ms, pixels = timed(lambda encoded=encoded: load_bytes(encoded, geometry))
        run_ms, _ = timed(lambda pixels=pixels: classifier.runner.infer(pixels[None]))
        predict_ms, _ = timed(lambda encoded=encoded: classifier.predict(encoded))
        rows.append((decode_ms, run_ms, predict_ms, predict_ms - decode_ms - run_ms))
    found = np.array(rows[WARM_UP:])
    drawn = np.random.default_rng(0).integers(0, count, (2000, count))
    low, high = np.percentile(np.median(found[drawn, 3], axis=1), [2.5, 97.5])
    figures = {
        name: {"p50": round(float(p50), 3), "p99": round(float(p99), 3)}
        for name, (p50, p99) in zip(("decode", "run", "predict", "more"), np.percentile(found, [50, 99], axis=0).T)
    }
    print(json.dumps({**figures, "more_low": round(low, 3), "more_high": round(high, 3), "n": count}))


if __name__ == "__main__":
    main()
