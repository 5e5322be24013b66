"""Linear models by minimising a convex loss: argmin of |W|**2 / 2 + C * sum of losses, bias unpenalised.

The objective is scikit-learn's, solved for all classes at once with scipy's L-BFGS (Liu & Nocedal 1989), which can
start where the last C ended.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Matrix = NDArray[np.floating]
Loss = Callable[[Matrix, Matrix], tuple[float, Matrix]]  # logits and 0/1 truth [N, C] -> (sum, its gradient)

_EXACT_BELOW = 8_000_000  # numbers in the embedding that are worth the time of double precision


def fit_affine(x: Matrix, truth: Matrix, loss: Loss, strength: float, start: Matrix | None) -> Matrix:
    """x [N, D], truth 0/1 [N, C] -> weights with the bias as last row, float64 [D + 1, C]; `start` likewise."""
    kind = np.float64 if x.size <= _EXACT_BELOW else np.float32
    x, truth = x.astype(kind, copy=False), truth.astype(kind, copy=False)
    shape = (x.shape[1] + 1, truth.shape[1])
    size = len(x)

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        whole = flat.reshape(shape)
        weights = whole[:-1].astype(kind, copy=False)
        value, slope = loss(x @ weights + whole[-1].astype(kind), truth)
        gradient = np.concatenate([x.T @ slope, slope.sum(axis=0, keepdims=True)]).astype(np.float64) / size
        gradient[:-1] += whole[:-1] / (strength * size)
        penalty = 0.5 * float(np.square(whole[:-1]).sum()) / (strength * size)
        return value / size + penalty, gradient.ravel()

    first = np.zeros(shape) if start is None else start
    # Stops when nothing visible is left to gain; the iteration limit is for data that a line cannot part.
    limits = {"maxiter": 1000, "maxfun": 1500, "gtol": 1e-6, "ftol": 1e-9 if kind is np.float64 else 1e-6, "maxcor": 10}
    found = minimize(objective, first.ravel(), jac=True, method="L-BFGS-B", options=limits)
    return np.asarray(found.x).reshape(shape)


def cross_entropy(logits: Matrix, truth: Matrix) -> tuple[float, Matrix]:
    """Softmax over the classes; truth has a single 1 a row."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    likely = np.exp(shifted)
    total = likely.sum(axis=1, keepdims=True)
    likely /= total
    value = float(np.log(total).sum(dtype=np.float64) - (shifted * truth).sum(dtype=np.float64))
    return value, likely - truth


def binary_cross_entropy(logits: Matrix, truth: Matrix) -> tuple[float, Matrix]:
    """Each label by itself."""
    sign = 2 * truth - 1
    margin = sign * logits
    value = float(np.logaddexp(0, -margin).sum(dtype=np.float64))
    return value, -sign * (0.5 * (1 - np.tanh(margin / 2)))


def squared_hinge(logits: Matrix, truth: Matrix) -> tuple[float, Matrix]:
    """One class against the rest: max(0, 1 - margin)**2, LinearSVC's own."""
    sign = 2 * truth - 1
    short = np.maximum(0, 1 - sign * logits)
    return float(np.square(short).sum(dtype=np.float64)), -2 * sign * short
