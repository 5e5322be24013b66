"""logistic regression on embeddings of length 1: what an image shows counts, not how strongly

As the logistic head, after each embedding was divided by its length, so that images are compared by angle (as in
cosine classifiers: Gidaris & Komodakis, CVPR 2018). The default for several labels: an image of many things has a
weak embedding of each.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from fieldmark.heads import logistic
from fieldmark.heads.row import FittedHead, HeadRow, Labelled, Settings


class UnitLength(nn.Module):
    """Each row over its Euclidean length: float32 [N, D] -> [N, D]; a row of noughts stays one."""

    def forward(self, embedding: Tensor) -> Tensor:
        return F.normalize(embedding)


def fit(data: Labelled, *, seed: int, settings: Settings | None = None) -> FittedHead:
    """C is chosen, or taken from `settings`."""
    fitted = logistic.fit(_of_unit_length(data), seed=seed, settings=settings)
    return replace(fitted, module=nn.Sequential(UnitLength(), fitted.module))


def _of_unit_length(data: Labelled) -> Labelled:
    return replace(data, embedding=_over_length(data.embedding))


def _over_length(embedding: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(embedding, axis=1, keepdims=True)
    return np.asarray(embedding / np.maximum(length, 1e-12), dtype=np.float32)


def _library(data: Labelled, settings: Settings, seed: int, asked: NDArray[np.float32]) -> NDArray[np.float64]:
    return logistic.library(_of_unit_length(data), settings, seed, _over_length(asked))


ROW = HeadRow(
    reference="Gidaris & Komodakis, Dynamic Few-Shot Visual Learning without Forgetting, CVPR 2018",
    fit=fit,
    one_image_class="learns",
    leaves_out_unknown=True,
    library=_library,
)
