"""Which images a step sees, and which of them mirrored: decided by seed and step alone, so that any step can be
taken up again."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.data.overlapping import in_order
from fieldmark.training.balances import BALANCES
from fieldmark.training.job import Job
from fieldmark.training.pixels import AHEAD
from fieldmark.training.plan import Plan

FIRST_SIDES = 2**32  # no epoch has this number, so its order is free to say which side of an image comes first


class Batches:
    """`per_epoch` steps see every training image once (with even draws, every class as often)."""

    def __init__(self, job: Job, plan: Plan) -> None:
        self.per_epoch = max(1, len(job.train) // plan.batch)
        self._job, self._plan = job, plan
        self._first_side = np.random.default_rng((plan.seed, FIRST_SIDES)).permutation(len(job.train)) % 2
        self._next, self._coming = 0, self._from(0)

    def at(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """uint8 pixels [B, S, S, 3], their targets, and bool [B]: mirrored in this epoch.

        Each image is mirrored in every other epoch, from a random first side: two epochs show both (Jordan 2024).
        The steps that follow are read while the caller works on this one; to ask for another step is allowed.
        """
        if step != self._next:
            self.close()
            self._coming = self._from(step)
        self._next = step + 1
        return next(self._coming)

    def close(self) -> None:
        """Nothing more is read ahead."""
        self._coming.close()

    def _from(self, step: int) -> Generator[tuple[Tensor, Tensor, Tensor]]:
        return in_order(self._read, self._chosen_from(step), threads=1, ahead=AHEAD)

    def _chosen_from(self, step: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Of each step on: its epoch, and which of the training rows it sees."""
        size = self._plan.batch
        epoch, first = divmod(step, self.per_epoch)
        while True:
            order = self._order_of(epoch)
            for index in range(first, self.per_epoch):
                yield epoch, order[index * size : (index + 1) * size]
            epoch, first = epoch + 1, 0

    def _read(self, step: tuple[int, NDArray[np.int64]]) -> tuple[Tensor, Tensor, Tensor]:
        job, (epoch, chosen) = self._job, step
        mirrored = (self._first_side[chosen] + epoch) % 2 == 1 if self._plan.flip else np.zeros(len(chosen), bool)
        rows = job.train[chosen]
        pixels, targets = job.pixels[rows], job.data.targets[rows]
        return torch.from_numpy(pixels), torch.from_numpy(targets), torch.from_numpy(mirrored)

    def _order_of(self, epoch: int) -> NDArray[np.int64]:
        random = np.random.default_rng((self._plan.seed, epoch))
        if BALANCES[self._plan.balance].even_draws:
            return even_order(self._job.data.targets[self._job.train], random)
        return random.permutation(len(self._job.train))


def even_order(targets: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """As many places as `targets` has rows, rounded up to a multiple of the classes that are there; every class fills
    as many, each of its rows before any again."""
    rows = [np.flatnonzero(targets == label) for label in np.unique(targets)]
    places = -(-len(targets) // len(rows))
    drawn = [np.concatenate([random.permutation(r) for _ in range(-(-places // len(r)))])[:places] for r in rows]
    return random.permutation(np.concatenate(drawn))
