"""Which images a step sees, and which of them mirrored: decided by seed and step alone, so that any step can be
taken up again."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """`pixels` uint8 [B, S, S, 3] as they are; `targets` as in Dataset; `mirrored` bool [B]: seen mirrored in this
    epoch; `places` int64 [B] among the job's training rows, `rows` int64 [B] of its data."""

    pixels: Tensor
    targets: Tensor
    mirrored: Tensor
    places: Tensor
    rows: Tensor


class Batches:
    """`per_epoch` steps see every training image once (with even draws, every class as often)."""

    def __init__(self, job: Job, plan: Plan) -> None:
        self.per_epoch = max(1, len(job.train) // plan.batch)
        self._job, self._plan = job, plan
        self._first_side = np.random.default_rng((plan.seed, FIRST_SIDES)).permutation(len(job.train)) % 2
        self._next, self._coming = 0, self._from(0)

    def at(self, step: int) -> Batch:
        """What the step sees. Each image is mirrored in every other epoch, from a random first side: two epochs show
        both (Jordan 2024).

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

    def _from(self, step: int) -> Generator[Batch]:
        return in_order(self._read, self._places_from(step), threads=1, ahead=AHEAD)

    def _places_from(self, step: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Of each step on: its epoch, and which of the training rows it sees."""
        size = self._plan.batch
        epoch, first = divmod(step, self.per_epoch)
        while True:
            order = self.order(epoch)
            for index in range(first, self.per_epoch):
                yield epoch, order[index * size : (index + 1) * size]
            epoch, first = epoch + 1, 0

    def _read(self, step: tuple[int, NDArray[np.int64]]) -> Batch:
        job, (epoch, places) = self._job, step
        mirrored = (self._first_side[places] + epoch) % 2 == 1 if self._plan.flip else np.zeros(len(places), bool)
        rows = job.train[places]
        return Batch(
            pixels=torch.from_numpy(job.pixels[rows]),
            targets=torch.from_numpy(job.data.targets[rows]),
            mirrored=torch.from_numpy(mirrored),
            places=torch.from_numpy(places),
            rows=torch.from_numpy(rows),
        )

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Places in `job.train`, in the order in which an epoch's steps take them; what fills no step is left out."""
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
