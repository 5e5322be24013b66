"""Probe: embed every image once with a fixed encoder, then fit a head on the embeddings (minutes, not hours).

With folds, each image is judged by a head that never saw it or its group; the pooled answers are what the report
shows, and the head that ships is then fitted on all images (Stone 1974, cross-validatory choice and assessment).
"""

from __future__ import annotations

import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fieldmark.data.groups import group_ids
from fieldmark.encoders.encoder import Encoder
from fieldmark.encoders.weights import load_weights
from fieldmark.errors import OutOfTime
from fieldmark.heads.choosing import logits_of
from fieldmark.heads.row import HEADS, FittedHead, Labelled
from fieldmark.progress import Progress
from fieldmark.training.adjusting import Adjusted, shift_to_even
from fieldmark.training.job import Job, Learned, Rows
from fieldmark.training.network import Network, as_input
from fieldmark.training.pixels import PixelSource, in_batches
from fieldmark.training.worlds import choose_world, told

EMBED_BATCH = 64
LEARN_FROM = 5_000  # images from which an encoder learns what it learns without labels


def learn_by_probe(job: Job) -> Learned:
    """Embed, fit the head, with folds judge every training row out of fold, and move the head to the world that is to
    be answered for."""
    encoder = job.choice.row.build(job.choice.geometry.size_px)
    weights = load_weights(encoder, job.choice.row.weights, job.recipe.weights)
    learn_without_labels(encoder, job)
    embedding = np.zeros((len(job.data), encoder.embedding_size), dtype=np.float32)
    embedding[job.train] = embed(encoder, job.pixels, job.train, deadline=job.deadline, progress=job.progress)
    out_of_fold = None if job.fold is None else _judge_out_of_fold(job, embedding, job.fold)
    job.progress("fitting the head", 0, 1)
    head = _fit(job, job.choice.head, embedding, job.train)
    job.progress("fitting the head", 1, 1)
    choices = list(head.choices)
    balance, prior = choose_world(job, choices)
    module = head.module
    if prior == "even":
        shift = _shift_to_even(job, encoder, module, out_of_fold)
        module = Adjusted(module, shift)
        out_of_fold = None if out_of_fold is None else (out_of_fold + shift).astype(np.float32)
    return Learned(
        network=Network(encoder, module),
        weights=weights,
        settings={"head_settings": head.settings or {}, "balance": balance, "prior": prior},
        reasons=tuple(choices),
        notes=told(job, prior),
        prior=prior,
        out_of_fold=out_of_fold,
    )


def _shift_to_even(
    job: Job, encoder: Encoder, head: nn.Module, out_of_fold: NDArray[np.float32] | None
) -> NDArray[np.float64]:
    """[C], to add to the head's logits: by images that it did not learn from."""
    if job.fold is not None and out_of_fold is not None:
        logits = out_of_fold[job.fold >= 0]
    else:
        seen = embed(encoder, job.pixels, job.judged, deadline=job.deadline, progress=job.progress)
        logits = logits_of(head, seen).astype(np.float32)
    return shift_to_even(job.counts, logits, job.data.targets[job.judged])


def learn_without_labels(encoder: Encoder, job: Job) -> None:
    """Show the encoder up to LEARN_FROM training images, drawn by the seed."""
    some = np.random.default_rng(job.recipe.seed).permutation(job.train)[:LEARN_FROM]
    encoder.learn(job.pixels[np.sort(some)], job.recipe.seed)


def embed(
    encoder: Encoder, pixels: PixelSource, rows: Rows, *, deadline: float | None, progress: Progress
) -> NDArray[np.float32]:
    """The chosen rows of uint8 [N, S, S, 3] -> float32 [len(rows), D].

    Raises OutOfTime as soon as `deadline` (time.monotonic) is out of reach.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder = encoder.to(device).eval()
    out = np.empty((len(rows), encoder.embedding_size), dtype=np.float32)
    begun, done = time.monotonic(), 0
    with torch.inference_mode():
        for _, some in in_batches(pixels, rows, EMBED_BATCH):
            embedding = encoder(as_input(torch.from_numpy(some).to(device)))
            out[done : done + len(some)] = embedding.float().cpu().numpy()
            done += len(some)
            progress("embedding", done, len(rows))
            refuse_if_late("embedding the images", begun, done, len(rows), deadline)
    encoder.to("cpu")
    return out


def refuse_if_late(what: str, begun: float, done: int, total: int, deadline: float | None) -> None:
    """UsageError as soon as the speed so far says that `what` will not be over by `deadline` (time.monotonic)."""
    if deadline is None or done < min(total, 4 * EMBED_BATCH):
        return
    now = time.monotonic()
    need_s = (now - begun) / done * (total - done)
    if now + need_s > deadline:
        left_s = deadline - now
        raise OutOfTime(
            f"{what} needs {need_s:.0f} s more, and the budget leaves {left_s:.0f} s"
            if left_s > 0
            else f"the time budget was used up before {what} was done, with what testing and writing need",
            where="budget",
            do="allow more time, choose a smaller --size, or a cheaper encoder such as --model hog+colour",
        )


def fit_head(job: Job, encoder: Encoder, name: str) -> FittedHead:
    """The head of this name, fitted on the encoder's embedding of the training rows."""
    embedding = np.zeros((len(job.data), encoder.embedding_size), dtype=np.float32)
    embedding[job.train] = embed(encoder, job.pixels, job.train, deadline=job.deadline, progress=job.progress)
    return _fit(job, name, embedding, job.train)


def _fit(job: Job, name: str, embedding: NDArray[np.float32], rows: Rows) -> FittedHead:
    return HEADS[name].fit(
        Labelled(
            embedding=embedding[rows],
            targets=job.data.targets[rows],
            group=group_ids(job.data)[rows],
            classes=len(job.data.classes),
            task=job.data.task,
        ),
        seed=job.recipe.seed,
    )


def _judge_out_of_fold(job: Job, embedding: NDArray[np.float32], fold: Rows) -> NDArray[np.float32]:
    # The head's own settings are chosen anew inside each fold, so that no image had a say in its own judge.
    logits = np.zeros((len(job.train), len(job.data.classes)), dtype=np.float32)
    names = np.unique(fold[fold >= 0])
    for done, name in enumerate(names, start=1):
        module = _fit(job, job.choice.head, embedding, job.train[fold != name]).module.eval()
        with torch.inference_mode():
            logits[fold == name] = module(torch.from_numpy(embedding[job.train[fold == name]])).numpy()
        job.progress("judging out of fold", done, len(names))
    return logits
