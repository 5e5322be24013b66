"""Static quantisation of an ONNX graph, boldest first, until it answers as the float32 graph does."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from fieldmark.conversion.quantising import ENOUGH, Judge, Parts, batches, parts_of
from fieldmark.conversion.row import Source
from fieldmark.cores import instruction_sets
from fieldmark.data.picture import Pixels
from fieldmark.exporters.folding import fold
from fieldmark.inference.runner import Runner, open_graph

STRETCHES = 12  # of products one after the other: each border of int8 and float costs time
LEFT_IN_FLOAT = (1, 2, 3, 6)  # stretches
# Ranges are the mean over batches of the lowest and highest numbers: a single image's do not widen them for all.
_RANGES = {"CalibMovingAverage": True, "CalibMovingAverageConstant": 0.1}


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # the library has no types
    def __init__(self, pixels: Pixels) -> None:
        self._waiting = batches(pixels)

    def get_next(self) -> dict[str, Any] | None:
        some = next(self._waiting, None)
        return None if some is None else {"pixels": some}


def quantise(source: Source, out: Path) -> tuple[str, ...]:
    """Writes the int8 form at `out`, and says how it was made."""
    judge = Judge.by(open_graph(source.graph), source.manifest, source.held_back)
    with tempfile.TemporaryDirectory() as made:
        folded, prepared = Path(made) / "folded.onnx", Path(made) / "prepared.onnx"
        # As a file: of a graph in memory it lays the constants aside, and then does not know its shapes (1.31).
        onnx.save(fold(onnx.load(source.graph), source.manifest.geometry.size_px), folded)
        quant_pre_process(folded, prepared, skip_symbolic_shape=True)
        parts = parts_of(onnx.load(prepared).graph)
        attempt = partial(_quantise, prepared, out, parts, source.calibration)
        tried: dict[float, tuple[str, ...]] = {}
        for kept in _attempts(attempt, parts.weighted, judge):
            agreement = judge.agreement(attempt(kept))
            tried.setdefault(agreement, kept)  # of equals the bolder
            if agreement >= ENOUGH:
                break
        if tried[max(tried)] != kept:
            attempt(tried[max(tried)])
    agreement, kept = max(tried), tried[max(tried)]
    products = len(parts.weighted)
    stay = f"; in float32 stay {', '.join(kept)}" if kept else ""
    return (
        f"{products - len(kept)} of {products} products with weights in int8{stay}",
        f"{agreement:.1%} of {len(source.held_back)} images that set no range are answered as in float32",
    )


def _attempts(
    attempt: Callable[[tuple[str, ...]], Runner], products: tuple[str, ...], judge: Judge
) -> Iterator[tuple[str, ...]]:
    """The products that stay in float, boldest first: none; then stretches of the network, those first whose leaving
    mends most."""
    yield ()
    stretches = [tuple(each) for each in np.array_split(products, min(STRETCHES, len(products)))]
    left = {stretch: judge.error(attempt(stretch)) for stretch in stretches}
    ranked = sorted(stretches, key=lambda stretch: left[stretch])
    for count in LEFT_IN_FLOAT:
        yield tuple(name for stretch in ranked[:count] for name in stretch)


def _quantise(prepared: Path, out: Path, parts: Parts, pixels: Pixels, kept: tuple[str, ...]) -> Runner:
    quantize_static(
        prepared,
        out,
        _Reader(pixels),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8 if instruction_sets()["int8"].startswith("ARM") else QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        # Attention's own products, its softmax and what normalises layers do not bear rounding.
        nodes_to_quantize=[name for name in parts.weighted if name not in kept] if parts.transformer else None,
        nodes_to_exclude=None if parts.transformer else [*parts.around, *kept],
        extra_options=_RANGES,
        calibration_cache_path=prepared.with_suffix(".ranges"),  # every attempt has the same ones
    )
    return open_graph(out)
