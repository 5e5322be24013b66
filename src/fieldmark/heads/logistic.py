"""logistic regression: the calibrated default for embeddings of pretrained networks

Multinomial with L2 penalty (Cox 1958; Hastie, Tibshirani & Friedman, The Elements of Statistical Learning, 4.4);
multi-label: one binary model a label. The strength C is chosen by log-loss on inner folds, which moves smoothly
where accuracy on a few hundred images jumps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from fieldmark.heads.choosing import LOG_LOSS, fit_chosen
from fieldmark.heads.learnable import learnable, one_hot
from fieldmark.heads.row import FittedHead, HeadRow, Labelled, Settings
from fieldmark.heads.scaling import Centred, affine
from fieldmark.heads.solving import binary_cross_entropy, cross_entropy, fit_path

_STRENGTHS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


def fit(data: Labelled, *, seed: int, settings: Settings | None = None) -> FittedHead:
    """C is chosen, or taken from `settings`."""
    return fit_chosen("C", _STRENGTHS, data, _path, LOG_LOSS, seed=seed, settings=settings)


def _path(data: Labelled, strengths: Sequence[float]) -> Iterator[nn.Module]:
    part, place = learnable(data)
    scaling = Centred.of(part.embedding)
    x, truth = scaling.apply_to(part.embedding), one_hot(part)
    loss = cross_entropy if part.task == "single" else binary_cross_entropy
    for weights, bias in fit_path(x, truth, loss, strengths):
        yield place(nn.Sequential(scaling, affine(weights, bias)))


def library(data: Labelled, settings: Settings, _seed: int, asked: NDArray[np.float32]) -> NDArray[np.float64]:
    from sklearn.linear_model import LogisticRegression  # two seconds to import; training does without
    from sklearn.multiclass import OneVsRestClassifier

    scaling = Centred.of(data.embedding)
    plain = LogisticRegression(C=float(settings["C"]), max_iter=10_000, tol=1e-6)
    model = plain if data.task == "single" else OneVsRestClassifier(plain)
    fitted = model.fit(scaling.apply_to(data.embedding), data.targets)
    return np.asarray(fitted.decision_function(scaling.apply_to(asked)))


ROW = HeadRow(
    reference="Cox, The Regression Analysis of Binary Sequences, JRSS B 1958",
    fit=fit,
    one_image_class="learns",
    leaves_out_unknown=True,
    library=library,
)
