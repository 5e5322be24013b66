"""What a graph's int8 form keeps in float, and how well an attempt answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto

from fieldmark.bundle.schema import Manifest
from fieldmark.data.picture import Pixels
from fieldmark.exporters.agreeing import answers
from fieldmark.inference.deciding import probabilities
from fieldmark.inference.runner import Runner

# Of the images held back, answered alike: of 256, chance moves it by half a point; the proof asks for 0.985.
ENOUGH = 0.995
BATCH = 16
SOME = 64  # images
_PRODUCTS = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The nodes of a graph by name. `weighted`: products with weights, where int8 pays; `around`: what normalises
    pixels before the first of them, and what makes logits of the embedding: cheap, and not to be rounded.
    `transformer`: it has attention."""

    weighted: tuple[str, ...]
    around: tuple[str, ...]
    transformer: bool


def parts_of(graph: GraphProto) -> Parts:
    weights = {each.name for each in graph.initializer}
    made = {output: node for node in graph.node for output in node.output}
    body = _behind("embedding", made)
    weighted = [node for node in graph.node if node.op_type in _PRODUCTS and weights & {*node.input}]
    after: set[str] = set()  # tensors that a weighted product had a part in; nodes stand in the order of their work
    before = []
    for node in graph.node:
        if node in weighted or after & {*node.input}:
            after |= {*node.output}
        else:
            before.append(node.name)
    return Parts(
        weighted=tuple(node.name for node in weighted if node.name in body),
        around=(*before, *(node.name for node in graph.node if node.name not in body)),
        transformer=any(node.op_type in ("Softmax", "LayerNormalization") for node in graph.node),
    )


def _behind(tensor: str, made: dict[str, NodeProto]) -> set[str]:
    """Names of all nodes that `tensor` is made by."""
    found: set[str] = set()
    waiting = [tensor]
    while waiting:
        node = made.get(waiting.pop())
        if node is not None and node.name not in found:
            found.add(node.name)
            waiting += node.input
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """How far a form's answers to `pixels` are from those of the float32 graph, `expected` logits float32 [N, C]."""

    manifest: Manifest
    pixels: Pixels
    expected: NDArray[np.float32]

    @classmethod
    def by(cls, reference: Runner, manifest: Manifest, pixels: Pixels) -> Judge:
        return cls(manifest=manifest, pixels=pixels, expected=_logits(reference, pixels))

    def agreement(self, runner: Runner, among: Sequence[slice] = (slice(None),)) -> float:
        """The share of answers that are the same, among these images."""
        task, decision = self.manifest.task, self.manifest.decision
        rows = np.concatenate([np.arange(len(self.pixels))[part] for part in among])
        said, expected = (
            answers(probabilities(logits, decision, task), task, decision)
            for logits in (_logits(runner, self.pixels[rows]), self.expected[rows])
        )
        return float((said == expected).mean())

    def error(self, runner: Runner) -> float:
        """Root mean square of the difference of logits, of some of the images."""
        gap = _logits(runner, self.pixels[:SOME]) - self.expected[:SOME]
        return float(np.sqrt(np.mean(gap**2)))


def _logits(runner: Runner, pixels: Pixels) -> NDArray[np.float32]:
    return np.concatenate([runner.run(some)[1] for some in batches(pixels)])


def batches(pixels: Pixels) -> Iterator[Pixels]:
    for start in range(0, len(pixels), BATCH):
        yield pixels[start : start + BATCH]
