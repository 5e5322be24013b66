"""support vector machine with a Gaussian kernel; approximated by landmarks where there are many images

Boser, Guyon & Vapnik 1992, one class against the rest (Rifkin & Klautau, JMLR 2004). Up to 3,000 images scikit-learn's
SVC solves it exactly. Above that: the 256 strongest principal components, a Nystroem approximation of the kernel by
3,000 training images as landmarks (Williams & Seeger, NIPS 2001), and least squares on it (Rifkin et al. 2003 find
it as accurate as the hinge); what was done stands in `choices`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC
from torch import Tensor, nn

from fieldmark.heads.choosing import choose, hits
from fieldmark.heads.learnable import learnable, one_hot
from fieldmark.heads.row import FittedHead, HeadRow, Labelled, Settings
from fieldmark.heads.scaling import Centred, affine

_EXACT_ROWS = 3_000
_EXACT_NUMBERS = 12_000_000  # N x D: every support vector travels in the graph
_COMPONENTS = 256
_LANDMARKS = 3_000
_WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # gamma, in units of 1 / median squared distance
_STRENGTHS = (1.0, 3.0, 10.0, 30.0)
_RIDGES = (3.0, 1.0, 0.3, 0.1, 0.03)

Floats = NDArray[np.floating]


class GaussianKernel(nn.Module):
    """sum over centres of exp(-gamma |x - centre|**2) * coefficient + bias: float32 [N, D] -> [N, C]."""

    centres: Tensor
    offset: Tensor

    def __init__(self, centres: Floats, gamma: float, coefficients: Floats, bias: Floats) -> None:
        super().__init__()
        tensor = torch.from_numpy(np.asarray(centres, dtype=np.float32))
        self.gamma = gamma
        self.register_buffer("centres", tensor.T.contiguous())
        self.register_buffer("offset", tensor.square().sum(dim=1))
        self.combine = affine(coefficients, bias)

    def forward(self, embedding: Tensor) -> Tensor:
        length = embedding.square().sum(dim=1, keepdim=True)
        distance = (length + self.offset - 2 * (embedding @ self.centres)).clamp_min(0)
        combined: Tensor = self.combine(torch.exp(-self.gamma * distance))
        return combined


def fit(data: Labelled, *, seed: int, settings: Settings | None = None) -> FittedHead:
    """Width and C (exact), or width and ridge (approximated), are chosen, or taken from `settings`."""
    exact = len(data.targets) <= _EXACT_ROWS and data.embedding.size <= _EXACT_NUMBERS
    if settings is not None:
        return _fitted(data, float(settings["width"]), float(settings["strength"]), seed, exact, ())
    said = (_described(data, exact),)

    def by_width(part: Labelled, widths: Sequence[float]) -> Iterator[nn.Module]:
        return (head for width in widths for head in _path(part, width, (3.0 if exact else 0.3,), seed, exact))

    width, words = choose("gamma x median squared distance", _WIDTHS, data, by_width, hits, seed)
    said += (words,)

    def by_strength(part: Labelled, strengths: Sequence[float]) -> Iterator[nn.Module]:
        return _path(part, width, strengths, seed, exact)

    candidates, name = (_STRENGTHS, "C") if exact else (_RIDGES, "ridge")
    strength, words = choose(name, candidates, data, by_strength, hits, seed)
    return _fitted(data, width, strength, seed, exact, (*said, words))


def _described(data: Labelled, exact: bool) -> str:
    if exact:
        return f"kernel solved exactly on {len(data.targets):,} images (done up to {_EXACT_ROWS:,})"
    landmarks = min(_LANDMARKS, len(data.targets))
    return (
        f"kernel approximated: {len(data.targets):,} images are more than the {_EXACT_ROWS:,} solved exactly, so "
        f"{_COMPONENTS} principal components, {landmarks:,} Nystroem landmarks and least squares stand in"
    )


def _fitted(
    data: Labelled, width: float, strength: float, seed: int, exact: bool, choices: tuple[str, ...]
) -> FittedHead:
    (module,) = _path(data, width, (strength,), seed, exact)
    return FittedHead(module=module, choices=choices, settings={"width": width, "strength": strength})


def _path(data: Labelled, width: float, strengths: Sequence[float], seed: int, exact: bool) -> Iterator[nn.Module]:
    part, place = learnable(data)
    return (place(head) for head in (_exact if exact else _approximated)(part, width, strengths, seed))


def _exact(data: Labelled, width: float, strengths: Sequence[float], seed: int) -> Iterator[nn.Module]:
    scaling = Centred.of(data.embedding)
    x = scaling.apply_to(data.embedding).astype(np.float64)
    gamma = width / _median_distance(x, seed)
    kernel = np.exp(-gamma * _distances(x, x))
    truth = one_hot(data)
    for strength in strengths:
        columns = [_machine(kernel, truth[:, label], strength) for label in range(data.classes)]
        coefficients = np.stack([each for each, _ in columns], axis=1)
        used = np.flatnonzero(coefficients.any(axis=1))
        # A class alone has no support vectors; the graph still needs a centre to measure from.
        used = used if len(used) else np.zeros(1, dtype=np.int64)
        bias = np.array([each for _, each in columns])
        yield nn.Sequential(scaling, GaussianKernel(x[used], gamma, coefficients[used], bias))


def _machine(kernel: Floats, truth: Floats, strength: float) -> tuple[Floats, float]:
    """One class against the rest: coefficient of each row, and bias."""
    coefficients = np.zeros(len(kernel))
    if truth.min() == truth.max():
        return coefficients, float(2 * truth[0] - 1)
    machine = SVC(kernel="precomputed", C=strength, cache_size=500).fit(kernel, truth)
    coefficients[machine.support_] = machine.dual_coef_[0]
    return coefficients, float(machine.intercept_[0])


def _approximated(data: Labelled, width: float, strengths: Sequence[float], seed: int) -> Iterator[nn.Module]:
    scaling = Centred.of(data.embedding)
    rotation = _principal(scaling.apply_to(data.embedding))
    x = scaling.apply_to(data.embedding) @ rotation
    chosen = np.sort(np.random.default_rng(seed).permutation(len(x))[:_LANDMARKS])
    landmarks = x[chosen]
    gamma = width / _median_distance(x, seed)
    truth = one_hot(data)
    share = truth.mean(axis=0)
    gram, right = _normal_equations(x, landmarks, gamma, truth - share)
    own = np.exp(-gamma * _distances(landmarks, landmarks)).astype(np.float64)
    turn = affine(rotation, np.zeros(rotation.shape[1]))
    for strength in strengths:
        coefficients = _solved(gram, own, strength, right)
        # Shares of 0 and 1 as margins of -1 and +1, the scale of a machine's decision.
        head = GaussianKernel(landmarks, gamma, 2 * coefficients, 2 * share - 1)
        yield nn.Sequential(scaling, turn, head)


def _normal_equations(x: Floats, landmarks: Floats, gamma: float, truth: Floats) -> tuple[Floats, Floats]:
    """K'K and K'Y, summed over blocks of rows so that K [N, landmarks] is never whole in memory."""
    gram = np.zeros((len(landmarks), len(landmarks)))
    right = np.zeros((len(landmarks), truth.shape[1]))
    for start in range(0, len(x), 4096):
        block = np.exp(-gamma * _distances(x[start : start + 4096], landmarks)).astype(np.float32)
        gram += block.T @ block
        right += block.T @ truth[start : start + 4096]
    return gram, right


def _solved(gram: Floats, own: Floats, ridge: float, right: Floats) -> Floats:
    """Coefficients of (K'K + ridge * own) a = K'Y, with as much on the diagonal as float32 sums need."""
    system = gram + ridge * own
    unit = np.trace(system) / len(system)
    for share in (1e-7, 1e-6, 1e-5, 1e-4):
        system[np.diag_indices_from(system)] += share * unit
        try:
            return np.asarray(cho_solve(cho_factor(system, lower=True), right))
        except LinAlgError:  # not positive definite within rounding
            continue
    return np.linalg.lstsq(system, right)[0]


def _principal(x: Floats) -> Floats:
    """The strongest directions of centred rows, float32 [D, at most 256]; signs fixed."""
    _, vectors = np.linalg.eigh((x.T @ x).astype(np.float64))
    strongest = vectors[:, ::-1][:, :_COMPONENTS]
    sign = np.sign(strongest[np.abs(strongest).argmax(axis=0), np.arange(strongest.shape[1])])
    return (strongest * sign).astype(np.float32)


def _median_distance(x: Floats, seed: int) -> float:
    few = x[np.random.default_rng(seed).permutation(len(x))[:1000]]
    distance = _distances(few, few)[np.triu_indices(len(few), k=1)]
    middle = float(np.median(distance)) if len(distance) else 0.0
    return middle if middle > 0 else 1.0  # all rows alike: any width will do


def _distances(a: Floats, b: Floats) -> Floats:
    squared = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * (a @ b.T)
    return np.maximum(squared, 0)


def _library(data: Labelled, settings: Settings, seed: int, asked: NDArray[np.float32]) -> Floats:
    scaling = Centred.of(data.embedding)
    x = scaling.apply_to(data.embedding).astype(np.float64)
    gamma = float(settings["width"]) / _median_distance(x, seed)
    machines = OneVsRestClassifier(SVC(C=float(settings["strength"]), gamma=gamma)).fit(x, data.targets)
    return np.asarray(machines.decision_function(scaling.apply_to(asked)))


ROW = HeadRow(
    reference="Boser, Guyon & Vapnik, A Training Algorithm for Optimal Margin Classifiers, COLT 1992",
    fit=fit,
    one_image_class="may be lost",
    library=_library,
)
