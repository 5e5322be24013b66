"""LitServe with our decoding, geometry and runner behind it, so that only the serving differs. BUNDLE PORT WORKERS

One worker is LitServe's default; its graph has all cores. With more they are divided, so that with as many as there
are cores each has one, as our server's workers have. The body is {"images": ["<base64>"]}.
"""

from __future__ import annotations

import base64
import sys
from typing import Any

import litserve

from fieldmark.bundle.reading import open_bundle
from fieldmark.cores import available_cores
from fieldmark.inference.classifier import ready
from fieldmark.inference.execution import for_one
from fieldmark.inference.prediction import Prediction
from fieldmark.inference.variants import on_this_machine

WORKERS = int(sys.argv[3])


class Api(litserve.LitAPI):
    def setup(self, device: str) -> None:  # noqa: ARG002  the interface's
        bundle = on_this_machine(open_bundle(sys.argv[1]))
        self.classifier = ready(
            bundle, for_one(available_cores() // WORKERS, bundle.manifest.geometry.size_px, bundle.runner)
        )

    def decode_request(self, request):  # type: ignore[no-untyped-def]  # LitServe takes what is said here for a form
        return base64.b64decode(request["images"][0])

    def predict(self, encoded: bytes) -> Prediction:
        return self.classifier.predict(encoded)

    def encode_response(self, answer: Prediction) -> dict[str, Any]:
        return {"labels": answer.labels, "probabilities": dict(zip(answer.classes, answer.probabilities.tolist()))}


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=WORKERS)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), log_level="error", generate_client_file=False)
