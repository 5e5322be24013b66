"""linear support vector machine: one class against the rest, squared hinge loss

Cortes & Vapnik 1995 in the primal form of LIBLINEAR (Fan et al., JMLR 2008), the bias unpenalised. C is chosen by
the same loss on inner folds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from fieldmark.heads.choosing import SQUARED_HINGE, fit_chosen
from fieldmark.heads.learnable import learnable, one_hot
from fieldmark.heads.row import FittedHead, HeadRow, Labelled, Settings
from fieldmark.heads.scaling import Centred, affine
from fieldmark.heads.solving import fit_path, squared_hinge

_STRENGTHS = (0.00001, 0.0001, 0.001, 0.01, 0.1, 1.0)


def fit(data: Labelled, *, seed: int, settings: Settings | None = None) -> FittedHead:
    """C is chosen, or taken from `settings`."""
    return fit_chosen("C", _STRENGTHS, data, _path, SQUARED_HINGE, seed=seed, settings=settings)


def _path(data: Labelled, strengths: Sequence[float]) -> Iterator[nn.Module]:
    part, place = learnable(data)
    scaling = Centred.of(part.embedding)
    x, truth = scaling.apply_to(part.embedding), one_hot(part)
    for weights, bias in fit_path(x, truth, squared_hinge, strengths):
        yield place(nn.Sequential(scaling, affine(weights, bias)))


def _library(data: Labelled, settings: Settings, _seed: int, asked: NDArray[np.float32]) -> NDArray[np.float64]:
    from sklearn.multiclass import OneVsRestClassifier  # two seconds to import; training does without
    from sklearn.svm import LinearSVC

    scaling = Centred.of(data.embedding)
    # LIBLINEAR penalises the bias unless the constant that it stands for is large.
    plain = LinearSVC(C=float(settings["C"]), dual=False, intercept_scaling=1000, tol=1e-8, max_iter=100_000)
    fitted = OneVsRestClassifier(plain).fit(scaling.apply_to(data.embedding), data.targets)
    return np.asarray(fitted.decision_function(scaling.apply_to(asked)))


ROW = HeadRow(
    reference="Fan et al., LIBLINEAR: A Library for Large Linear Classification, JMLR 2008",
    fit=fit,
    one_image_class="learns",
    leaves_out_unknown=True,
    library=_library,
)
