"""The exported graph, ready to run; by onnxruntime, unless somebody else is asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as raised

from fieldmark.cores import available_cores
from fieldmark.data.picture import Pixels
from fieldmark.errors import BundleError
from fieldmark.memory import give_back_freed_memory

Outputs = tuple[NDArray[np.float32], NDArray[np.float32]]
Ports = Mapping[str, tuple[str, Sequence[object]]]
_DTYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}
_REFUSED = (
    raised.EPFail,
    raised.Fail,
    raised.InvalidArgument,
    raised.InvalidGraph,
    raised.InvalidProtobuf,
    raised.NoModel,
    raised.NotImplemented,
    raised.RuntimeException,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """A graph that is ready to run: `pixels` uint8 [N, size_px, size_px, 3] in, `embedding` float32 [N, D] and
    `logits` float32 [N, C] out. `infer` is the runtime's part, and may be called by several threads at once."""

    path: Path
    infer: Callable[[Pixels], Outputs]
    size_px: int
    embedding_size: int
    n_classes: int

    def run(self, pixels: Pixels) -> Outputs:
        """(embedding, logits) of `pixels`. BundleError where the graph fails or answers NaN or infinity."""
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (self.size_px, self.size_px, 3):
            raise ValueError(f"pixels must be uint8 [N, {self.size_px}, {self.size_px}, 3], not {pixels.shape}")
        if not len(pixels):
            return np.empty((0, self.embedding_size), np.float32), np.empty((0, self.n_classes), np.float32)
        embedding, logits = self.infer(np.ascontiguousarray(pixels))
        if not np.isfinite(logits).all():
            raise unusable("it answers with something that is not a number", self.path)
        return embedding, logits


def open_graph(path: Path, *, threads: int | None = None) -> Runner:
    """The graph at `path`, run by onnxruntime on `threads` cores (default: all that this process may use).

    Raises BundleError for a graph that onnxruntime refuses, that keeps weights in other files, or whose inputs and
    outputs are not the ones that Runner names.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or available_cores()
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # what goes wrong is raised; nothing is printed beside it
    # Spinning threads eat the cores that decode the next pictures, and a container's CPU quota.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Without VNNI, sums of int8 products saturate at 16 bits unless it is told to be exact (onnxruntime's
    # quantization guide): of the same file 76 % and 94 % of the answers were as in float32.
    options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        session = onnxruntime.InferenceSession(_file_or_bytes(path), options, providers=["CPUExecutionProvider"])
    except _REFUSED as error:
        raise unusable(f"onnxruntime refuses it: {error}", path) from error
    give_back_freed_memory()
    inputs = {node.name: (_DTYPES.get(node.type, node.type), node.shape) for node in session.get_inputs()}
    outputs = {node.name: (_DTYPES.get(node.type, node.type), node.shape) for node in session.get_outputs()}

    def infer(pixels: Pixels) -> Outputs:
        try:
            embedding, logits = session.run(["embedding", "logits"], {"pixels": pixels})
        except _REFUSED as error:
            raise unusable(f"it cannot be run: {error}", path) from error
        return embedding, logits

    return checked(path, infer, inputs, outputs)


def _file_or_bytes(path: Path) -> Path | bytes:
    """The graph as onnxruntime is to get it: of bytes it holds two copies more than of a file, for good. But so a
    graph cannot make it open other files, of which it would have to tell the "location" (onnx.proto)."""
    encoded = path.read_bytes()
    nameable = str(path).encode(errors="ignore") == os.fsencode(path)  # it takes names in UTF-8 alone
    return path if nameable and b"location" not in encoded else encoded


def checked(path: Path, infer: Callable[[Pixels], Outputs], inputs: Ports, outputs: Ports) -> Runner:
    """A Runner, where the graph takes and gives what one does: name -> (dtype, shape, of which the first is free)."""
    if set(inputs) != {"pixels"} or set(outputs) != {"embedding", "logits"}:
        raise unusable(f"it has {sorted(inputs)} -> {sorted(outputs)}, not pixels -> embedding, logits", path)
    match inputs["pixels"], outputs["embedding"], outputs["logits"]:
        case (
            ("uint8", [_, int(height), int(width), 3]),
            ("float32", [_, int(embedding_size)]),
            ("float32", [_, int(n_classes)]),
        ) if height == width:
            return Runner(path=path, infer=infer, size_px=height, embedding_size=embedding_size, n_classes=n_classes)
    raise unusable(f"its shapes or types are wrong: {inputs} -> {outputs}", path)


def unusable(what: str, path: Path, runtime: str = "onnxruntime") -> BundleError:
    """The refusal of a graph, in the words that all runtimes share; `runtime` is the package that may be too old."""
    return BundleError(
        f"the bundle's graph cannot be used: {what}",
        where=str(path),
        do=f"update {runtime} (pip install -U {runtime}); if that does not help, train the bundle again",
    )
