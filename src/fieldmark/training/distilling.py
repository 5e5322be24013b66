"""A teacher's answers to the training images, asked once, and what a student loses by answering otherwise.

Hinton, Vinyals and Dean 2015, Distilling the knowledge in a neural network. Beyer et al. 2022 show that a teacher who
sees the very view that the student sees teaches better; that costs the teacher's work at every step. Here it is asked
twice for each image, plain and mirrored, and its answer stands for every shift and crop of that side.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from fieldmark.bundle.checksums import sha256_of
from fieldmark.data.dataset import Task
from fieldmark.data.fingerprint import fingerprint
from fieldmark.data.loading import load_many
from fieldmark.data.picture import Pixels, Unreadable
from fieldmark.errors import DataError, OutputError, UsageError
from fieldmark.inference.classifier import Classifier, load
from fieldmark.inference.deciding import calibrated
from fieldmark.training.balances import BALANCES, log_prior
from fieldmark.training.job import Job
from fieldmark.training.plan import Plan
from fieldmark.training.probe import refuse_if_late
from fieldmark.training.teacher import open_teacher

ANSWERS, ORIGIN = "teacher.npy", "teacher.json"
BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    """`answers` float32 [2, N, C]: the teacher's calibrated logits for each row of the data, plain and mirrored; rows
    that are not trained on are nought. `share` of the loss is the student's distance from them at `temperature`."""

    answers: NDArray[np.float32]
    share: float
    temperature: float
    task: Task

    def mixed(self, losses: Tensor, logits: Tensor, rows: Tensor, mirrored: Tensor) -> Tensor:
        """`losses` float32 [B] of the labels and the distance from the teacher, in their shares; `logits` [B, C] are
        the student's for rows int64 [B] of the data, seen mirrored where bool [B] says so."""
        taught = torch.from_numpy(self.answers[mirrored.long().numpy(), rows.numpy()]).to(logits)
        return (1.0 - self.share) * losses + self.share * divergence(logits, taught, self.temperature, self.task)


def divergence(logits: Tensor, taught: Tensor, temperature: float, task: Task) -> Tensor:
    """float32 [B]: KL divergence in nats of the student's softened probabilities from the teacher's (several labels:
    mean over the labels), times temperature squared, by which its gradients stay as large as those of the labels."""
    ours, theirs = logits / temperature, taught / temperature
    if task == "single":
        apart = functional.kl_div(ours.log_softmax(1), theirs.log_softmax(1), reduction="none", log_target=True).sum(
            1
        )
    else:
        truth = theirs.sigmoid()
        surprise = functional.binary_cross_entropy_with_logits(ours, truth, reduction="none")
        apart = (surprise - functional.binary_cross_entropy_with_logits(theirs, truth, reduction="none")).mean(1)
    return apart * temperature**2


class _Origin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of which answers these are; written last, so that its presence says that they are whole."""

    schema: int = 1
    teacher_sha256: str
    fingerprint: str
    flip: bool


def taught(job: Job, plan: Plan) -> Taught | None:
    """What the plan's teacher says, from the run folder, or asked now and kept there; None without a teacher.

    UsageError where another teacher gave those that are there, or where the budget does not last.
    """
    if plan.teacher == "none":
        return None
    teacher = load(open_teacher(plan.teacher, job.data).path)
    answers = _kept(job, plan, teacher)
    return Taught(
        answers=_for_the_same_world(answers, teacher, job, plan),
        share=plan.teacher_share,
        temperature=plan.teacher_temperature,
        task=job.data.task,
    )


def _kept(job: Job, plan: Plan, teacher: Classifier) -> NDArray[np.float32]:
    folder = job.run_folder
    origin = _Origin(
        teacher_sha256=sha256_of(teacher.bundle.graph), fingerprint=fingerprint(job.data), flip=plan.flip
    )
    if (folder / ORIGIN).is_file():
        before = msgspec.json.decode((folder / ORIGIN).read_bytes(), type=_Origin)
        if before != origin:
            raise UsageError(
                "the teacher has changed since the run that you want to go on with",
                where=f"teacher = {plan.teacher}",
                do="put it back as it was, or leave out --resume to start anew",
            )
    else:
        _keep(folder, _ask(job, plan, teacher), origin)
    answers: NDArray[np.float32] = np.load(folder / ANSWERS, allow_pickle=False)
    return answers


def _keep(folder: Path, answers: NDArray[np.float32], origin: _Origin) -> None:
    draft = folder / f".{ORIGIN}"
    try:
        np.save(folder / ANSWERS, answers)
        draft.write_bytes(msgspec.json.encode(origin))
        draft.replace(folder / ORIGIN)
    except OSError as error:
        raise OutputError(
            f"the teacher's answers could not be written: {error}",
            where=str(folder / ANSWERS),
            do="free some space, then start again",
        ) from error


def _ask(job: Job, plan: Plan, teacher: Classifier) -> NDArray[np.float32]:
    manifest, begun = teacher.bundle.manifest, time.monotonic()
    order = [manifest.classes.index(name) for name in job.data.classes]
    answers = np.zeros((2, len(job.data), len(order)), dtype=np.float32)
    done = 0
    for rows, pixels in _batches(job, teacher):
        sides = (pixels, np.ascontiguousarray(pixels[:, :, ::-1])) if plan.flip else (pixels,)
        for side, seen in enumerate(sides):
            answers[side, rows] = calibrated(teacher.run(seen)[1], manifest.decision)[:, order]
        done += len(rows)
        job.progress("asking the teacher", done, len(job.train))
        refuse_if_late("asking the teacher", begun, done, len(job.train), job.deadline)
    return answers


def _batches(job: Job, teacher: Classifier) -> Iterator[tuple[list[int], Pixels]]:
    """Training rows and their pixels, by the teacher's own geometry."""
    rows = job.train.tolist()
    loaded = zip(rows, load_many((job.data.path(row) for row in rows), teacher.bundle.manifest.geometry))
    while batch := list(islice(loaded, BATCH)):
        yield [row for row, _ in batch], np.stack([_readable(pixels, job.data.path(row)) for row, pixels in batch])


def _readable(pixels: Pixels | Unreadable, path: Path) -> Pixels:
    if isinstance(pixels, Unreadable):
        raise DataError(
            f"an image that was read before cannot be read any more: {pixels.detail}",
            where=str(path),
            do="put it back as it was, and start again",
        )
    return pixels


def _for_the_same_world(
    answers: NDArray[np.float32], teacher: Classifier, job: Job, plan: Plan
) -> NDArray[np.float32]:
    """By Bayes' rule the teacher answers for classes as common as those that the plan's balance trains for."""
    theirs, ours = teacher.bundle.manifest.recipe.get("prior", "data"), BALANCES[plan.balance].prior
    if theirs == ours or job.data.task == "multi":
        return answers
    return (answers + log_prior(job.counts) * (1 if ours == "data" else -1)).astype(np.float32)
