"""A few training images and what the network was given of them: the training loop's own views, for the report."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fieldmark.data.picture import Pixels
from fieldmark.report.sheet import Sheet, View
from fieldmark.report.thumbnails import webp
from fieldmark.training.augment import augment
from fieldmark.training.augmentations import rows_of
from fieldmark.training.batches import Batches
from fieldmark.training.determinism import deterministic, seed_of
from fieldmark.training.job import Job, Rows
from fieldmark.training.losses import softened
from fieldmark.training.plan import Plan

IMAGES, VIEWS = 6, 6
LOOKED_THROUGH = 4 * VIEWS  # epochs; an image is in nearly each, but for those at an epoch's ragged end


def contact_sheet(job: Job, plan: Plan) -> Sheet | None:
    """Up to six training images, each as it was given the first six times, pixel for pixel what the loop makes (where
    a run is shorter, what would have followed). None where the plan leaves images as they are."""
    made = rows_of(plan.augment)
    if not made:
        return None
    shown = _spread(job)
    with deterministic(plan.threads):  # as in the loop: a mean may depend on the number of threads, by its last bit
        views = _views(job, plan, shown)
    rows = tuple(
        (str(job.data.files[row]), _plain(job, row), tuple(views[row]))
        for row in job.train[shown].tolist()
        if views[row]
    )
    return Sheet(rows=rows, made_by=tuple((row.name, row.summary) for row in made))


def _spread(job: Job) -> Rows:
    """Places in `job.train` of images that are as different in their labels as can be."""
    targets = job.data.targets[job.train]
    kinds = np.unique(targets, axis=0, return_index=True)[1]
    chosen = np.sort(kinds)[:IMAGES]
    others = np.setdiff1d(np.arange(len(targets)), chosen)[: IMAGES - len(chosen)]
    return np.concatenate([chosen, others])


def _views(job: Job, plan: Plan, shown: Rows) -> dict[int, list[View]]:
    views: dict[int, list[View]] = {row: [] for row in job.train[shown].tolist()}
    batches = Batches(job, plan)
    for epoch in range(LOOKED_THROUGH):
        order = batches.order(epoch)[: batches.per_epoch * plan.batch]
        for place in np.flatnonzero(np.isin(order, shown)).tolist():
            seen = views[int(job.train[order[place]])]
            if len(seen) < VIEWS:
                step, within = divmod(place, plan.batch)
                seen.append(_view(job, plan, batches, epoch * batches.per_epoch + step, within))
        if all(len(seen) == VIEWS for seen in views.values()):
            break
    return views


def _view(job: Job, plan: Plan, batches: Batches, step: int, place: int) -> View:
    pixels, targets, mirrored = batches.at(step)
    generator = torch.Generator().manual_seed(seed_of(plan.seed, step))
    views, mix = augment(pixels, mirrored, plan, generator)
    truth = softened(targets, len(job.data.classes), job.data.task, 0.0)
    return _shown(job, views[place].numpy(), (mix.of(truth) if mix else truth)[place])


def _plain(job: Job, row: int) -> View:
    target = torch.from_numpy(job.data.targets[[row]])
    return _shown(job, job.pixels[row], softened(target, len(job.data.classes), job.data.task, 0.0)[0])


def _shown(job: Job, pixels: Pixels, truth: Tensor) -> View:
    shares = sorted(zip(job.data.classes, truth.tolist()), key=lambda each: -each[1])
    return View(picture=webp(pixels), target=tuple(each for each in shares if each[1] > 0.0))
