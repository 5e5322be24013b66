"""The mean of what all members say: better than each where they err differently, at the work of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from fieldmark.combining.fragment import Fragment, Member, Nodes, log_mean
from fieldmark.combining.row import Combination, Evidence, Rule, everyone
from fieldmark.data.dataset import Task
from fieldmark.data.splits import folds
from fieldmark.measures.estimate import Estimate
from fieldmark.measures.intervals import RESAMPLES, bootstrapped, resamples
from fieldmark.measures.outcomes import Floats

FEWEST_TO_WEIGH = 50  # held-out images; fewer say nothing of weights
FOLDS = 5
# Of the fit, and the change of a weight that ends it: slow only where members are alike, and weights matter little.
STEPS, ENOUGH = 500, 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """`weights` sum to 1, one a member."""

    weights: tuple[float, ...]

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"weights": self.weights}

    def probabilities(self, said: Floats) -> Floats:
        return np.tensordot(self.weights, said, axes=1)

    def embedding(self, each: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.concatenate(each, axis=1)

    def needed(self, said: Floats) -> NDArray[np.bool_]:
        return everyone(said)

    def settled(self, said: Floats) -> NDArray[np.bool_]:
        return np.ones(said.shape[1], dtype=bool)

    def write(self, members: Sequence[Member], task: Task) -> Fragment:
        parts = [member.fragment(f"member-{at}/") for at, member in enumerate(members)]
        nodes = [node for part in parts for node in part.nodes]
        constants = [held for part in parts for held in part.constants]
        nodes.append(helper.make_node("Concat", [part.embedding for part in parts], ["mean/embedding"], axis=1))
        sides = ("present",) if task == "single" else ("present", "absent")
        for side in sides:
            logs = [f"mean/{side}-{at}" for at in range(len(parts))]
            for part, log in zip(parts, logs):
                nodes += _log_probability(part.logits, side, task, log)
            added, held = log_mean(f"mean/{side}/", logs, self.weights, f"mean/{side}")
            nodes += added
            constants += held
        if task == "multi":  # log p - log(1 - p), each from its own sum, so that neither end is rounded away
            nodes.append(helper.make_node("Sub", ["mean/present", "mean/absent"], ["mean/logits"]))
        logits = "mean/present" if task == "single" else "mean/logits"
        return Fragment(nodes=tuple(nodes), constants=tuple(constants), embedding="mean/embedding", logits=logits)


def _log_probability(logits: str, side: str, task: Task, out: str) -> Nodes:
    if task == "single":
        return (helper.make_node("LogSoftmax", [logits], [out], axis=1),)
    # log sigmoid(z) = -softplus(-z), and log(1 - sigmoid(z)) = -softplus(z)
    turned = () if side == "absent" else (helper.make_node("Neg", [logits], [f"{out}/turned"]),)
    return (
        *turned,
        helper.make_node("Softplus", [f"{out}/turned" if turned else logits], [f"{out}/softplus"]),
        helper.make_node("Neg", [f"{out}/softplus"], [out]),
    )


def fit(evidence: Evidence) -> tuple[Rule, tuple[str, ...]]:
    """Equal weights, unless fitted ones are surely better on images that had no part in their fit."""
    count = len(evidence.said)
    equal = np.full(count, 1.0 / count)
    true = likelihoods(evidence)
    if true.shape[1] < FEWEST_TO_WEIGH:
        why = f"weights = equal: {true.shape[1]} validation images are too few to fit any (from {FEWEST_TO_WEIGH} on)"
        return Ensemble(weights=tuple(equal.tolist())), (why,)
    gain = _gain_out_of_fold(true, evidence.weights, folds(evidence.data, FOLDS, seed=0, asked=False))
    fitted = fit_weights(true, evidence.weights)
    better = gain.low is not None and gain.low > 0
    weights = fitted if better else equal
    shown = ", ".join(f"{weight:.2f}" for weight in fitted)
    measured = f"{gain.value or 0:+.4f} (95 %: {gain.low or 0:+.4f} to {gain.high or 0:+.4f})"
    why = (
        f"weights = {'fitted' if better else 'equal'}: fitted ones ({shown}) change the log-likelihood of an image "
        f"by {measured} on {FOLDS} folds of {gain.n} validation images, each weighed by the others"
    )
    return Ensemble(weights=tuple(weights.tolist())), (why,)


def likelihoods(evidence: Evidence) -> Floats:
    """float64 [M, N, K]: the probability that each member gave to the truth of each image; K is 1, or with several
    labels an image the labels."""
    said, targets = evidence.said, evidence.targets
    if targets.ndim == 1:
        true = said[:, np.arange(len(targets)), targets][..., None]
    else:
        true = np.where(targets > 0, said, 1.0 - said)
    return np.maximum(true, 1e-12)


def fit_weights(true: Floats, counts: Floats) -> Floats:
    """float64 [M]: the weights of a mixture under which [M, N, K] likelihoods are largest, image n counting
    `counts[n]` times, by expectation maximisation (Dempster, Laird and Rubin 1977), which climbs a concave function
    here."""
    cells, times = true.reshape(len(true), -1), np.repeat(counts, true.shape[2])
    weights = np.full(len(true), 1.0 / len(true))
    for _ in range(STEPS):
        shares = weights[:, None] * cells
        before, weights = weights, (shares / shares.sum(axis=0)) @ times / times.sum()
        if np.abs(weights - before).max() < ENOUGH:
            break
    return weights


def _gain_out_of_fold(true: Floats, counts: Floats, fold: NDArray[np.int64]) -> Estimate:
    """What fitted weights add to an image's log-likelihood over equal ones, where the image had no say in them."""
    gain = np.zeros(true.shape[1])
    for name in np.unique(fold[fold >= 0]):
        weights = fit_weights(true[:, fold != name], counts[fold != name])
        held_out = true[:, fold == name]
        ours, plain = np.tensordot(weights, held_out, axes=1), held_out.mean(axis=0)
        gain[fold == name] = (np.log(ours) - np.log(plain)).mean(axis=1)
    judged = (gain * counts)[fold >= 0]
    draws = np.concatenate([judged @ times / len(judged) for times in resamples(len(judged), RESAMPLES, seed=0)])
    return bootstrapped(float(judged.mean()), draws, len(judged), within=(-np.inf, np.inf), why="no images")


ROW = Combination(
    reference="Hansen and Salamon 1990, Neural network ensembles; weights: Stone 1961, The opinion pool",
    tasks=("single", "multi"),
    most=16,
    may_lose=False,
    fit=fit,
)
