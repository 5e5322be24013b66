"""Photos of 12 megapixels, decoded at a fraction of their size and whole. BUNDLE IMAGES [N]

N of the images (10, if not said) are enlarged to 3000 x 4000 px, with some noise, and written as JPEG at quality 90.
Each is then made the bundle's pixels as everywhere, and once more by way of all its pixels; prints both medians in
milliseconds, their ratio with its lowest and highest, and how far apart the pixels are (grey levels of 255).
"""

from __future__ import annotations

import io
import json
import statistics
import sys
from pathlib import Path

import numpy as np
from latency import timed
from PIL import Image

from fieldmark.bundle.reading import open_bundle
from fieldmark.data.decoding import decode
from fieldmark.data.geometry import apply
from fieldmark.data.loading import load_bytes

SIZE, NOISE, ROUNDS = (3000, 4000), 6, 3


def enlarged(file: Path, random: np.random.Generator) -> bytes:
    image = Image.open(file).convert("RGB").resize(SIZE, Image.Resampling.BICUBIC)
    noisy = np.asarray(image).astype(np.int16) + random.integers(-NOISE, NOISE + 1, (*image.size[::-1], 1))
    encoded = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(encoded, "JPEG", quality=90)
    return encoded.getvalue()


def main() -> None:
    bundle, folder, *more = sys.argv[1:]
    geometry = open_bundle(Path(bundle)).manifest.geometry
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    count, random, rows = int(more[0]) if more else 10, np.random.default_rng(0), []
    for file in files[:: max(1, len(files) // count)][:count]:
        encoded = enlarged(file, random)
        usual = [timed(lambda encoded=encoded: load_bytes(encoded, geometry)) for _ in range(ROUNDS)]
        whole = [timed(lambda encoded=encoded: apply(decode(encoded).pixels, geometry)) for _ in range(ROUNDS)]
        apart = np.abs(usual[0][1].astype(float) - whole[0][1].astype(float))
        rows.append(
            (*(statistics.median(ms for ms, _ in each) for each in (usual, whole)), apart.mean(), apart.max())
        )
    usual_ms, whole_ms, mean, most = np.array(rows).T
    ratios = sorted(whole_ms / usual_ms)
    told = {"usual_ms": np.median(usual_ms), "whole_ms": np.median(whole_ms), "ratio": np.median(ratios)}
    told |= {"lowest": ratios[0], "highest": ratios[-1], "mean_apart": mean.mean(), "most_apart": most.max()}
    print(json.dumps({name: round(float(each), 2) for name, each in told.items()} | {"n": len(rows)}))


if __name__ == "__main__":
    main()
