"""The small one answers, and the large one is asked only where the small one is not sure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from fieldmark.combining.fragment import Fragment, Member, Nodes, constant
from fieldmark.combining.row import Combination, Evidence, Rule, everyone
from fieldmark.data.dataset import Task
from fieldmark.errors import UsageError
from fieldmark.measures.outcomes import Floats

ALWAYS = 2.0  # a threshold that no probability reaches
# float32 and float64 differ by about 1e-6 in a probability: an image so close to the threshold may go either way.
CLOSE = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Cascade:
    """The second member answers for images whose largest probability, by the first, is below `threshold`."""

    threshold: float

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"threshold": self.threshold}

    def probabilities(self, said: Floats) -> Floats:
        return np.asarray(np.where(self.needed(said)[1][:, None], said[1], said[0]))

    def embedding(self, each: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        return each[0]  # the large one's is of another space, and not there for all

    def needed(self, said: Floats) -> NDArray[np.bool_]:
        needed = everyone(said)
        needed[1] = said[0].max(axis=1) < self.threshold
        return needed

    def settled(self, said: Floats) -> NDArray[np.bool_]:
        return np.asarray(np.abs(said[0].max(axis=1) - self.threshold) > CLOSE)

    def write(self, members: Sequence[Member], task: Task) -> Fragment:  # noqa: ARG002  (one label: see ROW)
        small = members[0].fragment("small/")
        classes = len(members[0].order)
        nodes = (
            *small.nodes,
            helper.make_node("LogSoftmax", [small.logits], ["small/log"], axis=1),
            # The largest by its place: an operator that means the same in every opset, which ReduceMax does not.
            helper.make_node("ArgMax", ["small/log"], ["best"], axis=1, keepdims=1),
            helper.make_node("GatherElements", ["small/log", "best"], ["sure"], axis=1),
            helper.make_node("Less", ["sure", "threshold"], ["unsure"]),
            helper.make_node("NonZero", ["unsure"], ["places"]),
            helper.make_node("Gather", ["places", "nought"], ["rows"], axis=0),
            helper.make_node("Size", ["rows"], ["count"]),
            helper.make_node("Greater", ["count", "nought"], ["any"]),
            # A branch, because many networks cannot be run on no image at all.
            helper.make_node(
                "If",
                ["any"],
                ["answered"],
                then_branch=_asking(members[1], classes),
                else_branch=_branch("sure of all", (helper.make_node("Identity", ["small/log"], ["kept"]),), classes),
            ),
        )
        constants = (
            *small.constants,
            constant("threshold", np.log(np.float32(self.threshold))),
            constant("nought", np.int64(0)),
        )
        return Fragment(nodes=nodes, constants=constants, embedding=small.embedding, logits="answered")


def _asking(large: Member, classes: int) -> onnx.GraphProto:
    """Only the rows that are unsure go through the large one, and its answers take their places."""
    part = large.fragment("large/", pixels="large/shown")
    nodes = (
        helper.make_node("Gather", ["pixels", "rows"], ["large/shown"], axis=0),
        *part.nodes,
        helper.make_node("LogSoftmax", [part.logits], ["large/log"], axis=1),
        helper.make_node("Reshape", ["rows", "large/column"], ["large/rows"]),
        helper.make_node("ScatterND", ["small/log", "large/rows", "large/log"], ["asked"]),
    )
    held = (*part.constants, constant("large/column", np.array([-1, 1], dtype=np.int64)))
    return _branch("unsure of some", nodes, classes, held)


def _branch(name: str, nodes: Nodes, classes: int, held: Sequence[onnx.TensorProto] = ()) -> onnx.GraphProto:
    out = helper.make_tensor_value_info(nodes[-1].output[0], onnx.TensorProto.FLOAT, ["N", classes])
    return helper.make_graph(nodes, name, [], [out], initializer=held)


def fit(evidence: Evidence) -> tuple[Rule, tuple[str, ...]]:
    """The least work that keeps the accuracy. UsageError where the small one alone does."""
    (small, large), targets, within = evidence.said, evidence.targets, evidence.within
    hits = small.argmax(axis=1) == targets, large.argmax(axis=1) == targets
    sure = small.max(axis=1)
    weights = evidence.weights
    threshold = least_threshold(sure, weights * hits[0], weights * hits[1], within=within)
    asked = sure < threshold
    mixed = np.where(asked, hits[1], hits[0])
    alone, best, both = (f"{100 * np.average(hit, weights=weights):.1f}" for hit in (*hits, mixed))
    if threshold == 0.0:
        raise UsageError(
            f"{evidence.names[0]} alone is within {100 * within:g} points of {evidence.names[1]}: a cascade would "
            "never ask it",
            where=f"{alone} and {best} right in 100, on {len(targets)} validation images",
            do=f"use {evidence.names[0]} as it is, or allow less with --within 0",
        )
    why = (
        f"threshold = {threshold:.4f}: the least work within {100 * within:g} points of {evidence.names[1]} "
        f"({best} right in 100 validation images; {evidence.names[0]} {alone}, the cascade {both}), "
        f"which {100 * asked.mean():.1f} % of {len(targets)} need"
    )
    return Cascade(threshold=threshold), (why,)


def least_threshold(sure: Floats, small: Floats, large: Floats, *, within: float) -> float:
    """The lowest threshold on `sure` [N] from which on, upwards, no threshold loses more than `within` of what the
    large one has right; halfway between two values of `sure`. `small` and `large` [N] are an image's weight where the
    answer is right, and 0 where it is not. Returns 0 where no image needs the large one, ALWAYS where every one does.
    From there on, and not the lowest that happens to do: that would be luck."""
    order = np.argsort(sure, kind="stable")
    ranked = sure[order]
    # right[k]: images right where the k least sure ones go to the large one.
    right = small.sum() + np.append(0, np.cumsum(large[order] - small[order]))
    cuts = np.concatenate([[0], np.flatnonzero(ranked[1:] > ranked[:-1]) + 1, [len(sure)]])
    lost = (right[-1] - right[cuts]) / len(sure)
    too_much = np.flatnonzero(lost > within + 1e-9)
    first = cuts[too_much[-1] + 1] if len(too_much) else 0
    if first == 0:
        return 0.0
    return ALWAYS if first == len(sure) else float((ranked[first - 1] + ranked[first]) / 2)


ROW = Combination(
    reference="Viola and Jones 2001, Rapid object detection; Wang et al. 2022, Wisdom of committees (cascades)",
    tasks=("single",),
    most=2,
    may_lose=True,
    fit=fit,
)
