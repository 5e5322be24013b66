"""Static quantisation of an ONNX graph, boldest first, until it answers as the float32 graph does."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, qdq_loss_debug, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from fieldmark.conversion.quantising import ENOUGH, Judge, Parts, batches, parts_of
from fieldmark.conversion.row import Source
from fieldmark.cores import instruction_set
from fieldmark.data.picture import Pixels
from fieldmark.inference.runner import open_graph

LEFT_IN_FLOAT = (1 / 16, 1 / 8, 1 / 4, 1 / 2)  # of the products with weights, those that rounding hurts most
# Ranges are the mean over batches of the lowest and highest numbers: a single image's do not widen them for all.
_RANGES = {"CalibMovingAverage": True, "CalibMovingAverageConstant": 0.1}
RANKED_BY = 4  # images; all activations of all of them are held in memory


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
        prepared = Path(made) / "prepared.onnx"
        quant_pre_process(source.graph, prepared, skip_symbolic_shape=True)
        parts = parts_of(onnx.load(prepared).graph)
        tried: dict[float, tuple[str, ...]] = {}
        for kept in _attempts(parts, prepared, out, source.calibration[:RANKED_BY]):
            _quantise(prepared, out, parts, source.calibration, kept)
            agreement = judge.agreement(open_graph(out))
            tried.setdefault(agreement, kept)  # of equals the bolder
            if agreement >= ENOUGH:
                break
        agreement = max(tried)
        if tried[agreement] != kept:
            kept = tried[agreement]
            _quantise(prepared, out, parts, source.calibration, kept)
    products = len(parts.weighted)
    said = f"{products - len(kept)} of {products} products with weights in int8"
    named = f"; in float32 stay {', '.join(kept)}" if kept else ""
    seen = f"{agreement:.1%} of {len(source.held_back)} training images that set no range are answered as in float32"
    return f"{said}{named}", seen


def _attempts(parts: Parts, prepared: Path, last: Path, pixels: Pixels) -> Iterator[tuple[str, ...]]:
    """The products that stay in float, boldest first."""
    yield ()
    worst = _most_hurt_first(parts, prepared, last, pixels)
    for share in LEFT_IN_FLOAT:
        yield worst[: max(1, round(share * len(worst)))]


def _quantise(prepared: Path, out: Path, parts: Parts, pixels: Pixels, kept: tuple[str, ...]) -> None:
    here = instruction_set()
    quantize_static(
        prepared,
        out,
        _Reader(pixels),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8 if here.startswith("ARM") else QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        # Attention's own products, its softmax and what normalises layers do not bear rounding.
        nodes_to_quantize=[name for name in parts.weighted if name not in kept] if parts.transformer else None,
        nodes_to_exclude=None if parts.transformer else [*parts.around, *kept],
        extra_options=_RANGES,
    )


def _most_hurt_first(parts: Parts, prepared: Path, quantised: Path, pixels: Pixels) -> tuple[str, ...]:
    """By the signal left over the rounding noise, of the weights, and of what goes in and comes out."""
    with tempfile.TemporaryDirectory() as folder:
        seen = []
        for graph in (prepared, quantised):
            watched = Path(folder) / graph.name
            qdq_loss_debug.modify_model_output_intermediate_tensors(graph, watched)
            seen.append(qdq_loss_debug.collect_activations(str(watched), _Reader(pixels)))
    matched = qdq_loss_debug.create_activation_matching(seen[1], seen[0])
    signal = {name: found["qdq_err"] for name, found in qdq_loss_debug.compute_activation_error(matched).items()}
    of_weights = qdq_loss_debug.create_weight_matching(str(prepared), str(quantised))
    signal |= qdq_loss_debug.compute_weight_error(of_weights)
    nodes = {node.name: node for node in onnx.load(prepared).graph.node if node.name in parts.weighted}
    worst = {
        name: min((signal[each] for each in (*node.input, *node.output) if each in signal), default=float("inf"))
        for name, node in nodes.items()
    }
    return tuple(sorted(worst, key=lambda name: worst[name]))
