"""A network as an ONNX graph: pixels in, embedding and logits out, normalisation inside."""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
import torch
from torch import nn

from fieldmark.exporters.folding import fold
from fieldmark.exporters.frozen import frozen_copy

OPSET = 17  # read by onnxruntime since 1.12, and by OpenVINO, TensorRT and Core ML converters


def export(network: nn.Module, size_px: int, path: Path) -> None:
    """Writes `network` (uint8 [N, size_px, size_px, 3] -> embedding [N, D], logits [N, C]) as ONNX at `path`.

    N is free, the rest fixed. The same weights give the same bytes, in any process and folder.
    """
    frozen = frozen_copy(network)
    # Two unlike pictures, neither empty: tracing follows one path through the network, and it should be a usual one.
    example = torch.arange(2 * size_px * size_px * 3).remainder(251).to(torch.uint8).reshape(2, size_px, size_px, 3)
    with torch.inference_mode():
        embedding, logits = frozen(example)
    _trace(frozen, example, path)
    path.write_bytes(_tidied(path.read_bytes(), size_px, embedding.shape[1], logits.shape[1]))


def _trace(network: nn.Module, example: torch.Tensor, path: Path) -> None:
    with warnings.catch_warnings():
        # The tracing exporter: ten times faster here than the newer one and the same bytes each time. torch announces
        # its end, and says what tracing takes for constant; what that does to answers is for parity to show.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        # It also tells of constants that it left as they were, which costs nothing but a few bytes.
        warnings.filterwarnings("ignore", message="Constant folding", category=UserWarning)
        torch.onnx.export(
            network,
            (example,),
            path,
            dynamo=False,
            opset_version=OPSET,
            input_names=["pixels"],
            output_names=["embedding", "logits"],
            dynamic_axes={name: {0: "N"} for name in ("pixels", "embedding", "logits")},
        )


def _tidied(encoded: bytes, size_px: int, embedding_size: int, n_classes: int) -> bytes:
    model = fold(onnx.load_model_from_string(encoded), size_px)
    model.producer_name, model.producer_version = "fieldmark", ""  # versions stand in fieldmark.json
    for node in model.graph.node:
        node.doc_string = ""
    for output, size in zip(model.graph.output, (embedding_size, n_classes)):
        # Tracing may lose a size on the way; a reader of the graph should not have to run it to know.
        output.type.tensor_type.shape.dim[1].Clear()
        output.type.tensor_type.shape.dim[1].dim_value = size
    onnx.checker.check_model(model)
    tidy: bytes = model.SerializeToString(deterministic=True)
    return tidy
