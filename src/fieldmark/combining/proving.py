"""Proof that the one graph answers as its members do apart, put together in numpy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldmark.bundle.schema import Parity
from fieldmark.combining.listening import Voice
from fieldmark.combining.row import Rule
from fieldmark.data.dataset import Task
from fieldmark.data.picture import Pixels
from fieldmark.errors import BundleError, ParityError
from fieldmark.exporters.parity import Outputs, agreement
from fieldmark.inference.runner import Runner, open_graph
from fieldmark.measures.outcomes import Floats

BATCH = 32
# Beyond these, float64 tells a probability no more from nought (or, of several labels, from one).
FURTHEST: dict[Task, float] = {"single": 600.0, "multi": 30.0}


def prove(graph: Path, voices: Sequence[Voice], rule: Rule, pixels: Pixels, task: Task) -> Parity:
    """The graph beside its members on `pixels` uint8 [N, side, side, 3]. Images on a cascade's threshold, which may
    go either way, are left out. ParityError as for any exported graph."""
    try:
        return agreement(_both(open_graph(graph), voices, rule, pixels, task), graph, task)
    except BundleError as error:
        raise ParityError(
            f"the combined graph cannot be run: {error.what}",
            where=str(graph),
            do="nothing was written; this is a fault of Fieldmark, please report it with the command that you gave",
        ) from error


def as_logits(said: Floats, task: Task) -> Floats:
    """Logits whose softmax (several labels: sigmoid) is `said` float64 [N, C], within what float64 can tell."""
    with np.errstate(divide="ignore"):
        logits = np.log(said) if task == "single" else np.log(said) - np.log1p(-said)
    return bounded(logits, task)


def bounded(logits: NDArray[np.floating[Any]], task: Task) -> Floats:
    return np.clip(np.asarray(logits, np.float64), -FURTHEST[task], FURTHEST[task])


def _both(
    runner: Runner, voices: Sequence[Voice], rule: Rule, pixels: Pixels, task: Task
) -> Iterator[tuple[Outputs, Outputs]]:
    for start in range(0, len(pixels), BATCH):
        batch = pixels[start : start + BATCH]
        embeddings, answers = zip(*(voice.says(batch) for voice in voices))
        said = np.stack(answers)
        settled = rule.settled(said)
        embedding, logits = runner.run(batch)
        ours = rule.embedding(embeddings), as_logits(rule.probabilities(said), task).astype(np.float32)
        theirs = embedding, bounded(logits, task).astype(np.float32)
        if settled.any():
            yield (ours[0][settled], ours[1][settled]), (theirs[0][settled], theirs[1][settled])
