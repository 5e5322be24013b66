"""Which part of the data each image was in when a bundle was made: its fingerprint proves it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fieldmark.bundle.schema import Manifest
from fieldmark.data.dataset import Dataset, Skipped
from fieldmark.data.fingerprint import fingerprint
from fieldmark.data.geometry import Geometry
from fieldmark.data.loading import load_many
from fieldmark.data.picture import Unreadable
from fieldmark.data.splits import parted_for_folds, split
from fieldmark.errors import DataError
from fieldmark.training.choosing import parse_shares

SMALLEST = Geometry(size_px=8)


def parts_when_made(manifest: Manifest, data: Dataset) -> NDArray[np.object_] | None:
    """The part of each row of `data` when the bundle was trained; None where it was not trained on these images,
    labels and parts, or does not say how it divided them."""
    recipe = manifest.recipe
    if "seed" not in recipe or "split" not in recipe:
        return None
    if recipe.get("folds"):
        # Out-of-fold heads judged the others, and the head that ships learnt from all of them.
        parted = parted_for_folds(data)
        return parted.split if fingerprint(parted) == manifest.data.fingerprint else None
    try:
        # Where a split was asked for and could be made, it is the one that is made unasked.
        again = split(data, parse_shares(recipe["split"]), seed=recipe["seed"], asked=False)
    except DataError:  # cannot be divided so: then it never was
        return None
    return again.split if fingerprint(again) == manifest.data.fingerprint else None


def as_when_made(data: Dataset, skipped: int) -> Dataset:
    """Training leaves out what only decoding shows to be broken; a bundle that left out more than were seen so far
    makes us look as well. Small, so that it is quick."""
    if skipped <= len(data.skipped):
        return data
    seen = load_many((data.path(row) for row in range(len(data))), SMALLEST)
    bad = {row: found for row, found in enumerate(seen) if isinstance(found, Unreadable)}
    kept = np.array([row for row in range(len(data)) if row not in bad], dtype=np.int64)
    more = tuple(Skipped(file=str(data.files[row]), unreadable=why) for row, why in bad.items())
    return replace(data.rows(kept), skipped=data.skipped + more)
