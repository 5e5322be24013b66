"""Gaussian kernel machines for many images: principal components, landmarks, least squares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigh
from torch import nn

from fieldmark.heads.kernel import GaussianKernel, distances, median_distance
from fieldmark.heads.learnable import learnable, one_hot
from fieldmark.heads.row import Labelled
from fieldmark.heads.scaling import Centred, affine

COMPONENTS = 256
_ROWS_FOR_COMPONENTS = 10_000
_BLOCK = 4096

Floats = NDArray[np.floating[Any]]


def reduced(data: Labelled, seed: int) -> tuple[Labelled, nn.Module]:
    """The data in its 256 strongest principal components, and the module that takes an embedding there."""
    scaling = Centred.of(data.embedding)
    chosen = np.random.default_rng(seed).permutation(len(data.targets))[:_ROWS_FOR_COMPONENTS]
    sample = scaling.apply_to(data.embedding[np.sort(chosen)])
    size = sample.shape[1]
    kept = (max(0, size - COMPONENTS), size - 1)
    _, vectors = eigh((sample.T @ sample).astype(np.float64), subset_by_index=kept)
    # An axis may point either way; the largest entry is made positive.
    sign = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
    rotation = np.asarray(vectors * sign, dtype=np.float32)
    blocks = [
        scaling.apply_to(data.embedding[start : start + _BLOCK]) @ rotation
        for start in range(0, len(data.targets), _BLOCK)
    ]
    turn = nn.Sequential(scaling, affine(rotation, np.zeros(rotation.shape[1])))
    return replace(data, embedding=np.concatenate(blocks)), turn


def path(data: Labelled, settings: Sequence[tuple[float, float]], landmarks: int, seed: int) -> Iterator[nn.Module]:
    """One machine for each (width, ridge), on reduced data: argmin of |K a - y|**2 + ridge * a' L a, where K is the
    kernel between rows and landmarks and L that among landmarks (subset of regressors; Williams & Seeger 2001)."""
    part, place = learnable(data)
    x, truth = part.embedding, one_hot(part)
    centres = x[np.sort(np.random.default_rng(seed).permutation(len(x))[:landmarks])]
    share = truth.mean(axis=0)
    unit = median_distance(x, seed)
    last, system = None, None
    for width, ridge in settings:
        if system is None or width != last:
            system = _normal_equations(x, centres, width / unit, truth - share)
            last = width
        coefficients = _solved(*system, ridge)
        # Shares of 0 and 1 as margins of -1 and +1, the scale of a machine's decision.
        yield place(GaussianKernel(centres, width / unit, 2 * coefficients, 2 * share - 1))


def _normal_equations(x: Floats, centres: Floats, gamma: float, truth: Floats) -> tuple[Floats, Floats, Floats]:
    """K'K, L and K'y, summed over blocks of rows: K [N, landmarks] is never whole, and float32 errs little."""
    gram = np.zeros((len(centres), len(centres)))
    right = np.zeros((len(centres), truth.shape[1]))
    for start in range(0, len(x), _BLOCK):
        block = np.exp(-gamma * distances(x[start : start + _BLOCK], centres))
        gram += block.T @ block
        right += block.T @ truth[start : start + _BLOCK]
    return gram, np.exp(-gamma * distances(centres, centres)).astype(np.float64), right


def _solved(gram: Floats, among: Floats, right: Floats, ridge: float) -> Floats:
    """Coefficients, with as little more on the diagonal as rounding in float32 needs."""
    system = gram + ridge * among
    unit = np.trace(system) / len(system)
    for share in (1e-6, 1e-5, 1e-4):
        try:
            factor = cho_factor(system + share * unit * np.eye(len(system)), lower=True)
        except LinAlgError:
            continue
        return np.asarray(cho_solve(factor, right))
    return np.linalg.lstsq(system, right)[0]
