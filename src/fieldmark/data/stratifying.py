"""Shares out groups of images so that each part gets its share of every class.

Iterative stratification: the rarest label first, each image to the part that still lacks it most. K. Sechidis,
G. Tsoumakas, I. Vlahavas, "On the Stratification of Multi-Label Data", ECML PKDD 2011. Here the things shared out
are groups, largest first, and the greedy result is then bettered by moving single groups while that helps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MOST_MOVES = 500
_MOST_CELLS = 50_000_000  # groups x labels that the bettering may hold in memory
_EMPTY = 10.0  # what a part without a class costs, beside squared deviations of shares, which are below 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """G groups in an order that depends on their content alone. `counts[g]` maps a label to how many images of the
    group have it (images with none count under one label of their own); `sizes[g]` is the images in the group."""

    counts: Sequence[dict[int, int]]
    sizes: Sequence[int]
    labels: int


def share_out(
    groups: Groups, shares: Sequence[float], fixed: NDArray[np.int64], *, seed: int, every_part: bool
) -> NDArray[np.int64]:
    """int64 [G], each group's part. `fixed` is a group's part, or -1 where it is to be found here.

    With `every_part`, a label that enough groups have is wanted at least once in each part, however small its share.
    """
    wanted = _wanted(groups, np.asarray(shares, dtype=float), every_part)
    part = _greedy(groups, wanted, fixed, seed)
    simple = all(size == 1 and len(counts) == 1 for size, counts in zip(groups.sizes, groups.counts))
    if not simple and len(part) * groups.labels <= _MOST_CELLS:  # greedy is already the best of the simple case
        _better(groups, wanted, part, fixed < 0)
    return part


def _wanted(groups: Groups, shares: NDArray[np.float64], every_part: bool) -> NDArray[np.float64]:
    totals, holders = np.zeros(groups.labels), np.zeros(groups.labels)
    for counts in groups.counts:
        for label, count in counts.items():
            totals[label] += count
            holders[label] += 1
    wanted: NDArray[np.float64] = totals[:, None] * shares / shares.sum()
    if every_part:
        enough = holders >= len(shares)
        wanted[enough] = np.maximum(wanted[enough], 1.0)
        largest = int(shares.argmax())
        wanted[:, largest] += totals - wanted.sum(axis=1)  # what the small parts were given comes out of the largest
    return wanted


def _greedy(groups: Groups, wanted: NDArray[np.float64], fixed: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    # Plain lists: a loop over single images is many times quicker on them than on arrays.
    lacking: list[list[float]] = wanted.tolist()
    parts = range(wanted.shape[1])
    room = [sum(row[p] for row in lacking) for p in parts]
    part: list[int] = fixed.tolist()

    def place(group: int, where: int) -> None:
        part[group] = where
        for label, count in groups.counts[group].items():
            lacking[label][where] -= count
            room[where] -= count

    shuffled = np.random.default_rng(seed).permutation(len(part)).tolist()
    holders: list[list[int]] = [[] for _ in range(groups.labels)]
    left = [0] * groups.labels
    for group in shuffled:
        if part[group] >= 0:
            place(group, part[group])
            continue
        for label, count in groups.counts[group].items():
            holders[label].append(group)
            left[label] += count
    while any(left):
        rarest = min((label for label in range(groups.labels) if left[label]), key=lambda label: (left[label], label))
        for group in sorted(holders[rarest], key=lambda group: -groups.counts[group][rarest]):
            if part[group] < 0:
                place(group, max(parts, key=lambda p: (lacking[rarest][p], room[p])))
                for label, count in groups.counts[group].items():
                    left[label] -= count
    return np.array(part, dtype=np.int64)


def _better(groups: Groups, wanted: NDArray[np.float64], part: NDArray[np.int64], free: NDArray[np.bool_]) -> None:
    """Steepest descent on the summed squared deviation of every label's shares, a group a step, in place."""
    held = np.zeros((len(part), groups.labels))
    for group, counts in enumerate(groups.counts):
        held[group, list(counts)] = list(counts.values())
    has = held > 0
    totals = np.maximum(held.sum(axis=0), 1.0)
    weight = 1 / totals**2
    enough = has.sum(axis=0) >= wanted.shape[1]
    rows = np.arange(len(part))
    now = np.stack([held[part == p].sum(axis=0) for p in range(wanted.shape[1])], axis=1)
    own_cost = 2 * (held**2 @ weight)
    for _ in range(_MOST_MOVES):
        pull = 2 * (held * weight) @ (now - wanted)
        empties = (has & enough & (now.T[part] == held)).sum(axis=1)
        fills = (has & enough).astype(float) @ (now == 0)
        change = own_cost[:, None] + pull - pull[rows, part][:, None] + _EMPTY * (empties[:, None] - fills)
        change[rows, part] = 0.0
        change[~free] = 0.0
        group, to = divmod(int(change.argmin()), change.shape[1])
        if change[group, to] > -1e-12:
            return
        now[:, part[group]] -= held[group]
        now[:, to] += held[group]
        part[group] = to
