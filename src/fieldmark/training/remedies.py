"""What training does against wrong labels: the table of remedies, and which of them an estimate calls for.

All are for images with one label. There is no one remedy for all noise (generalised cross-entropy loses to the plain
one where classes are confused in pairs), so a row says against which kind it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from fieldmark.data.dataset import Task
from fieldmark.errors import UsageError
from fieldmark.measures.label_noise import Kind, LabelNoise
from fieldmark.table import Table
from fieldmark.training.recipe import Recipe

LITTLE = 0.1  # share of wrong labels up to which label smoothing is enough
SETTLED = 0.2  # of the schedule: by then the share that is kept has fallen to 1 - rate
_SURE = 1e-4  # the paper's bound: no probability is below it, and none so far from 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """For each image a moving mean of what the network said of it, of which every new answer replaces 1 - `keeps`;
    the training objective draws answers towards it with `strength`."""

    keeps: float
    strength: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """A row. `memory`: answers are drawn towards earlier ones. `kept(rate, position)`: the share of a batch that
    counts, smallest losses first, at a noise rate and a position of the schedule in 0..1. `smoothing`: of labels,
    beside it. `against`: the kinds of noise for which an estimate picks it; the first row that fits is taken."""

    name: str
    summary: str
    reference: str
    smoothing: float
    memory: Memory | None = None
    kept: Callable[[float, float], float] | None = None
    against: tuple[Kind, ...] = ()


def drawn_to_memory(logits: Tensor, remembered: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
    """Logits float32 [B, C] and what is remembered of these images [B, C] -> what is added to the loss of each, [B],
    and what is remembered from now on, float32 [B, C] (Liu et al. 2020, equations 3 and 9).

    Its gradient outweighs that of a label which the network would have to learn by heart.
    """
    answer = logits.softmax(1).clamp(_SURE, 1.0 - _SURE)
    now = answer.detach() / answer.detach().sum(1, keepdim=True)
    target = memory.keeps * remembered.to(now) + (1.0 - memory.keeps) * now
    agreement = (target * answer).sum(1).clamp_max(1.0 - _SURE)
    return memory.strength * (1.0 - agreement).log(), target


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
        name="early-learning-gentle",
        summary="the same with a longer memory and a weaker hold, for classes that are confused in pairs",
        reference="Liu et al. 2020, Early-learning regularization; lambda 1, beta 0.9: CIFAR-10, asymmetric noise",
        smoothing=0.0,
        memory=Memory(keeps=0.9, strength=1.0),
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


def remedy_for(noise: LabelNoise | None) -> tuple[str, str]:
    """The remedy that an estimate calls for, and why."""
    if noise is None:
        return "none", "labels are believed until --noisy yes has estimated how many are wrong"
    if noise.rate.value is None or noise.rate.value < LITTLE:
        return "none", f"{in_words(noise)}; below {LITTLE:.0%} label smoothing is enough"
    fitting = next(row for row in ROWS if noise.kind in row.against)
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
    by_rate = not believed and REMEDIES[recipe.remedy].kept is not None  # an unknown name is an error here
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
