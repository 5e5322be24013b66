"""`--noisy yes`: before training, the training labels are judged by a probe that did not learn from them.

Validation and test images are neither judged nor changed: figures are of the labels as they are.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fieldmark.bundle.schema import Decision
from fieldmark.data.groups import group_ids
from fieldmark.data.writing import writing_whole
from fieldmark.encoders.building import encoder_row
from fieldmark.encoders.encoder import Encoder
from fieldmark.encoders.weights import load_weights
from fieldmark.heads.choosing import inner_folds, logits_of
from fieldmark.heads.learnable import rows as rows_of
from fieldmark.heads.row import HEADS, Labelled
from fieldmark.inference.deciding import probabilities as probabilities_of
from fieldmark.measures.label_noise import LabelNoise, find_label_noise
from fieldmark.training.choosing import pretrained
from fieldmark.training.job import Job
from fieldmark.training.probe import embed, learn_without_labels
from fieldmark.training.remedies import in_words
from fieldmark.training.suspects import dealt_with

FOLDS = 5
CHEAP = "hog+colour"  # sees something in any image, without weights
JUDGED = "out-of-fold.npy"  # in the run folder: a run that goes on must doubt the same labels


def doubt(job: Job) -> Job:
    """The job with the noise of its training labels estimated, its suspects found, and these kept, weighed down or
    dropped as the recipe says, all of it in its notes. DataError where dropping would empty a class."""
    encoder, probe = _probe(job)
    probabilities = _kept(job.run_folder / JUDGED) if job.resume else None
    if probabilities is None:
        probabilities = judge_out_of_fold(job, encoder)
        with writing_whole(job.run_folder / JUDGED) as stream:
            np.save(stream, probabilities, allow_pickle=False)
    judged = np.flatnonzero(np.isfinite(probabilities).all(axis=1))
    targets = job.data.targets[job.train[judged]]
    found = find_label_noise(targets, probabilities[judged], job.data.classes)
    notes = (*job.data.notes, _said(found.noise, len(judged), probe))
    suspects = replace(found.suspects, row=job.train[judged[found.suspects.row]])
    data = replace(job.data, notes=notes)
    return dealt_with(replace(job, data=data, noise=found.noise, mixed=found.mixed, suspects=suspects))


def judge_out_of_fold(job: Job, encoder: Encoder) -> NDArray[np.float32]:
    """Probabilities [len(train), C] of each training row, by a logistic head that learnt from no row of its group.
    A row whose class is in no other fold is NaN: no head could know it."""
    learn_without_labels(encoder, job)
    whole = Labelled(
        embedding=embed(encoder, job.pixels, job.train, deadline=job.deadline, progress=job.progress),
        targets=job.data.targets[job.train],
        group=group_ids(job.data)[job.train],
        classes=len(job.data.classes),
        task="single",
    )
    fold = inner_folds(whole, FOLDS, job.recipe.seed)
    probabilities = np.full((len(job.train), whole.classes), np.nan, dtype=np.float32)
    fit, settings = HEADS["logistic"].fit, None
    for number in range(int(fold.max()) + 1 if fold.max() else 0):
        others = rows_of(whole, fold != number)
        head = fit(others, seed=job.recipe.seed, settings=settings)
        settings = head.settings  # one fold's choice serves all: it moves the probabilities little
        asked = np.flatnonzero((fold == number) & np.isin(whole.targets, others.targets))
        logits = logits_of(head.module, whole.embedding[asked])
        probabilities[asked] = probabilities_of(logits, Decision(), "single")
        job.progress("looking for wrong labels", number + 1, int(fold.max()) + 1)
    return probabilities


def _probe(job: Job) -> tuple[Encoder, str]:
    """The job's own encoder where it can see already, and what it is called; else the cheap one."""
    row, size_px = job.choice.row, job.choice.geometry.size_px
    if not row.trainable or pretrained(job.recipe, row):
        encoder = row.build(size_px)
        load_weights(encoder, row.weights, job.recipe.weights)
        return encoder, job.choice.model
    return encoder_row(CHEAP).build(size_px), CHEAP


def _kept(file: Path) -> NDArray[np.float32] | None:
    return np.load(file, allow_pickle=False) if file.is_file() else None


def _said(noise: LabelNoise, judged: int, probe: str) -> str:
    return (
        f"label noise: {in_words(noise)}, by {probe} on {judged:,} training images in {FOLDS} folds. The "
        "interval is of chance alone: what this probe gets wrong itself can put the truth some points outside it; "
        f"{noise.joint_rate:.1%} if all that this probe cannot tell were noise (confident joint). Validation and "
        "test labels were not touched: where they are as wrong, figures are lower than the truth"
    )
