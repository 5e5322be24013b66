"""Which images can judge a combination: those that no member learnt from, as far as the bundles tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

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

SPLIT_FIELDS = ("seed", "split", "folds")
SMALLEST = Geometry(size_px=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """`data` with each row's part: "test" where it was a test image to every member, "validation" where none learnt
    from it, "train" elsewhere. `split` says so in words, `settings` are those of a recipe that would divide so;
    empty where none would."""

    data: Dataset
    split: str
    settings: dict[str, Any]
    notes: tuple[str, ...]


def held_out(data: Dataset, members: Sequence[Manifest]) -> HeldOut:
    """Divide `data` as each member's own training did, which its fingerprint proves, and keep what none learnt from.

    A member that was made of other data, or in a way that cannot be repeated, is named in `notes`; where all are,
    the parts that the data names are kept, and others are drawn. DataError where no image is left to fit or to test.
    """
    data = _without_unreadable(data, max(member.data.skipped for member in members))
    made = [parts_when_made(member, data) for member in members]
    known = [parts for parts in made if parts is not None]
    notes = tuple(
        f"{member.name} was not made of this data as it is here: whether it learnt from these very images cannot be "
        "known; if it did, the figures flatter"
        for member, parts in zip(members, made)
        if parts is None
    )
    if not known:
        drawn = split(data, seed=0, asked=False)
        return _checked(HeldOut(data=drawn, split="drawn for this combination", settings={}, notes=notes))
    part = np.full(len(data), "validation", dtype=object)
    part[np.all([parts == "test" for parts in known], axis=0)] = "test"
    part[np.any([parts == "train" for parts in known], axis=0)] = "train"
    alike = all((parts == known[0]).all() for parts in known)
    first = next(member for member, parts in zip(members, made) if parts is not None)
    settings = {name: first.recipe[name] for name in SPLIT_FIELDS if name in first.recipe}
    return _checked(
        HeldOut(
            data=replace(data, split=part),
            split=first.data.split if alike else "what every member kept apart, of splits of their own",
            settings=settings if alike else {},
            notes=notes,
        )
    )


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


def _checked(found: HeldOut) -> HeldOut:
    for part, purpose in (("validation", "fit them together by"), ("test", "test the whole")):
        if not (found.data.split == part).any():
            raise DataError(
                f"no image is left to {purpose}: each was learnt from by one bundle or another",
                where=f"{found.data.root} ({found.split})",
                do="train them on one split: give the data a test folder, or the same --seed, and --folds 0",
            )
    return found


def _without_unreadable(data: Dataset, skipped: int) -> Dataset:
    """Training leaves out what only decoding shows to be broken; a bundle that left out more than were seen so far
    makes us look as well. Small, so that it is quick."""
    if skipped <= len(data.skipped):
        return data
    seen = load_many((data.path(row) for row in range(len(data))), SMALLEST)
    bad = {row: found for row, found in enumerate(seen) if isinstance(found, Unreadable)}
    kept = np.array([row for row in range(len(data)) if row not in bad], dtype=np.int64)
    more = tuple(Skipped(file=str(data.files[row]), unreadable=why) for row, why in bad.items())
    return replace(data.rows(kept), skipped=data.skipped + more)
