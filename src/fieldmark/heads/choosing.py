"""How a head chooses a setting: by what it does on training rows that it was not shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import nn

from fieldmark.cores import available_cores
from fieldmark.heads.learnable import one_hot, rows
from fieldmark.heads.row import FittedHead, Labelled, Settings

T = TypeVar("T")
Number = TypeVar("Number", int, float)
Path = Callable[[Labelled, Sequence[T]], Iterable[nn.Module]]  # one head a candidate, in their order


@dataclass(frozen=True, slots=True, kw_only=True)
class Merit:
    """What is made small: `of(held-out rows, their logits [N, C])`; for multi-label the mean over labels."""

    name: str
    of: Callable[[Labelled, NDArray[np.float64]], float]


_FOLDS = 5
_MOST_ROWS = 10_000  # more rows than this decide no better, only later
_MOST_NUMBERS = 8_000_000  # in N x D; above, one held-out fifth has to do


def fit_chosen(
    what: str,
    candidates: Sequence[Number],
    data: Labelled,
    path: Path[Number],
    merit: Merit,
    *,
    seed: int,
    settings: Settings | None,
) -> FittedHead:
    """A head with one setting, `what`: chosen, or taken from `settings`; fitted on all rows."""
    best, said = (
        choose(what, candidates, data, path, merit, seed) if settings is None else (cast(Number, settings[what]), "")
    )
    (module,) = path(data, (best,))
    return FittedHead(module=module, choices=(said,) if said else (), settings={what: best})


def choose(
    what: str,
    candidates: Sequence[T],
    data: Labelled,
    path: Path[T],
    merit: Merit,
    seed: int,
    *,
    parts: int = _FOLDS,
) -> tuple[T, str]:
    """The candidate with the least loss on held-out rows, and the choice in words.

    Candidates stand in their natural order, the preferred end first: an equal one later does not win, and two in a
    row that are worse than the best end the search. `parts` of the five folds are held out in turn; large data has
    one, which is enough there.
    """
    sample, said = _sample(data, seed)
    fold = inner_folds(sample, _FOLDS, seed)
    if fold.max(initial=0) == 0:
        middle = candidates[len(candidates) // 2]
        return middle, f"{what} = {middle}, by default: too few images to try others"
    tried = range(min(parts, fold.max() + 1) if sample.embedding.size <= _MOST_NUMBERS else 1)
    held = [rows(sample, fold == each) for each in tried]
    paths = [iter(path(rows(sample, fold != each), candidates)) for each in tried]
    share = np.array([len(each.targets) for each in held]) / sum(len(each.targets) for each in held)
    losses: list[float] = []
    while len(losses) < len(candidates) and not _rising(losses):
        each = _side_by_side(
            lambda heads, asked: merit.of(asked, logits_of(next(heads), asked.embedding)), paths, held
        )
        losses.append(round(float(share @ each), 6))
    best = int(np.argmin(losses))
    among = f"{candidates[0]} .. {candidates[len(losses) - 1]}"
    evidence = f"{len(tried)} inner folds" if len(tried) > 1 else "a held-out fifth of training"
    said = f"{what} = {candidates[best]} of {among}, by {evidence}{said}: {merit.name} {losses[best]:.4f}"
    return candidates[best], said


def _side_by_side(
    judge: Callable[[Iterator[nn.Module], Labelled], float],
    paths: Sequence[Iterator[nn.Module]],
    held: Sequence[Labelled],
) -> list[float]:
    # A thread a fold beats many threads a product: the matrices of a linear head are tall and thin.
    if len(paths) == 1:
        return [judge(paths[0], held[0])]
    with threadpool_limits(1), ThreadPoolExecutor(available_cores()) as pool:
        return list(pool.map(judge, paths, held))


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


def _log_loss(data: Labelled, logits: NDArray[np.float64]) -> float:
    if data.task == "multi":
        signs = _signs(data)
        return float(np.logaddexp(0, -signs * logits)[signs != 0].mean())
    top = logits.max(axis=1, keepdims=True)
    total = top[:, 0] + np.log(np.exp(logits - top).sum(axis=1))
    return float((total - logits[np.arange(len(logits)), data.targets]).mean())


def _squared_hinge(data: Labelled, logits: NDArray[np.float64]) -> float:
    signs = _signs(data)
    return float(np.square(np.maximum(0, 1 - signs * logits))[signs != 0].mean())


def _mistakes(data: Labelled, logits: NDArray[np.float64]) -> float:
    if data.task == "single":
        return float((logits.argmax(axis=1) != data.targets).mean())
    # A rare label is right nearly always when it is never given, so those with it and those without weigh alike.
    wrong, given = (logits > 0) != (data.targets > 0), data.targets > 0
    missed = (wrong & given).sum(axis=0) / np.maximum(given.sum(axis=0), 1)
    invented = (wrong & ~given).sum(axis=0) / np.maximum((~given).sum(axis=0), 1)
    return float((missed + invented).mean() / 2)


def _signs(data: Labelled) -> NDArray[np.float64]:
    return 2 * one_hot(data).astype(np.float64) - 1


LOG_LOSS = Merit(name="log-loss", of=_log_loss)
SQUARED_HINGE = Merit(name="squared hinge loss", of=_squared_hinge)
MISTAKES = Merit(name="share of mistakes", of=_mistakes)


def logits_of(module: nn.Module, embedding: NDArray[np.float32]) -> NDArray[np.float64]:
    """What a head says of an embedding, in blocks so that memory stays small."""
    with torch.inference_mode():
        whole = torch.from_numpy(np.ascontiguousarray(embedding))
        blocks = [module(whole[start : start + 1024]) for start in range(0, len(whole), 1024)]
    return torch.cat(blocks).double().numpy()


def _rarest_class(truth: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Of each row its rarest class (C where it has none) and that class's count, unequal for unequal classes."""
    classes = truth.shape[1]
    # Of classes equally rare, the order of their columns as numbers decides, which is not that of the classes.
    _, rank = np.unique(truth.T, axis=0, return_inverse=True)
    count = (truth == 1).sum(axis=0) + rank / (classes + 1)
    rarity = np.where(truth == 1, count, np.inf)
    label = np.where((truth == 1).any(axis=1), rarity.argmin(axis=1), classes)
    return label.astype(np.int64), rarity.min(axis=1)


def _rising(losses: list[float]) -> bool:
    return len(losses) > 2 and min(losses[-2:]) > min(losses)


def _sample(data: Labelled, seed: int) -> tuple[Labelled, str]:
    if len(data.targets) <= _MOST_ROWS:
        return data, ""
    drawn = np.sort(np.random.default_rng(seed).permutation(len(data.targets))[:_MOST_ROWS])
    return rows(data, drawn), f" of {_MOST_ROWS:,} images"
