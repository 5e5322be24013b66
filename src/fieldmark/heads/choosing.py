"""How a head chooses a setting: by what it does on training rows that it was not shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fieldmark.heads.learnable import one_hot, rows
from fieldmark.heads.row import Labelled

T = TypeVar("T")
Path = Callable[[Labelled, Sequence[T]], Iterable[nn.Module]]  # one head a candidate, in their order
Merit = Callable[[Labelled, NDArray[np.float64]], float]  # held-out rows and their logits -> more is better

_FOLDS = 5
_MOST_ROWS = 10_000  # more rows than this decide no better, only later
_MOST_NUMBERS = 8_000_000  # in N x D; above, one held-out fifth has to do


def choose(what: str, candidates: Sequence[T], data: Labelled, path: Path[T], merit: Merit, seed: int) -> tuple[T, str]:
    """The candidate of the best merit on held-out rows, and the choice in words.

    Candidates stand in their natural order, the preferred end first: an equal one later does not win, and two in a
    row that are worse than the best end the search.
    """
    sample, said = _sample(data, seed)
    fold = inner_folds(sample, _FOLDS, seed)
    if fold.max(initial=0) == 0:
        middle = candidates[len(candidates) // 2]
        return middle, f"{what} = {middle}, by default: too few images to try others"
    tried = range(fold.max() + 1) if sample.embedding.size <= _MOST_NUMBERS else range(1)
    held = [rows(sample, fold == each) for each in tried]
    paths = [iter(path(rows(sample, fold != each), candidates)) for each in tried]
    share = np.array([len(each.targets) for each in held]) / sum(len(each.targets) for each in held)
    merits: list[float] = []
    while len(merits) < len(candidates) and not _descending(merits):
        each = [merit(asked, logits_of(next(heads), asked.embedding)) for heads, asked in zip(paths, held, strict=True)]
        merits.append(round(float(share @ each), 6))
    best = int(np.argmax(merits))
    among = f"{candidates[0]} .. {candidates[len(merits) - 1]}"
    evidence = f"{len(tried)} inner folds" if len(tried) > 1 else "a held-out fifth of training"
    return candidates[best], f"{what} = {candidates[best]} of {among}, by {evidence}{said}: {_named(merit, merits[best])}"


def inner_folds(data: Labelled, count: int, seed: int) -> NDArray[np.int64]:
    """Fold of each row, int64 [N]: groups whole, classes spread evenly; all 0 where there is one group alone.

    Groups are dealt out class by class; a group counts as the rarest class in it. No step depends on how classes
    are numbered.
    """
    names, group = np.unique(data.group, return_inverse=True)
    label, rarity = _rarest_class(one_hot(data))
    # Of the rows of a group the rarest comes last, and the last one written stays.
    rarest_last = np.argsort(-rarity, kind="stable")
    label_of_group = np.empty(len(names), dtype=np.int64)
    label_of_group[group[rarest_last]] = label[rarest_last]
    order = np.random.default_rng(seed).permutation(len(names))
    _, first, which = np.unique(label_of_group[order], return_index=True, return_inverse=True)
    dealt = order[np.argsort(first[which], kind="stable")]
    fold = np.empty(len(names), dtype=np.int64)
    fold[dealt] = np.arange(len(names)) % min(count, len(names))
    return fold[group]


def log_likelihood(data: Labelled, logits: NDArray[np.float64]) -> float:
    """Minus the log-loss; multi: of each label, averaged."""
    if data.task == "multi":
        signs = 2.0 * data.targets - 1
        return -float(np.logaddexp(0, -signs * logits).mean())
    top = logits.max(axis=1, keepdims=True)
    total = top[:, 0] + np.log(np.exp(logits - top).sum(axis=1))
    return float((logits[np.arange(len(logits)), data.targets] - total).mean())


def hits(data: Labelled, logits: NDArray[np.float64]) -> float:
    """single: accuracy. multi: mean over labels that vary of the chance that a picture with the label is ranked
    above one without (AUROC), since a label that is rare is right nearly always when it is never given."""
    if data.task == "single":
        return float((logits.argmax(axis=1) == data.targets).mean())
    areas = [_area(data.targets[:, label] > 0, logits[:, label]) for label in range(data.classes)]
    known = [area for area in areas if area is not None]
    return float(np.mean(known)) if known else 0.0


def logits_of(module: nn.Module, embedding: NDArray[np.float32]) -> NDArray[np.float64]:
    """What a head says of an embedding, in blocks so that memory stays small."""
    with torch.inference_mode():
        blocks = [module(block) for block in torch.from_numpy(np.ascontiguousarray(embedding)).split(1024)]
    return torch.cat(blocks).double().numpy()


def _area(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> float | None:
    count = int(positive.sum())
    if count in (0, len(positive)):
        return None
    _, rank, ties = np.unique(score, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(ties) - (ties - 1) / 2
    above = mean_rank[rank][positive].sum() - count * (count + 1) / 2
    return float(above / (count * (len(positive) - count)))


def _rarest_class(truth: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Of each row its rarest class (C where it has none) and that class's count, unequal for unequal classes."""
    size, classes = truth.shape
    count = truth.sum(axis=0) + truth.argmax(axis=0) / (size + 1)
    rarity = np.where(truth > 0, count, np.inf)
    label = np.where(truth.any(axis=1), rarity.argmin(axis=1), classes)
    return label.astype(np.int64), rarity.min(axis=1)


def _descending(merits: list[float]) -> bool:
    return len(merits) > 2 and max(merits[-2:]) < max(merits)


def _sample(data: Labelled, seed: int) -> tuple[Labelled, str]:
    if len(data.targets) <= _MOST_ROWS:
        return data, ""
    drawn = np.sort(np.random.default_rng(seed).permutation(len(data.targets))[:_MOST_ROWS])
    return rows(data, drawn), f" of {_MOST_ROWS:,} images"


def _named(merit: Merit, value: float) -> str:
    if merit is log_likelihood:
        return f"log-loss {-value:.4f}"
    return f"{value:.4f} right (accuracy, or mean AUROC of labels)"
