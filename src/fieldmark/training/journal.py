"""What an interrupted choice among models already knows: each candidate's answers in each round, on disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from fieldmark.data.writing import writing_folder
from fieldmark.training.weighing import Weight

ENTRY, ANSWERS, COURSE = "entry.json", "probabilities.npy", "course.json"


class Course(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must not change when a run goes on: how many validation images all answer, and the number of rounds."""

    images: int
    rounds: int


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One candidate in one round. `images`: validation images that it answered for."""

    name: str
    round: int
    images: int
    seconds: float
    complete: bool
    weight: Weight


def settled(folder: Path, course: Course) -> Course:
    """What the run that was cut off had settled, or this, which is then written down."""
    file = folder / COURSE
    if file.is_file():
        return msgspec.json.decode(file.read_bytes(), type=Course)
    folder.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.encode(course))
    return course


def write(folder: Path, entry: Entry, probabilities: NDArray[np.float64]) -> None:
    """Whole or not at all. OutputError where the disk will not take it."""
    final = _place(folder, entry.name, entry.round)
    with writing_folder(final, what="what was found out", do="free some space, then continue with --resume") as draft:
        np.save(draft / ANSWERS, probabilities)
        (draft / ENTRY).write_bytes(msgspec.json.encode(entry))


def read(folder: Path, name: str, round_: int, images: int) -> tuple[Entry, NDArray[np.float64]] | None:
    """What was written for this candidate and round about so many images; None where nothing whole was."""
    place = _place(folder, name, round_)
    try:
        entry = msgspec.json.decode((place / ENTRY).read_bytes(), type=Entry)
        probabilities = np.load(place / ANSWERS, allow_pickle=False)
    except (OSError, ValueError, msgspec.MsgspecError):
        return None
    return (entry, probabilities) if entry.images == images == len(probabilities) else None


def slug(name: str) -> str:
    """A candidate's name as a file's; two names never give one."""
    plain = "".join(c if (c.isascii() and c.isalnum()) or c in "-+" else "-" for c in name)
    return (
        plain
        if plain == name and len(name) <= 60
        else f"{plain[:60]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    )


def _place(folder: Path, name: str, round_: int) -> Path:
    # "checkpoint" is what tells that a run's folder is worth keeping when the run is cut off.
    return folder / f"checkpoint-{slug(name)}-{round_}"
