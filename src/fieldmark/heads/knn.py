"""nearest neighbours: the training pictures most alike vote, nearer ones more

Cover & Hart 1967, by cosine similarity, each vote over its distance (Dudani 1976). k is chosen by log-loss on inner
folds. The training embedding travels in the graph: up to 25 million numbers (100 MB), of more rows a random share.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from fieldmark.heads.choosing import LOG_LOSS, choose
from fieldmark.heads.learnable import one_hot, rows
from fieldmark.heads.row import FittedHead, HeadRow, Labelled, Settings

_NEIGHBOURS = (1, 3, 5, 10, 20, 50)
_MOST_NUMBERS = 25_000_000
_NEAREST = 1e-4  # distance below which neighbours are the same picture in float32
_DOUBT = 0.5  # votes of nobody, shared by all classes, so that no probability is 0


class Neighbours(nn.Module):
    """Embedding [N, D] -> logarithm of the share of votes, [N, C] (multi: log-odds, of those looked at)."""

    stored: Tensor
    truth: Tensor
    known: Tensor

    def __init__(self, data: Labelled, k: int) -> None:
        super().__init__()
        self.k = min(k, len(data.targets))
        self.single = data.task == "single"
        self.register_buffer("stored", F.normalize(torch.from_numpy(data.embedding)).T.contiguous())
        truth = one_hot(data)
        self.register_buffer("truth", torch.from_numpy((truth == 1).astype(np.float32)))
        if not self.single:
            self.register_buffer("known", torch.from_numpy((truth != 0.5).astype(np.float32)))

    def forward(self, embedding: Tensor) -> Tensor:
        similarity, index = (F.normalize(embedding) @ self.stored).topk(self.k, dim=1)
        vote = 1 / (1 - similarity).clamp_min(_NEAREST)
        votes = self.k * (vote / vote.sum(dim=1, keepdim=True)).unsqueeze(1)
        count = self.truth.shape[1] if self.single else 2
        asked = self.k if self.single else (votes @ self.known[index]).squeeze(1)
        yes = ((votes @ self.truth[index]).squeeze(1) + _DOUBT / count) / (asked + _DOUBT)
        return yes.log() if self.single else yes.log() - (1 - yes).log()


def fit(data: Labelled, *, seed: int, settings: Settings | None = None) -> FittedHead:
    """k is chosen, or taken from `settings`."""
    kept, said = _kept(data, seed)
    if settings is not None:
        return _fitted(kept, int(settings["k"]), said)
    k, words = choose("k", _NEIGHBOURS, kept, _path, LOG_LOSS, seed)
    return _fitted(kept, k, (words, *said))


def _fitted(data: Labelled, k: int, choices: tuple[str, ...]) -> FittedHead:
    return FittedHead(module=Neighbours(data, k), choices=choices, settings={"k": k})


def _path(data: Labelled, neighbours: Sequence[int]) -> Iterator[nn.Module]:
    return (Neighbours(data, k) for k in neighbours)


def _kept(data: Labelled, seed: int) -> tuple[Labelled, tuple[str, ...]]:
    room = max(1, _MOST_NUMBERS // data.embedding.shape[1])
    if len(data.targets) <= room:
        return data, ()
    chosen = np.sort(np.random.default_rng(seed).permutation(len(data.targets))[:room])
    return rows(data, chosen), (
        f"keeps {room:,} of {len(data.targets):,} images, so that the model stays under 100 MB",
    )


def _library(data: Labelled, settings: Settings, _seed: int, asked: NDArray[np.float32]) -> NDArray[np.float64]:
    from sklearn.neighbors import KNeighborsClassifier  # two seconds to import; training does without

    model = KNeighborsClassifier(n_neighbors=int(settings["k"]), weights="distance", metric="cosine")
    shares = model.fit(data.embedding, data.targets).predict_proba(asked)
    return np.asarray(shares) if data.task == "single" else np.stack([each[:, 1] - 0.5 for each in shares], axis=1)


ROW = HeadRow(
    reference="Cover & Hart, Nearest Neighbor Pattern Classification, IEEE Trans. Information Theory 1967",
    fit=fit,
    one_image_class="may be lost",
    leaves_out_unknown=True,
    discrete=True,
    library=_library,
)
