"""A bundle's answer with nothing but onnxruntime, numpy and Pillow: for a small computer, or to write anew in another
language. Python 3.9 or newer; nothing of Fieldmark is imported.

    python predict.py photos.fieldmark photo.jpg ...      what is in these pictures?
    python predict.py photos.fieldmark --check            does it answer here as where it was made?

It follows three rules, which `fieldmark.json` fills with numbers: geometry (any picture becomes uint8 [S, S, 3]),
graph (pixels to embedding and logits; normalisation is inside), decision (logits to probabilities to an answer).
"""

import hashlib
import json
import math
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # or it tells its makers how it is used (from 1.29 on)

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

FILTERS = {name: Image.Resampling[name.upper()] for name in ("box", "bilinear", "bicubic", "lanczos")}
PROBABILITY_TOLERANCE = 1e-4


def pixels_of(path, geometry):
    """uint8 [S, S, 3] of a picture; alpha is laid on white, and of 16 bits the high byte counts."""
    image = Image.open(path)
    if image.format == "JPEG":
        image.draft(image.mode, tuple(side // dct_scale(image.size, geometry) for side in image.size))
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    image, size = image.convert("RGB"), geometry["size_px"]
    if geometry["fit"] == "pad":
        return padded(image, geometry)
    box = (0.0, 0.0, image.width, image.height)
    if geometry["fit"] == "crop":
        side = min(image.size) * geometry["crop_fraction"]
        left, top = (image.width - side) / 2, (image.height - side) / 2
        box = (left, top, left + side, top + side)
    if box == (0, 0, size, size) == (0, 0, *image.size):
        return np.asarray(image)
    return np.asarray(image.resize((size, size), FILTERS[geometry["filter"]], box=box))


def dct_scale(size, geometry):
    """How many times smaller a JPEG is decoded: while twice the pixels that the geometry takes are left, and both
    sides divide evenly."""
    fraction = geometry["crop_fraction"] if geometry["fit"] == "crop" else 1.0
    least = math.ceil(2 * geometry["size_px"] / fraction)
    fits = (s for s in (8, 4, 2) if min(size) // s >= least and size[0] % s == size[1] % s == 0)
    return next(fits, 1)


def padded(image, geometry):
    size = geometry["size_px"]
    scale = size / max(image.size)
    width, height = (max(1, math.floor(side * scale + 0.5)) for side in image.size)
    inner = image if image.size == (width, height) else image.resize((width, height), FILTERS[geometry["filter"]])
    pixels = np.full((size, size, 3), geometry["pad_value"], np.uint8)
    left, top = (size - width) // 2, (size - height) // 2
    pixels[top : top + height, left : left + width] = np.asarray(inner)
    return pixels


def probabilities_of(logits, decision, task):
    """float64 [C], calibrated."""
    scaled = logits.astype(np.float64) / decision["temperature"]
    if task == "multi":
        scaled = np.asarray(decision["slopes"] or 1.0) * scaled + np.asarray(decision["intercepts"] or 0.0)
        return np.exp(-np.logaddexp(0.0, -scaled))
    shifted = np.exp(scaled - scaled.max())
    return shifted / shifted.sum()


def answer_of(probabilities, decision, task, classes):
    """The names that the decision gives."""
    if task == "single":
        return [classes[int(probabilities.argmax())]]
    thresholds = decision["thresholds"] or [0.5] * len(classes)
    return [name for name, said, least in zip(classes, probabilities, thresholds) if said >= least]


class Bundle:
    """A bundle whose files are as they were written."""

    def __init__(self, folder, threads=0):
        self.folder = Path(folder)
        for line in (self.folder / "SHA256SUMS").read_text().splitlines():
            digest, name = line.split("  ", 1)
            if hashlib.sha256((self.folder / name).read_bytes()).hexdigest() != digest:
                sys.exit(f"{name} is not as it was written: copy the bundle again")
        self.manifest = json.loads((self.folder / "fieldmark.json").read_text())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it only heats a small computer
        options.add_session_config_entry("session.x64quantprecision", "1")  # int8 without VNNI: exact sums
        graph, self.decision, self.canaries = self.answering()
        graph = (self.folder / graph).read_bytes()
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def answering(self):
        """The graph's file, its decision, and the probabilities that its canaries get: those of an export in another
        form (int8, float16) where onnxruntime runs it. `--check` tells whether this processor answers alike."""
        variant = self.manifest.get("variant")
        if variant and variant["runner"] == "onnxruntime":
            return variant["files"][0], variant["decision"], variant["canaries"]
        return "model.onnx", self.manifest["decision"], [each["probabilities"] for each in self.manifest["canaries"]]

    def predict(self, path):
        """(answer, probabilities float64 [C]) of a picture."""
        manifest = self.manifest
        pixels = pixels_of(path, manifest["geometry"])
        (logits,) = self.session.run(["logits"], {"pixels": pixels[None]})
        said = probabilities_of(logits[0], self.decision, manifest["task"])
        return answer_of(said, self.decision, manifest["task"], manifest["classes"]), said

    def check(self):
        """The canaries whose answer is another one here; each with the largest gap of a probability."""
        wrong = []
        for canary, recorded in zip(self.manifest["canaries"], self.canaries):
            said = self.predict(self.folder / canary["file"])[1]
            gap = float(np.abs(said - recorded).max())
            if gap > PROBABILITY_TOLERANCE:
                wrong.append((canary["file"], gap))
        return wrong


def main():
    begun = time.perf_counter()
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    bundle = Bundle(sys.argv[1])
    if sys.argv[2] == "--check":
        wrong, count = bundle.check(), len(bundle.manifest["canaries"])
        print(f"{count - len(wrong)} of {count} canaries answer as recorded")
        for file, gap in wrong:
            print(f"  {file}: a probability differs by {gap:.2g}")
        sys.exit(1 if wrong or not count else 0)
    for number, path in enumerate(sys.argv[2:]):
        answer, said = bundle.predict(path)
        best = np.argsort(-said, kind="stable")[:3]
        ranked = "  ".join(f"{bundle.manifest['classes'][place]} {100 * said[place]:.0f} %" for place in best)
        print(f"{path}  {', '.join(answer) or 'none'}  ({ranked})")
        if number == 0:
            print(f"first answer {time.perf_counter() - begun:.2f} s after the imports", file=sys.stderr)


if __name__ == "__main__":
    main()
