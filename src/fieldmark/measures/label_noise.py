"""How many labels are wrong, of which kind, and which ones: confident learning from out-of-fold probabilities.

C. G. Northcutt, L. Jiang, I. L. Chuang, "Confident learning: estimating uncertainty in dataset labels", JAIR 2021.
There an image counts for the class of which its probability is at least that class's mean self-confidence. With a
weak probe that calls difficulty noise (HOG and colour, 8,000 images of clean CIFAR-10: 31 % of the labels), so the
rate is taken from the images of which the probe is surest (there 6 %), where little but a wrong label is left to
explain a disagreement: the anchors of T. Liu, D. Tao, "Classification with noisy labels by importance reweighting",
TPAMI 2016.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from fieldmark.measures.estimate import Estimate
from fieldmark.measures.intervals import proportion

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.int64]
Kind = Literal["symmetric", "class-dependent"]

SUREST_SHARE, SUREST_A_CLASS = 0.05, 50  # of the images; more where that would be fewer than so many a class
EVEN = 0.6  # of the evenness of noise that spreads over all classes alike: from here on called symmetric
WEAK = 0.1  # from here on the paper's estimate is so far above ours that the probe itself is in doubt
WORTH_NAMING, MOST_NAMED = 0.05, 10  # share of a class under another's name; so many pairs at most
SHARPENINGS = 50  # slow where a pair of classes is confused four times in ten; weaker mixtures settle in five
_CELLS_AT_ONCE = 4_000_000  # images x classes held in memory together


class Mistaken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `share` of what truly is `truth` bears the label `given`."""

    truth: str
    given: str
    share: float


