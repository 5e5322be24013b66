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

_EXACT_BELOW = 1_000_000  # numbers in the embedding that are worth the time of double precision


def fit_affine(x: Matrix, truth: Matrix, loss: Loss, strength: float, start: Matrix | None) -> Matrix:
    """x [N, D] (centred), truth 0/1 [N, C] -> weights with the bias as last row, float64 [D + 1, C]; `start` likewise."""
    exact = x.size <= _EXACT_BELOW
    kind = np.float64 if exact else np.float32
    x, truth = x.astype(kind, copy=False), truth.astype(kind, copy=False)
    transposed = np.ascontiguousarray(x.T)
    size, shape = len(x), (x.shape[1] + 1, truth.shape[1])
    ridge = 1 / (strength * size)

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        whole = flat.reshape(shape)
        value, slope = loss(x @ whole[:-1].astype(kind) + whole[-1].astype(kind), truth)
        gradient = np.concatenate([transposed @ slope, slope.sum(axis=0, keepdims=True)]).astype(np.float64) / size
        gradient[:-1] += ridge * whole[:-1]
        return value / size + 0.5 * ridge * float(np.square(whole[:-1]).sum()), gradient.ravel()

    first = np.zeros(shape) if start is None else start
    # It ends when nothing visible is left to gain; the limit is for classes that a plane parts exactly.
    limits = {"maxiter": 1000, "maxfun": 1500, "maxcor": 20, "gtol": 1e-6, "ftol": 1e-10 if exact else 1e-7}
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
