"""What training does with images whose label looks wrong, and the list of them for a person to go through."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from fieldmark.bundle.layout import name_of
from fieldmark.data.listing import shown
from fieldmark.data.writing import writing_whole
from fieldmark.errors import DataError
from fieldmark.measures.label_noise import Suspects
from fieldmark.training.job import Job

HEADER = ("file", "label", "suggested", "probability_right", "out_of_fold_probability")


def dealt_with(job: Job) -> Job:
    """The job with its suspects kept, weighed down or dropped, and a note that says which and how many."""
    suspects = job.suspects
    if suspects is None:
        return job
    done, what = DEAL[job.recipe.suspects](job, suspects)
    note = f"{len(suspects.row):,} of {len(job.train):,} training images have a label that looks wrong: {what}"
    return replace(done, data=replace(done.data, notes=(*done.data.notes, note)))


def write_suspects(job: Job, out: Path) -> None:
    """The list as CSV, most doubtful first: file, label, the one that fits better, the probability that the label is
    right (given image, label and noise), and what the probe gave the label. OutputError; whole or not there."""
    suspects = job.suspects
    if suspects is None:
        return
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(HEADER)
    names = job.data.classes
    for row, label, suggested, right, own in zip(
        suspects.row, suspects.label, suspects.suggested, suspects.right, suspects.out_of_fold
    ):
        writer.writerow([job.data.files[row], names[label], names[suggested], f"{right:.4f}", f"{own:.4f}"])
    with writing_whole(out) as stream:
        stream.write(text.getvalue().encode(errors="surrogateescape"))


def beside(bundle: Path) -> Path:
    """Where the list of a bundle lies: photos.suspects.csv beside photos.fieldmark."""
    return bundle.with_name(f"{name_of(bundle)}.suspects.csv")


def _keep(job: Job, _suspects: Suspects) -> tuple[Job, str]:
    return job, "kept, as they are (--suspects keep)"


def _weigh_down(job: Job, suspects: Suspects) -> tuple[Job, str]:
    trust = np.ones(len(job.data), dtype=np.float32)
    trust[suspects.row] = suspects.right
    what = f"each counts as much as its label is probably right, together as {suspects.right.sum():,.0f} images"
    return replace(job, trust=trust[job.train]), f"{what} (--suspects down-weight)"


def _drop(job: Job, suspects: Suspects) -> tuple[Job, str]:
    left = replace(job, train=job.train[~np.isin(job.train, suspects.row)])
    emptied = [job.data.classes[label] for label in np.flatnonzero((job.counts > 0) & (left.counts == 0))]
    if emptied:
        raise DataError(
            f"without the suspects no training image is left of {shown(emptied)}",
            where="suspects = drop",
            do="use --suspects down-weight, or correct the labels of that class",
        )
    return left, "dropped from training (--suspects drop)"


DEAL: dict[str, Callable[[Job, Suspects], tuple[Job, str]]] = {
    "keep": _keep,
    "down-weight": _weigh_down,
    "drop": _drop,
}
