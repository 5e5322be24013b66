"""The exported graph, run by OpenVINO on the processor, in float32 unless it was proven in bf16.

OpenVINO takes bf16 by itself where the processor has it, and answers then differ by some percent of the logits'
spread; so it is told to stay in float32, but for files that were written, and proven, for bf16 and say so themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from queue import LifoQueue
from typing import Any, Literal

import numpy as np

from fieldmark.cores import available_cores
from fieldmark.data.picture import Pixels
from fieldmark.errors import BundleError, MissingExtra
from fieldmark.inference.runner import Outputs, Runner, checked, unusable
from fieldmark.memory import give_back_freed_memory

Arithmetic = Literal["f32", "bf16"]
ARITHMETIC = ("fieldmark", "arithmetic")  # where OpenVINO's own files tell it
_NAMES = {"pixels", "embedding", "logits"}
_OPENING = threading.Lock()
# With a stream alone, and one thread, OpenVINO runs in the caller's thread; else it hands pictures over to its own.
# That cost a MobileNetV3 in bf16 an eighth of its pace, and a ResNet-50 in int8 nothing; but each copy of a graph has
# its own weights, 80 MB of that ResNet-50.
_MOST_COPIED_BYTES = 32 * 2**20
_DTYPES = {"u8": "uint8", "f32": "float32"}


def open_openvino(path: Path, threads: int, workers: int, batch: int) -> Runner:
    """The graph at `path` for `workers` callers at once, with `threads` threads for each, and `batch` pictures a run.

    Raises BundleError for a graph that OpenVINO refuses, MissingExtra where it is not installed.
    """
    graph = _read(path)
    streams = max(1, min(threads * workers, available_cores()) // threads)  # runs at a time; further callers wait
    copies = streams if streams * _weights(path).stat().st_size <= _MOST_COPIED_BYTES else 1
    settings = {
        "NUM_STREAMS": str(streams // copies),
        "INFERENCE_NUM_THREADS": str(threads * streams // copies),
        "ENABLE_CPU_PINNING": False,  # other processes may be pinned to the same cores, and these would wait for them
        "INFERENCE_PRECISION_HINT": _arithmetic(graph),
    }
    compile_for = partial(_compiled, path, _identity(path), settings)  # of what was read above, and nothing else
    turns = {size: _turns(partial(compile_for, size), streams, copies) for size in {1, batch}}

    def infer(pixels: Pixels) -> Outputs:
        size = 1 if len(pixels) == 1 else batch
        found = [_run(turns[size], _filled(pixels[at : at + size], size), path) for at in range(0, len(pixels), size)]
        embeddings, logits = zip(*found)
        return np.concatenate(embeddings)[: len(pixels)], np.concatenate(logits)[: len(pixels)]

    return checked(path, infer, _ports(graph.inputs), _ports(graph.outputs))


def _turns(compiled: Callable[[], Any], streams: int, copies: int) -> LifoQueue[Callable[[], Any]]:
    """What makes, or has made, a request of its own for each run at a time; those that have one come first."""
    shared = _once(compiled) if copies == 1 else compiled
    turns: LifoQueue[Callable[[], Any]] = LifoQueue()
    for _ in range(streams):
        turns.put(cache(lambda: shared().create_infer_request()))
    return turns


def _run(turns: LifoQueue[Callable[[], Any]], pixels: Pixels, path: Path) -> Outputs:
    request = turns.get()
    try:
        return _infer(request(), pixels, path)
    finally:
        turns.put(request)


def _once(make: Callable[[], Any]) -> Callable[[], Any]:
    """`make`, whose first result is kept; two threads at once do not make it twice."""
    lock, kept = threading.Lock(), cache(make)

    def get() -> Any:
        with lock:
            return kept()

    return get


def _compiled(path: Path, opened: tuple[object, ...], settings: dict[str, Any], size: int) -> Any:
    # Of a size that it knows beforehand a graph runs faster: a MobileNetV3 in bf16 1,242 pictures a second, one at
    # a time, and 1,027 where any number may come. Read anew, since a graph that was kept would hold its weights, too.
    graph = _read(path)
    if _identity(path) != opened:
        raise BundleError(
            "the bundle's graph is another than when it was opened", where=str(path), do="open the bundle again"
        )
    try:
        graph.reshape({"pixels": [size, *graph.input("pixels").get_partial_shape()[1:]]})
        compiled = openvino_core().compile_model(graph, "CPU", settings)
    except RuntimeError as error:
        raise _refused(error, path) from error
    del graph
    give_back_freed_memory()
    return compiled


def _filled(pixels: Pixels, count: int) -> Pixels:
    """So many rows; those that are missing are dark."""
    missing = count - len(pixels)
    return np.concatenate([pixels, np.zeros((missing, *pixels.shape[1:]), np.uint8)]) if missing else pixels


def _weights(path: Path) -> Path:
    """The file that has them: of OpenVINO's own two the other one."""
    return path.with_suffix(".bin") if path.suffix == ".xml" else path


def _identity(path: Path) -> tuple[object, ...]:
    """Another one where a file was replaced, altered or removed."""
    try:
        seen = [file.stat() for file in (path, _weights(path))]
    except OSError as error:
        return (str(error),)
    return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in seen)


def _read(path: Path) -> Any:
    # From bytes, so that a graph cannot make the runtime open other files.
    try:
        weights = b"" if _weights(path) == path else _weights(path).read_bytes()
        return openvino_core().read_model(path.read_bytes(), weights)
    except (RuntimeError, OSError) as error:
        raise _refused(error, path) from error


def _refused(error: Exception, path: Path) -> BundleError:
    return unusable(f"OpenVINO refuses it: {error}", path, "openvino")


def runner_of(compiled: Any, path: Path) -> Runner:
    """A compiled graph, made of the file at `path`, ready to run."""
    own = threading.local()  # a request holds its inputs and outputs, so each thread has one

    def infer(pixels: Pixels) -> Outputs:
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()
        return _infer(own.request, pixels, path)

    return checked(path, infer, _ports(compiled.inputs), _ports(compiled.outputs))


def _infer(request: Any, pixels: Pixels, path: Path) -> Outputs:
    try:
        answered = request.infer({"pixels": pixels}, share_inputs=True)
    except RuntimeError as error:
        raise unusable(f"it cannot be run: {error}", path, "openvino") from error
    return np.array(answered["embedding"]), np.array(answered["logits"])


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
