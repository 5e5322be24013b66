"""What training does against wrong labels: the table of remedies, and which of them an estimate calls for.

All are for images with one label. There is no one remedy for all noise (generalised cross-entropy loses to the plain
one where classes are confused in pairs), so a row says against which kind it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.data.dataset import Task
from fieldmark.errors import UsageError
from fieldmark.measures.label_noise import Kind, LabelNoise
from fieldmark.table import Table
from fieldmark.training.recipe import Recipe

LITTLE = 0.1  # share of wrong labels up to which label smoothing is enough
SETTLED = 0.2  # of the schedule: by then the share that is kept has fallen to 1 - rate
# A label is at least so many times as probable as any that its images get by mistake: where two classes are confused
# so often that the probe cannot tell them apart, its own errors look like noise.
OWN_LABEL = 1.5
_SURE = 1e-4  # the paper's bound: no probability is below it, and none so far from 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """For each image a moving mean of what the network said of it, of which every new answer replaces 1 - `keeps`.
    Either the training objective draws answers towards it with `strength`, or, where that is nought, it is the prior
    of what the label tells."""

    keeps: float
    strength: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """A row. `memory`: earlier answers have a say. `kept(rate, position)`: the share of a batch that counts, smallest
    losses first, at a noise rate and a position of the schedule in 0..1. `smoothing`: of labels, beside it.
    `against`: the kinds of noise for which an estimate picks it; the first row that fits is taken."""

    name: str
    summary: str
    reference: str
    smoothing: float
    memory: Memory | None = None
    kept: Callable[[float, float], float] | None = None
    against: tuple[Kind, ...] = ()

    @property
    def corrects(self) -> bool:
        """Whether the target is the posterior of the true class; otherwise the label."""
        return self.memory is not None and self.memory.strength == 0


def renewed(remembered: Tensor, logits: Tensor, keeps: float) -> Tensor:
    """What is remembered of images, float32 [B, C], after the network's new answer to them (Liu et al. 2020,
    equation 9)."""
    answer = _bounded(logits.detach())
    return keeps * remembered.to(answer) + (1.0 - keeps) * answer / answer.sum(1, keepdim=True)


def pull(logits: Tensor, remembered: Tensor) -> Tensor:
    """What is added to the loss of each image, [B], at a strength of 1; logits and what is remembered float32 [B, C]
    (Liu et al. 2020, equation 3). Its gradient outweighs that of a label that would have to be learnt by heart."""
    agreement = (remembered * _bounded(logits)).sum(1).clamp_max(1.0 - _SURE)
    return (1.0 - agreement).log()


def _bounded(logits: Tensor) -> Tensor:
    return logits.softmax(1).clamp(_SURE, 1.0 - _SURE)


def posterior(likelihood: Tensor, remembered: Tensor) -> Tensor:
    """The probability of each class to be the true one, [B, C]: Bayes' rule on the likelihood of the label under each
    class, [B, C], and on what the network said of these images, [B, C]; what it has not said yet is even.

    With the network's present answer for the prior, the gradient of cross-entropy with this target is that of forward
    correction (Patrini et al. 2017), and training is expectation-maximisation (Bekker and Goldberger 2016).
    """
    unsaid = (1.0 - remembered.sum(1, keepdim=True)).clamp_min(0.0) / remembered.shape[1]
    both = (remembered + unsaid) * likelihood
    return both / both.sum(1, keepdim=True).clamp_min(torch.finfo(both.dtype).tiny)


def held_apart(mixed: NDArray[np.float64]) -> NDArray[np.float64]:
    """The transition [C, C] mixed with the identity, column by column, so far that a class has its own label at least
    OWN_LABEL times as often as any other."""
    own = np.diag(mixed)
    most = (mixed * (1 - np.eye(len(mixed)))).max(axis=0)
    lacking = np.maximum(0.0, OWN_LABEL * most - own)
    believed = lacking / (1.0 + lacking)
    return np.asarray((1.0 - believed) * mixed + believed * np.eye(len(mixed)))


def smallest(losses: Tensor, share: float) -> Tensor:
    """The smallest of the losses [B], so many as `share` of them comes to, at least one."""
    count = max(1, round(share * len(losses)))
    return torch.sort(losses, stable=True).values[:count]


def _falling_to_one_less_rate(rate: float, position: float) -> float:
    return 1.0 - rate * min(1.0, position / SETTLED)


ROWS = (
    Remedy(
        name="none",
        summary="labels are believed; smoothed, they are believed a little less",
        reference="Lukasik et al. 2020, Does label smoothing mitigate label noise?",
        smoothing=0.1,
    ),
    Remedy(
        name="early-learning",
        summary="answers are held to what the network said before it could learn wrong labels by heart",
        reference="Liu et al. 2020, Early-learning regularization; lambda 3, beta 0.7: CIFAR-10, symmetric noise",
        smoothing=0.0,
        memory=Memory(keeps=0.7, strength=3.0),
        against=("symmetric",),
    ),
    Remedy(
        name="posterior",
        summary="the target is the true class as label, noise and earlier answers together make it probable",
        reference="Bekker and Goldberger 2016, Training deep neural networks based on unreliable labels; beta 0.9",
        smoothing=0.0,
        memory=Memory(keeps=0.9),
        against=("class-dependent",),
    ),
    Remedy(
        name="small-loss",
        summary="of each batch the images with the smallest losses count; needs the rate of wrong labels",
        reference="Han et al. 2018, Co-teaching: its schedule, with one network that chooses for itself",
        smoothing=0.0,
        kept=_falling_to_one_less_rate,
    ),
)
REMEDIES: Table[Remedy] = Table.rows("remedy", ROWS)


def remedy_for(noise: LabelNoise | None, suspects: str) -> tuple[str, str]:
    """The remedy that an estimate calls for where `suspects` is what is done with doubtful images, and why."""
    if noise is None:
        return "none", "labels are believed until --noisy yes has estimated how many are wrong"
    if noise.rate.value is None or noise.rate.value < LITTLE:
        return "none", f"{in_words(noise)}; below {LITTLE:.0%} label smoothing is enough"
    fitting = next(row for row in ROWS if noise.kind in row.against)
    if fitting.corrects and suspects != "keep":
        return "none", f"{in_words(noise)}; suspects = {suspects} acts on that doubt already"
    return fitting.name, f"{in_words(noise)}; {fitting.reference.partition(';')[0]}"


def noise_rate_of(noise: LabelNoise | None) -> tuple[float, str]:
    """The share of wrong labels, and where the figure comes from."""
    if noise is None or noise.rate.value is None:
        return 0.0, "no estimate"
    return round(noise.rate.value, 4), "as estimated"


def in_words(noise: LabelNoise) -> str:
    """Rate with interval and n, and kind, for a person."""
    rate = noise.rate
    if rate.value is None:
        return f"the share of wrong labels is unknown: {rate.why}"
    named = ", ".join(f"{pair.truth} called {pair.given} {pair.share:.0%}" for pair in noise.pairs)
    kind = (
        "spread over all classes" if noise.kind == "symmetric" else f"in few pairs of classes ({named or 'no one'})"
    )
    share = f"{rate.value:.1%} of the labels look wrong ({rate.low:.1%} to {rate.high:.1%}, n {rate.n:,})"
    return f"{share}, {kind}" if rate.value >= LITTLE else share


def refuse_idle_doubts(recipe: Recipe, task: Task, *, probe: bool, folds: int) -> None:
    """UsageError for a setting about wrong labels that is not for this task, or that nothing would follow."""
    for faulty, what, where, do in _faults(recipe, task, probe, folds):
        if faulty:
            raise UsageError(what, where=where, do=do)


def _faults(recipe: Recipe, task: Task, probe: bool, folds: int) -> Iterator[tuple[bool, str, str, str]]:
    doubted, suspects, rate = recipe.noisy == "yes", recipe.suspects, recipe.noise_rate
    believed = recipe.remedy in ("auto", "none")
    row = REMEDIES["none" if believed else recipe.remedy]  # an unknown name is an error here
    by_rate = row.corrects or row.kept is not None
    yield (
        task == "multi" and (doubted or not believed),
        "wrong labels are looked for, and trained against, where images have one label; these have several",
        "noisy = yes" if doubted else f"remedy = {recipe.remedy}",
        "drop it; the report's most confident mistakes show where labels may be wrong",
    )
    yield (
        suspects != "keep" and not doubted,
        f"--suspects {suspects} would have no effect: nobody looks for suspects",
        f"suspects = {suspects}, noisy = no",
        "add --noisy yes, or drop --suspects",
    )
    yield (
        suspects == "down-weight" and probe,
        "a probe's head counts all images alike, so suspects cannot count for less",
        "method = probe, suspects = down-weight",
        "use --suspects drop or keep, or train the network with --method network",
    )
    yield (
        suspects == "drop" and folds > 0,
        "with folds every image is tested on as well, and what is tested on is never dropped",
        f"folds = {folds}, suspects = drop",
        "use --folds 0, or --suspects keep",
    )
    yield (
        by_rate and rate == "auto" and not doubted,
        f"{recipe.remedy} needs to know which share of the labels is wrong",
        f"remedy = {recipe.remedy}, noise rate = auto, noisy = no",
        "give it with --noise-rate 0.2, or have it estimated with --noisy yes",
    )
    yield (
        rate != "auto" and not by_rate,
        "--noise-rate would have no effect: the remedy does not go by it",
        f"noise rate = {rate}, remedy = {recipe.remedy}",
        "drop it, or use --remedy small-loss",
    )
    yield (
        suspects != "keep" and row.corrects,
        f"{row.name} weighs every label by the estimate already: --suspects {suspects} would count one doubt twice",
        f"suspects = {suspects}, remedy = {row.name}",
        "use --suspects keep, or another --remedy",
    )
    yield (
        rate != "auto" and row.corrects and doubted,
        "--noise-rate would have no effect: --noisy yes finds out how often each class is called another",
        f"noise rate = {rate}, remedy = {recipe.remedy}, noisy = yes",
        "drop it, or drop --noisy for noise at this rate that spreads over all classes",
    )
