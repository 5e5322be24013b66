"""NVIDIA's own client against the V2 routes of a server. BUNDLE IMAGES [N]

`tritonclient[http]` asks for N of the images (40, if not said) as bytes by the binary rule and as JSON, several
in one request, for the best classes, and with pixels as uint8 tensors; what comes back is held against the bundle in
this process. Prints how many answers each way were right, and the largest difference of a probability.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.http as triton
from serving import server

from fieldmark.bundle.layout import name_of
from fieldmark.data.loading import load_bytes
from fieldmark.inference.classifier import load

TOGETHER = 3


def image_input(images: list[bytes], *, binary: bool) -> Any:
    array = np.empty(len(images), np.object_)
    array[:] = images if binary else [base64.b64encode(image).decode() for image in images]
    asked = triton.InferInput("image", [len(images)], "BYTES")
    asked.set_data_from_numpy(array, binary_data=binary)
    return asked


def pixel_input(pixels: Any) -> Any:
    asked = triton.InferInput("pixels", list(pixels.shape), "UINT8")
    asked.set_data_from_numpy(pixels)
    return asked


def main() -> None:
    bundle, folder, *more = sys.argv[1:]
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())[: int(more[0]) if more else 40]
    classifier = load(bundle)
    geometry, classes = classifier.bundle.manifest.geometry, classifier.bundle.manifest.classes
    images = [file.read_bytes() for file in files]
    pixels = np.stack([load_bytes(image, geometry) for image in images])
    right = np.stack([classifier.predict(image).probabilities for image in images])
    ways = {
        "bytes": lambda at: image_input(images[at : at + TOGETHER], binary=True),
        "json": lambda at: image_input(images[at : at + TOGETHER], binary=False),
        "pixels": lambda at: pixel_input(pixels[at : at + TOGETHER]),
    }
    with server(bundle) as port:
        client = triton.InferenceServerClient(f"127.0.0.1:{port}")
        name = name_of(Path(bundle))
        ready = {
            "live": client.is_server_live(),
            "ready": client.is_server_ready(),
            "model": client.is_model_ready(name),
        }
        print(json.dumps({**ready, "inputs": [each["name"] for each in client.get_model_metadata(name)["inputs"]]}))
        for way, asked in ways.items():
            answers = [
                client.infer(name, [asked(at)]).as_numpy("probabilities") for at in range(0, len(images), TOGETHER)
            ]
            found = np.concatenate(answers)
            same = int((found.argmax(axis=1) == right.argmax(axis=1)).sum())
            gap = float(np.abs(found - right).max())
            print(json.dumps({"way": way, "right": same, "n": len(images), "largest_gap": gap}), flush=True)
        best = [triton.InferRequestedOutput("probabilities", class_count=1)]
        named = client.infer(name, [image_input(images, binary=True)], outputs=best).as_numpy("probabilities")
        same = sum(text.decode().split(":", 2)[2] == classes[row.argmax()] for (text,), row in zip(named, right))
        print(json.dumps({"way": "classification", "right": same, "n": len(images)}))


if __name__ == "__main__":
    main()
