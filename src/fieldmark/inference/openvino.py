"""The exported graph, run by OpenVINO on the processor, in float32 unless it was proven in bf16.

OpenVINO takes bf16 by itself where the processor has it, and answers then differ by some percent of the logits'
spread; so it is told to stay in float32, but for files that were written, and proven, for bf16 and say so themselves.
"""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fieldmark.cores import available_cores
from fieldmark.data.picture import Pixels
from fieldmark.errors import MissingExtra
from fieldmark.inference.runner import Outputs, Runner, checked, unusable

Arithmetic = Literal["f32", "bf16"]
ARITHMETIC = ("fieldmark", "arithmetic")  # where OpenVINO's own files tell it
_NAMES = {"pixels", "embedding", "logits"}
_OPENING = threading.Lock()
_DTYPES = {"u8": "uint8", "f32": "float32"}


def open_openvino(path: Path, threads: int, workers: int) -> Runner:
    """The graph at `path` for `workers` callers at once, with `threads` threads for each.

    Raises BundleError for a graph that OpenVINO refuses, MissingExtra where it is not installed.
    """
    core = openvino_core()
    cores = min(threads * workers, available_cores())
    settings = {
        "NUM_STREAMS": str(max(1, cores // threads)),  # runs at a time; further callers wait for one
        "INFERENCE_NUM_THREADS": str(cores),
        "ENABLE_CPU_PINNING": False,  # other processes may be pinned to the same cores, and these would wait for them
    }
    try:
        # From bytes, so that a graph cannot make the runtime open other files.
        weights = path.with_suffix(".bin")
        graph = core.read_model(path.read_bytes(), weights.read_bytes() if path.suffix == ".xml" else b"")
        compiled = core.compile_model(graph, "CPU", settings | {"INFERENCE_PRECISION_HINT": _arithmetic(graph)})
    except RuntimeError as error:
        raise unusable(f"OpenVINO refuses it: {error}", path) from error
    return runner_of(compiled, path)


def runner_of(compiled: Any, path: Path) -> Runner:
    """A compiled graph, made of the file at `path`, ready to run."""
    own = threading.local()  # a request holds its inputs and outputs, so each thread has one

    def infer(pixels: Pixels) -> Outputs:
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()
        try:
            answered = own.request.infer({"pixels": pixels})
        except RuntimeError as error:
            raise unusable(f"it cannot be run: {error}", path) from error
        return np.array(answered["embedding"]), np.array(answered["logits"])

    return checked(path, infer, _ports(compiled.inputs), _ports(compiled.outputs))


def _arithmetic(graph: Any) -> Arithmetic:
    told = graph.has_rt_info([*ARITHMETIC]) and graph.get_rt_info([*ARITHMETIC]).astype(str)
    return "bf16" if told == "bf16" else "f32"


def _ports(nodes: Any) -> dict[str, tuple[str, list[object]]]:
    # A tensor may bear several names, after the operation that makes it, too.
    return {
        next(iter(_NAMES & node.get_names()), node.get_any_name()): (
            _DTYPES.get(node.get_element_type().get_type_name(), node.get_element_type().get_type_name()),
            [side.get_length() if side.is_static else None for side in node.get_partial_shape()],
        )
        for node in nodes
    }


def openvino_core() -> Any:
    """The one of this process, never given back: with it OpenVINO (2026.4) frees the stack that signals are handled
    on, and the thread that was given this stack crashes at the next signal. MissingExtra without OpenVINO."""
    with _OPENING:
        return _core()


@cache
def _core() -> Any:
    try:
        import openvino
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "OpenVINO is not installed", where="--runner openvino", do="pip install 'fieldmark[openvino]'"
        ) from error
    # Where two threads were the first to look at a tensor's numbers, each waited for what the other held (2026.4: one
    # the interpreter's lock, one that of what pybind11 sets up once): the process stood still. Here one comes first.
    _ = openvino.Tensor(np.zeros(1, np.uint8)).data
    return openvino.Core()
