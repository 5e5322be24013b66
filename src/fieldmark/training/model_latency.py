"""How fast each model answers on this machine, untrained; measured once and remembered."""

from __future__ import annotations

import io
import os
import platform
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
from PIL import Image

from fieldmark.cores import available_cores
from fieldmark.encoders.building import encoder_row
from fieldmark.encoders.catalogue import Model
from fieldmark.exporters.onnx import export
from fieldmark.heads.linear import Linear
from fieldmark.progress import Progress
from fieldmark.training.attending import FAULTS, fault_in_words
from fieldmark.training.network import Network
from fieldmark.training.weighing import weigh

CLASSES = 10
PICTURE_PX = (640, 480)


def measured(models: Sequence[Model], progress: Progress) -> tuple[list[Model], dict[str, str]]:
    """Each of the models with its latency: median of one photo at a time, from a JPEG's bytes on, on all cores, with
    a linear head of CLASSES classes. What is measured is kept for the next time, as long as machine, number of cores
    and versions stay the same. Beside them, of those that cannot be built or exported here, why."""
    file = memory_file()
    known = _remembered(file)
    timed, refused = [], {}
    for done, model in enumerate(models):
        progress("measuring", done, len(models), model.name)
        key = _key(model)
        if key not in known:
            try:
                known[key] = _measure(model)
            except FAULTS as fault:
                refused[model.name] = fault_in_words(fault)
                continue
            _remember(file, known)
        timed.append(replace(model, latency_ms=known[key]))
    if models:
        progress("measuring", len(models), len(models))
    return timed, refused


def memory_file() -> Path:
    """In the folder that FIELDMARK_CACHE names, or the user's own for caches."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("FIELDMARK_CACHE") or Path(home) / "fieldmark") / "latency.json"


def _measure(model: Model) -> float:
    row = encoder_row(model.name)
    geometry = row.geometry(model.size_px)
    encoder = row.build(geometry.size_px)
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "model.onnx"
        export(Network(encoder, Linear(encoder.embedding_size, CLASSES)), geometry.size_px, graph)
        return round(weigh(graph, geometry, "single", [_photo()]).latency_ms[0], 3)


def _photo() -> bytes:
    """A JPEG that takes about as long to decode as a photo of its size: smooth, with some grain."""
    width, height = PICTURE_PX
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int64)
    grainy = np.clip(smooth + random.integers(-12, 13, smooth.shape), 0, 255).astype(np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(grainy).save(encoded, "JPEG", quality=90)
    return encoded.getvalue()


def _key(model: Model) -> str:
    versions = " ".join(f"{name} {version(name)}" for name in ("fieldmark", "torch", "timm", "onnxruntime"))
    return f"{model.name} {model.size_px} px, {platform.node()}, {available_cores()} cores, {versions}"


def _remembered(file: Path) -> dict[str, float]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, float])
    except (OSError, msgspec.MsgspecError):
        return {}  # nothing yet, or nothing to be trusted: it is measured again


def _remember(file: Path, known: dict[str, float]) -> None:
    with suppress(OSError):  # a memory that cannot be kept costs only time
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(known)))
        draft.replace(file)
