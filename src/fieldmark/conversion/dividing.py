"""Which images a form is made by, and which prove it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fieldmark.bundle.schema import Manifest
from fieldmark.data.dataset import Dataset
from fieldmark.data.loading import load_readable
from fieldmark.data.picture import Pixels
from fieldmark.data.splits import split
from fieldmark.errors import DataError
from fieldmark.training.parts import as_when_made, parts_when_made

CALIBRATION, HELD_BACK = 256, 256  # images; Jacob et al. and onnxruntime's guide ask for 100 to 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """Pixels uint8 [N, S, S, 3] of training images, `calibration`, and of validation images, `held_back` (training
    images, too, where there are none); `fitting` the validation images, by which a decision is fitted anew; `proving`
    those that prove, called `named`."""

    calibration: Pixels
    held_back: Pixels
    fitting: Dataset
    proving: Dataset
    named: str
    notes: tuple[str, ...]


def divide(data: Dataset, manifest: Manifest) -> Division:
    """Of the parts that `data` had when the bundle was made, where it is that data; else of parts drawn now.

    DataError where there is no image to set ranges by, or to prove it on.
    """
    data = as_when_made(data, manifest.data.skipped)
    part = parts_when_made(manifest, data)
    notes: tuple[str, ...] = ()
    if part is None:
        part = split(data, seed=0, asked=False).split
        notes = ("the bundle was not made of this data as it is here: which images it learnt from cannot be known",)
    parted = replace(data, split=part)
    proving, named = next(
        ((parted.part(each), f"the {each} images") for each in ("test", "validation") if (part == each).any()),
        (parted, "the training images, for want of others"),
    )
    train, fitting = parted.part("train"), parted.part("validation")
    drawn = _evenly(train, CALIBRATION + HELD_BACK)
    # What sets ranges must not judge them; and of images that it learnt from, a network is surer than of others.
    calibration = _pixels(train, drawn[:CALIBRATION] if len(fitting) else drawn[::2], manifest)
    held_back = (
        _pixels(fitting, _evenly(fitting, HELD_BACK), manifest)
        if len(fitting)
        else _pixels(train, drawn[1::2], manifest)
    )
    return Division(
        calibration=calibration,
        held_back=held_back,
        fitting=fitting,
        proving=proving,
        named=named,
        notes=notes,
    )


def _evenly(data: Dataset, most: int) -> NDArray[np.int64]:
    """Up to `most` rows, in an order in which the classes take turns."""
    first = data.targets if data.task == "single" else (data.targets == 1).argmax(axis=1)
    order = np.random.default_rng(0).permutation(len(data))
    turn = np.empty(len(data), dtype=np.int64)
    for label in np.unique(first):
        own = order[first[order] == label]
        turn[own] = np.arange(len(own))
    return order[np.lexsort((first[order], turn[order]))][:most]


def _pixels(data: Dataset, rows: NDArray[np.int64], manifest: Manifest) -> Pixels:
    pixels, _ = load_readable((data.path(int(row)) for row in rows), manifest.geometry)
    if not len(pixels):
        raise DataError(
            "there are too few training images to set the ranges of numbers by",
            where=str(data.root),
            do="give the images that the bundle was trained on",
        )
    return pixels
