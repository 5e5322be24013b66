"""support vector machine with a Gaussian kernel; approximated by landmarks where there are many images

Boser, Guyon & Vapnik 1992, one class against the rest (Rifkin & Klautau, JMLR 2004). Up to 3,000 images
scikit-learn's SVC solves it exactly. Above that: the 256 strongest principal components, a Nystroem approximation of
the kernel by 3,000 training images as landmarks (Williams & Seeger, NIPS 2001), and least squares on it (as accurate
as the hinge: Rifkin, Yeo & Poggio 2003); what was done stands in `choices`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC
from torch import nn

from fieldmark.heads import nystroem
from fieldmark.heads.choosing import MISTAKES, choose
from fieldmark.heads.kernel import Floats, GaussianKernel, distances, median_distance
from fieldmark.heads.learnable import learnable, one_hot
from fieldmark.heads.row import FittedHead, HeadRow, Labelled, Settings
from fieldmark.heads.scaling import Centred

_EXACT_ROWS = 3_000
_EXACT_NUMBERS = 12_000_000  # N x D: every support vector travels in the graph
_LANDMARKS = 3_000
_LANDMARKS_TO_CHOOSE = 1_500
_WIDTHS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)  # gamma, in units of 1 / median squared distance
_STRENGTHS = (1.0, 3.0, 10.0, 30.0)
_RIDGES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
_WIDTH = "gamma x median squared distance"


def fit(data: Labelled, *, seed: int, settings: Settings | None = None) -> FittedHead:
    """Width and C (exact), or width and ridge (approximated), are chosen, or taken from `settings`."""
    if len(data.targets) <= _EXACT_ROWS and data.embedding.size <= _EXACT_NUMBERS:
        return _fit_exactly(data, seed, settings)
    return _fit_nearly(data, seed, settings)


def _fit_exactly(data: Labelled, seed: int, settings: Settings | None) -> FittedHead:
    choices = [f"kernel solved exactly on {len(data.targets):,} images (done up to {_EXACT_ROWS:,})"]
    if settings is None:

        def by_width(part: Labelled, widths: Sequence[float]) -> Iterator[nn.Module]:
            return (head for width in widths for head in _exact(part, width, (3.0,), seed))

        def by_strength(part: Labelled, strengths: Sequence[float]) -> Iterator[nn.Module]:
            return _exact(part, width, strengths, seed)

        width, words = choose(_WIDTH, _WIDTHS, data, by_width, MISTAKES, seed, parts=2)
        strength, more = choose("C", _STRENGTHS, data, by_strength, MISTAKES, seed, parts=2)
        choices += [words, more]
    else:
        width, strength = float(settings["width"]), float(settings["C"])
    (module,) = _exact(data, width, (strength,), seed)
    return FittedHead(module=module, choices=tuple(choices), settings={"width": width, "C": strength})


def _fit_nearly(data: Labelled, seed: int, settings: Settings | None) -> FittedHead:
    landmarks = min(_LANDMARKS, len(data.targets))
    choices = [
        f"kernel approximated: {len(data.targets):,} images of {data.embedding.shape[1]:,} numbers are more than are "
        f"solved exactly ({_EXACT_ROWS:,} images, {_EXACT_NUMBERS:,} numbers); {nystroem.COMPONENTS} principal "
        f"components, {landmarks:,} Nystroem landmarks and least squares stand in"
    ]
    small, turn = nystroem.reduced(data, seed)
    if settings is None:

        def by_width(part: Labelled, widths: Sequence[float]) -> Iterator[nn.Module]:
            return nystroem.path(part, [(width, 0.03) for width in widths], _LANDMARKS_TO_CHOOSE, seed)

        def by_ridge(part: Labelled, ridges: Sequence[float]) -> Iterator[nn.Module]:
            return nystroem.path(part, [(width, ridge) for ridge in ridges], _LANDMARKS_TO_CHOOSE, seed)

        width, words = choose(_WIDTH, _WIDTHS, small, by_width, MISTAKES, seed, parts=1)
        ridge, more = choose("ridge", _RIDGES, small, by_ridge, MISTAKES, seed, parts=1)
        choices += [words, more]
    else:
        width, ridge = float(settings["width"]), float(settings["ridge"])
    (head,) = nystroem.path(small, [(width, ridge)], _LANDMARKS, seed)
    return FittedHead(
        module=nn.Sequential(turn, head), choices=tuple(choices), settings={"width": width, "ridge": ridge}
    )


def _exact(data: Labelled, width: float, strengths: Sequence[float], seed: int) -> Iterator[nn.Module]:
    part, place = learnable(data)
    scaling = Centred.of(part.embedding)
    x = scaling.apply_to(part.embedding).astype(np.float64)
    gamma = width / median_distance(x, seed)
    kernel = np.exp(-gamma * distances(x, x))
    truth = one_hot(part)
    for strength in strengths:
        columns = [_machine(kernel, truth[:, label], strength) for label in range(part.classes)]
        coefficients = np.stack([each for each, _ in columns], axis=1)
        used = np.flatnonzero(coefficients.any(axis=1))
        # A class alone has no support vectors; the graph still needs a centre to measure from.
        used = used if len(used) else np.zeros(1, dtype=np.int64)
        bias = np.array([each for _, each in columns])
        yield place(nn.Sequential(scaling, GaussianKernel(x[used], gamma, coefficients[used], bias)))


def _machine(kernel: Floats, truth: Floats, strength: float) -> tuple[Floats, float]:
    """One class against the rest: coefficient of each row, and bias."""
    coefficients = np.zeros(len(kernel))
    if truth.min() == truth.max():
        return coefficients, float(2 * truth[0] - 1)
    machine = SVC(kernel="precomputed", C=strength, cache_size=500).fit(kernel, truth)
    coefficients[machine.support_] = machine.dual_coef_[0]
    return coefficients, float(machine.intercept_[0])


def _library(data: Labelled, settings: Settings, seed: int, asked: NDArray[np.float32]) -> NDArray[np.float64]:
    scaling = Centred.of(data.embedding)
    x = scaling.apply_to(data.embedding).astype(np.float64)
    gamma = float(settings["width"]) / median_distance(x, seed)
    machines = OneVsRestClassifier(SVC(C=float(settings["C"]), gamma=gamma)).fit(x, data.targets)
    return np.asarray(machines.decision_function(scaling.apply_to(asked)))


ROW = HeadRow(
    reference="Boser, Guyon & Vapnik, A Training Algorithm for Optimal Margin Classifiers, COLT 1992",
    fit=fit,
    one_image_class="may be lost",
    library=_library,
)