class LabelNoise(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`rate`: share of labels that are wrong. `kind`: "symmetric" where wrong labels are spread over all classes,
    "class-dependent" where few pairs of classes have most of them; `evenness` is 1 for the first and near 0 for the
    second, and `pairs` names those pairs, most frequent first. `joint_rate` is the paper's own estimate, which counts
    as noise what the probe cannot tell: above `rate` by as much as the probe is weak."""

    rate: Estimate
    joint_rate: float
    kind: Kind
    evenness: float
    pairs: tuple[Mistaken, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspects:
    """Images whose label is less likely than another, most doubtful first. `row` int64 [K] into the images that were
    asked about, `label` and `suggested` int64 [K]; `right` float64 [K], the probability that the label is the right
    one, given image, label and the noise; `out_of_fold` float64 [K], the probe's probability of the label."""

    row: Labels
    label: Labels
    suggested: Labels
    right: NDArray[np.float64]
    out_of_fold: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`mixed` float64 [C, C]: the probability of the label (row) given the truth (column)."""

    noise: LabelNoise
    suspects: Suspects
    mixed: NDArray[np.float64]


def find_label_noise(targets: Labels, probabilities: Floats, classes: tuple[str, ...]) -> Found:
    """Given labels int64 [N] and probabilities [N, C] from models that did not learn from the row that they judge.

    Rate and kind are true of labels that are wrong whatever the image looks like. Where hard images are mislabelled
    more often than plain ones, `rate` is too low and `joint_rate` the better bound.
    """
    counts = np.bincount(targets, minlength=len(classes))
    among_surest = confident_joint(targets, probabilities, surest(probabilities))
    among_confident = confident_joint(targets, probabilities, self_confidence(targets, probabilities))
    rate, evenness = _rate(among_surest, counts), _evenness(among_surest)
    joint_rate = float(1.0 - np.trace(calibrated(among_confident, counts)) / max(1, len(targets)))
    kind: Kind = "symmetric" if evenness > EVEN else "class-dependent"
    # Where both nearly agree the probe is strong, and the larger sample tells the cells better.
    strong = rate.value is not None and joint_rate - rate.value < WEAK
    # Not the calibrated joint: a class that loses labels is answered too seldom, and its column would come out right.
    mixed = transition(among_confident if strong else among_surest)
    noise = LabelNoise(
        rate=rate,
        joint_rate=joint_rate,
        kind=kind,
        evenness=round(evenness, 3),
        pairs=_pairs(mixed, among_surest, classes) if kind == "class-dependent" else (),
    )
    if kind == "symmetric":  # one figure is known better than many
        mixed = spread(rate.value or 0.0, len(classes))
    return Found(noise=noise, suspects=_suspects(targets, probabilities, mixed), mixed=mixed)


def confident_joint(targets: Labels, probabilities: Floats, thresholds: Floats) -> Labels:
    """int64 [C, C]: images by given label and by the most probable of the classes whose probability reaches its
    threshold, [C]; an image that reaches none is not counted."""
    reached = np.where(probabilities >= thresholds, probabilities, -1.0)
    confident = reached.max(axis=1) >= 0
    joint = np.zeros((len(thresholds), len(thresholds)), dtype=np.int64)
    np.add.at(joint, (targets[confident], reached[confident].argmax(axis=1)), 1)
    return joint


def self_confidence(targets: Labels, probabilities: Floats) -> NDArray[np.float64]:
    """The paper's thresholds, [C]: of images with a label, the mean probability of it; infinite without images."""
    counts = np.bincount(targets, minlength=probabilities.shape[1])
    own = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    sums = np.bincount(targets, weights=own, minlength=len(counts))
    # Rounding must not put the mean of equal probabilities above them all.
    return np.where(counts > 0, sums / np.maximum(counts, 1) - 1e-9, np.inf)


def surest(probabilities: Floats) -> NDArray[np.float64]:
    """Thresholds [C] that of the images of each answer leave the same small share, those with the highest
    probability: a sample of the classes as they are mixed."""
    images, classes = probabilities.shape
    share = min(1.0, max(SUREST_SHARE, SUREST_A_CLASS * classes / max(1, images)))
    answer, highest = probabilities.argmax(axis=1), probabilities.max(axis=1)
    thresholds = np.full(classes, np.inf)
    for label in np.unique(answer):
        held = np.sort(highest[answer == label])
        thresholds[label] = held[-max(1, round(share * len(held)))]
    return thresholds


def calibrated(joint: Labels, counts: Labels) -> NDArray[np.float64]:
    """The joint [C, C] with each row scaled to the class's count of given labels, [C]; a row without any confident
    image is taken to be right."""
    sums = joint.sum(axis=1)
    filled = np.where(sums[:, None] > 0, joint, np.eye(len(joint), dtype=np.int64))
    return np.asarray(filled / filled.sum(axis=1, keepdims=True) * counts[:, None])


def transition(joint: Floats | Labels) -> NDArray[np.float64]:
    """Probability [C, C] of the label (row) given the truth (column); a class without any image has its own label."""
    sums = joint.sum(axis=0)
    filled = np.where(sums > 0, joint, np.eye(len(joint)))
    return np.asarray(filled / filled.sum(axis=0))


def spread(rate: float, classes: int) -> NDArray[np.float64]:
    """The transition [C, C] of noise that gives each wrong label alike."""
    return np.full((classes, classes), rate / (classes - 1)) + (1 - rate - rate / (classes - 1)) * np.eye(classes)


def _rate(joint: Labels, counts: Labels) -> Estimate:
    """Rows weigh as many labels as were given. n is Kish's effective size of such a sample, for Wilson's interval."""
    sums = joint.sum(axis=1)
    seen = sums > 0
    if not seen.any():
        return proportion(0, 0, why="the probe is sure of no image")
    weight = counts[seen] / counts[seen].sum()
    rate = float(weight @ (1.0 - np.diag(joint)[seen] / sums[seen]))
    n = max(1, int(1.0 / (weight**2 / sums[seen]).sum()))
    return proportion(rate * n, n)


def _evenness(joint: Labels) -> float:
    """How even the wrong labels lie, against noise that gives each wrong label alike: the ratio of Simpson's indices
    (the chance that two of them fall into one cell), that of the counts being free of bias; 1 without counts."""
    wrong = joint.astype(np.float64) * (1 - np.eye(len(joint)))
    count = wrong.sum()
    together = (wrong * (wrong - 1)).sum()
    if together == 0:
        return 1.0
    expected = np.where(np.eye(len(joint)) > 0, 0.0, joint.sum(axis=0))
    expected = expected / expected.sum()
    return float(min(1.0, (expected**2).sum() / (together / (count * (count - 1)))))


def _pairs(mixed: Floats, joint: Labels, classes: tuple[str, ...]) -> tuple[Mistaken, ...]:
    worth = (mixed >= WORTH_NAMING) & (joint >= 2) & (np.eye(len(joint)) == 0)
    given, truth = np.nonzero(worth)
    order = np.argsort(-mixed[given, truth], kind="stable")[:MOST_NAMED]
    return tuple(
        Mistaken(
            truth=classes[truth[at]], given=classes[given[at]], share=round(float(mixed[given[at], truth[at]]), 4)
        )
        for at in order
    )


def _suspects(targets: Labels, probabilities: Floats, mixed: Floats) -> Suspects:
    at_once = max(1, _CELLS_AT_ONCE // probabilities.shape[1])
    suggested, right = np.empty(len(targets), dtype=np.int64), np.empty(len(targets))
    for start in range(0, len(targets), at_once):
        some = slice(start, start + at_once)
        truth = true_classes(targets[some], probabilities[some], mixed)
        suggested[some] = truth.argmax(axis=1)
        right[some] = truth[np.arange(len(truth)), targets[some]]
    row = np.flatnonzero(suggested != targets)
    row = row[np.argsort(right[row], kind="stable")]
    own = probabilities[row, targets[row]].astype(np.float64)
    return Suspects(row=row, label=targets[row], suggested=suggested[row], right=right[row], out_of_fold=own)


def true_classes(targets: Labels, probabilities: Floats, mixed: Floats) -> NDArray[np.float64]:
    """Probability [N, C] of each class to be the true one, given image and label: Bayes' rule, with `mixed` as
    `transition` gives it, on class probabilities freed of the noise by expectation-maximisation
    (Richardson 1972; Lucy 1974)."""
    seen = probabilities.astype(np.float64)
    clean = seen
    for _ in range(SHARPENINGS):
        clean = clean * ((seen / np.maximum(clean @ mixed.T, 1e-12)) @ mixed)
        clean = clean / np.maximum(clean.sum(axis=1, keepdims=True), 1e-12)
    both = clean * mixed[targets]
    total = both.sum(axis=1, keepdims=True)
    # A label that the noise cannot make of any likely class: the probe's word against it stays as it was.
    return np.asarray(np.where(total > 1e-12, both / np.maximum(total, 1e-12), clean))
