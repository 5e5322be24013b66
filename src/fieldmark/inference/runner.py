"""The exported graph, run by onnxruntime on the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as raised

from fieldmark.cores import available_cores
from fieldmark.data.picture import Pixels
from fieldmark.errors import BundleError

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
    `logits` float32 [N, C] out."""

    path: Path
    session: Any
    size_px: int
    embedding_size: int
    n_classes: int

    def run(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(embedding, logits) of `pixels`. BundleError where the graph fails or answers NaN or infinity."""
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (self.size_px, self.size_px, 3):
            raise ValueError(f"pixels must be uint8 [N, {self.size_px}, {self.size_px}, 3], not {pixels.shape}")
        if not len(pixels):
            return np.empty((0, self.embedding_size), np.float32), np.empty((0, self.n_classes), np.float32)
        try:
            embedding, logits = self.session.run(["embedding", "logits"], {"pixels": np.ascontiguousarray(pixels)})
        except _REFUSED as error:
            raise _unusable(f"it cannot be run: {error}", self.path) from error
        if not np.isfinite(logits).all():
            raise _unusable("it answers with something that is not a number", self.path)
        return embedding, logits


def open_graph(path: Path, *, threads: int | None = None) -> Runner:
    """The graph at `path` on `threads` cores (default: all that this process may use).

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
    try:
        # From bytes, so that a graph cannot make the runtime open other files ("external data").
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except _REFUSED as error:
        raise _unusable(f"onnxruntime refuses it: {error}", path) from error
    return _checked(session, path)


def _checked(session: Any, path: Path) -> Runner:
    inputs = {node.name: (node.type, node.shape) for node in session.get_inputs()}
    outputs = {node.name: (node.type, node.shape) for node in session.get_outputs()}
    if set(inputs) != {"pixels"} or set(outputs) != {"embedding", "logits"}:
        raise _unusable(f"it has {sorted(inputs)} -> {sorted(outputs)}, not pixels -> embedding, logits", path)
    match inputs["pixels"], outputs["embedding"], outputs["logits"]:
        case (
            ("tensor(uint8)", [_, int(height), int(width), 3]),
            ("tensor(float)", [_, int(embedding_size)]),
            ("tensor(float)", [_, int(n_classes)]),
        ) if height == width:
            return Runner(
                path=path, session=session, size_px=height, embedding_size=embedding_size, n_classes=n_classes
            )
    raise _unusable(f"its shapes or types are wrong: {inputs} -> {outputs}", path)


def _unusable(what: str, path: Path) -> BundleError:
    return BundleError(
        f"the bundle's graph cannot be used: {what}",
        where=str(path),
        do="update onnxruntime (pip install -U onnxruntime); if that does not help, train the bundle again",
    )
