"""Proof that the exported graph answers as the network does, on real images, before anything is shipped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fieldmark.bundle.schema import Decision, Parity
from fieldmark.data.dataset import Task
from fieldmark.data.picture import Pixels
from fieldmark.errors import BundleError, ParityError
from fieldmark.exporters.agreeing import answers, margins
from fieldmark.exporters.frozen import frozen_copy
from fieldmark.inference.deciding import probabilities
from fieldmark.inference.runner import open_graph

# Two float32 programs of one network differ by about 1e-6 in a probability, and by 1e-5 in deep ones: an image whose
# two best classes (multi: a label and its threshold) are closer than this may fall either way and proves nothing.
TIE = 1e-4
# Half of the images may differ by at most this share of the spread of embedding or logits. It catches a wrong graph
# that happens to name the same classes. Half, because a head that counts neighbours or walks a tree may jump on a
# single image for a difference in the last bit.
TYPICAL_GAP = 0.01
_BATCH = 32
Outputs = tuple[NDArray[np.float32], NDArray[np.float32]]


def compare(network: nn.Module, graph_path: Path, pixels: Pixels, *, task: Task = "single") -> Parity:
    """The graph at `graph_path`, run as it will be served, beside `network` on `pixels` uint8 [N, S, S, 3].

    Raises ParityError where an answer differs (but for ties), where embedding or logits typically differ by more
    than 1 % of their spread, where either side gives NaN or infinity, or where there is no image to compare.
    """
    return agreement(_both(network, graph_path, pixels), graph_path, task)


def agreement(pairs: Iterable[tuple[Outputs, Outputs]], graph_path: Path, task: Task) -> Parity:
    """As `compare`, of batches of (embedding, logits) by what the graph was made from, and by the graph."""
    unfitted = Decision()
    gaps, same, tied, typical = [], [], [], []
    for ours, theirs in pairs:
        if not all(np.isfinite(array).all() for array in (*ours, *theirs)):
            raise _refusal("one of them answers with something that is not a number", graph_path)
        said, served = (probabilities(logits, unfitted, task) for _, logits in (ours, theirs))
        gaps.append(np.abs(said - served).max(axis=1))
        same.append((answers(said, task, unfitted) == answers(served, task, unfitted)).all(axis=1))
        tied.append((margins(said, task, unfitted) <= TIE).any(axis=1))
        typical.append(np.maximum(*(_relative_gap(a, b) for a, b in zip(ours, theirs))))
    if not gaps:
        raise _refusal("there is no image to compare them on", graph_path)
    gap, agrees, tie = np.concatenate(gaps), np.concatenate(same), np.concatenate(tied)
    if (disagrees := ~agrees & ~tie).any():
        worst = int(np.where(disagrees, gap, -1.0).argmax())
        found = f"{disagrees.sum()} of {len(gap)} images get another answer; the worst is image {worst}"
        raise _refusal(f"{found}, where a probability differs by {gap[worst]:.3g}", graph_path)
    if (half := float(np.median(np.concatenate(typical)))) > TYPICAL_GAP:
        found = f"outputs typically differ by {half:.1%} of their spread; the worst is image {int(gap.argmax())}"
        raise _refusal(f"{found}, where a probability differs by {gap.max():.3g}", graph_path)
    return Parity(n=len(gap), agreement=1.0, ties=int(tie.sum()), largest_gap=float(gap.max()))


def _both(network: nn.Module, graph_path: Path, pixels: Pixels) -> Iterator[tuple[Outputs, Outputs]]:
    frozen = frozen_copy(network)
    try:
        runner = open_graph(graph_path)
        for start in range(0, len(pixels), _BATCH):
            batch = np.array(pixels[start : start + _BATCH])
            with torch.inference_mode():
                embedding, logits = frozen(torch.from_numpy(batch))
            yield (embedding.numpy(), logits.numpy()), runner.run(batch)
    except BundleError as error:
        raise _refusal(error.what, graph_path) from error


def _relative_gap(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 [N]: the largest difference in each row, as a share of the standard deviation of all."""
    spread = max(float(ours.std()), float(np.finfo(np.float32).tiny))
    gap: NDArray[np.float32] = np.abs(ours - theirs).max(axis=1) / spread
    return gap


def _refusal(what: str, graph_path: Path) -> ParityError:
    return ParityError(
        f"the exported graph does not answer as what it was made from: {what}",
        where=str(graph_path),
        do="nothing was written; this is a fault of Fieldmark, please report it with the command that you gave",
    )
