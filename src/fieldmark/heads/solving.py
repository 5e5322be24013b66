"""Linear models by minimising a convex loss: argmin of |W|**2 / 2 + C * sum of losses, bias unpenalised.

The objective is scikit-learn's, solved for all classes at once with scipy's L-BFGS (Liu & Nocedal 1989). An
embedding's dimensions are strongly correlated, and L-BFGS would need a thousand steps along the weak directions; so
it walks in the principal axes, each divided by the root of its own curvature (loss and ridge), where some fifty steps
do. That is a change of variables: the minimum is the same. Each C starts where the last one ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

Matrix = NDArray[np.floating[Any]]
Loss = Callable[[Matrix, Matrix], tuple[float, Matrix]]  # logits and truth of `one_hot` [N, C] -> (sum, its gradient)

_EXACT_BELOW = 1_000_000  # numbers in the embedding that are worth the time of double precision
_CURVATURE = 0.1  # of a loss at the solution, roughly: it sets the pace and not the result
_FLAT = 1e-10  # of the strongest axis; along weaker ones the rows do not differ


def fit_path(x: Matrix, truth: Matrix, loss: Loss, strengths: Sequence[float]) -> Iterator[tuple[Matrix, Matrix]]:
    """x [N, D] (centred), truth of `one_hot` [N, C] -> for each C in turn weights [D, C] and bias [C], float64."""
    exact = x.size <= _EXACT_BELOW
    kind = np.float64 if exact else np.float32
    axes, variance = _principal_axes(x)
    turned = (x @ axes.astype(x.dtype)).astype(kind)
    truth = truth.astype(kind)
    found: Matrix = np.zeros((len(variance) + 1, truth.shape[1]))
    for strength in strengths:
        ridge = 1 / (strength * len(x))
        pace = 1 / np.sqrt(_CURVATURE * variance + ridge)
        found = _solve(turned * pace.astype(kind), truth, loss, ridge * pace**2, found, pace, exact)
        yield axes @ found[:-1], found[-1]


def _principal_axes(x: Matrix) -> tuple[Matrix, Matrix]:
    """Directions [D, R] in which the rows differ, and their variances [R]; of the smaller of both Gram matrices."""
    tall = x.shape[0] >= x.shape[1]
    values, vectors = np.linalg.eigh((x.T @ x if tall else x @ x.T).astype(np.float64))
    kept = values > _FLAT * max(values[-1], 1e-30)
    values, vectors = values[kept], vectors[:, kept]
    return vectors if tall else x.T.astype(np.float64) @ (vectors / np.sqrt(values)), values / len(x)


def _solve(x: Matrix, truth: Matrix, loss: Loss, ridge: Matrix, start: Matrix, pace: Matrix, exact: bool) -> Matrix:
    transposed = np.ascontiguousarray(x.T)
    size, shape = len(x), start.shape
    scale = np.append(pace, 1.0)[:, None]

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        whole = flat.reshape(shape)
        value, slope = loss(x @ whole[:-1].astype(x.dtype) + whole[-1].astype(x.dtype), truth)
        gradient = np.concatenate([transposed @ slope, slope.sum(axis=0, keepdims=True)]).astype(np.float64) / size
        gradient[:-1] += ridge[:, None] * whole[:-1]
        return value / size + 0.5 * float((ridge[:, None] * np.square(whole[:-1])).sum()), gradient.ravel()

    # It ends when nothing visible is left to gain; the limit is for classes that a plane parts exactly.
    limits = {
        "maxiter": 500,
        "maxfun": 750,
        "maxcor": 20,
        "gtol": 1e-7 if exact else 1e-5,
        "ftol": 1e-12 if exact else 1e-7,
    }
    with threadpool_limits(1):  # tall, thin products are slower on several threads, on a busy machine much slower
        found = minimize(objective, (start / scale).ravel(), jac=True, method="L-BFGS-B", options=limits)
    solution: Matrix = np.asarray(found.x).reshape(shape) * scale
    return solution


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
