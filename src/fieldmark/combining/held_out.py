"""Which images can judge a combination: those that no member learnt from, as far as the bundles tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fieldmark.bundle.schema import Manifest
from fieldmark.data.dataset import Dataset
from fieldmark.data.splits import split
from fieldmark.errors import DataError
from fieldmark.training.parts import as_when_made, parts_when_made

SPLIT_FIELDS = ("seed", "split", "folds")


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
    data = as_when_made(data, max(member.data.skipped for member in members))
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


def _checked(found: HeldOut) -> HeldOut:
    for part, purpose in (("validation", "fit them together by"), ("test", "test the whole")):
        if not (found.data.split == part).any():
            raise DataError(
                f"no image is left to {purpose}: each was learnt from by one bundle or another",
                where=f"{found.data.root} ({found.split})",
                do="train them on one split: give the data a test folder, or the same --seed, and --folds 0",
            )
    return found
