"""A bundle and labelled images in, an Evaluation out: through the decode path and the graph that will serve."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fieldmark.bundle.schema import Manifest
from fieldmark.data.dataset import SPLITS, UNKNOWN, Dataset
from fieldmark.data.listing import shown
from fieldmark.data.reading import read
from fieldmark.errors import DataError
from fieldmark.evaluation.evaluation import Evaluation
from fieldmark.evaluation.summarise import summarise
from fieldmark.inference.classifier import Classifier, load
from fieldmark.inference.prediction import Failure
from fieldmark.measures.outcomes import Floats
from fieldmark.progress import Progress, silent

Part = Literal["train", "validation", "test"]


def evaluate(
    classifier: Classifier | str | Path,
    data: Dataset | str | Path,
    *,
    part: Part | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Measure a bundle on a dataset, or on what `fieldmark.read` makes of a path.

    `part` names the split to measure; left out, it is the test part, or every image where the data has none (the
    notes say so). Classes are matched by name, whatever their order; classes of the bundle that the data lacks are
    `absent`. Images that cannot be read are `skipped`. DataError where no image is left to measure, where the data
    has classes that the bundle does not know (of several labels an image: none that it knows), or has several labels
    an image and the bundle one (or the reverse).
    """
    dataset = data if isinstance(data, Dataset) else read(data, progress=progress)
    model = classifier if isinstance(classifier, Classifier) else load(classifier)
    chosen, measured, notes = _choose(dataset, part)
    targets_by_name(chosen, model.bundle.manifest)  # what the bundle does not know is refused before any work
    return judge(model.bundle.manifest, chosen, *ask(model, chosen, progress), part=measured, notes=notes)


def judge(
    manifest: Manifest,
    chosen: Dataset,
    probabilities: Floats,
    failed: Mapping[int, Failure],
    *,
    part: Part,
    notes: tuple[str, ...] = (),
) -> Evaluation:
    """What `ask` brought from a bundle with this manifest, measured."""
    targets, unjudged = targets_by_name(chosen, manifest)
    return summarise(
        np.delete(targets, list(failed), axis=0),
        probabilities,
        task=manifest.task,
        classes=manifest.classes,
        thresholds=manifest.decision.thresholds,
        files=np.delete(chosen.files, list(failed)).tolist(),
        part=part,
        skipped=_skipped(chosen, failed),
        notes=(*chosen.notes, *notes, *unjudged),
    )


def _choose(dataset: Dataset, part: Part | None) -> tuple[Dataset, Part, tuple[str, ...]]:
    """The rows to measure, what they are called, and what should be said of the choice."""
    if part is None and not (dataset.split == "test").any():
        named = [name for name in SPLITS if (dataset.split == name).any()]
        warning = (
            f", its {' and '.join(named)} part too: what was trained on looks better than it is" if named else ""
        )
        return dataset, "test", (f"the data names no test part, so every image was measured{warning}",)
    wanted: Part = part or "test"
    chosen = dataset.part(wanted)
    if not len(chosen):
        has = [name for name in SPLITS if (dataset.split == name).any()]
        what = f"the data has no images in its {wanted} part"
        do = f"choose one of its parts: {', '.join(has)}" if has else "leave the part out, to measure every image"
        raise DataError(what, where=str(dataset.root), do=do)
    note = ("measured on images that the model may have learned from: no sign of how it does on others",)
    return chosen, wanted, note if wanted == "train" else ()


def targets_by_name(chosen: Dataset, manifest: Manifest) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The targets of `chosen` in the bundle's order of classes, and what should be said of them. DataError for
    classes that it does not know."""
    classes, task = manifest.classes, manifest.task
    if chosen.task != task:
        kinds = {"single": "one label an image", "multi": "several labels an image"}
        raise DataError(
            f"the data has {kinds[chosen.task]}, and the bundle answers with {kinds[task]}",
            where=str(chosen.root),
            do="measure it on data of its own kind (a manifest's column is `label` for one, `labels` for several)",
        )
    at = {name: index for index, name in enumerate(classes)}
    occurs = np.flatnonzero(chosen.counts)
    unknown = [chosen.classes[index] for index in occurs if chosen.classes[index] not in at]
    if unknown and (task == "single" or len(unknown) == len(occurs)):
        raise DataError(
            f"the bundle does not know these classes: {shown(unknown, 10)}",
            where=str(chosen.root),
            do=f"leave them out, or rename them to what the bundle knows: {shown(classes, 10)}",
        )
    index = np.array([at.get(name, -1) for name in chosen.classes], dtype=np.int64)
    if task == "single":
        return np.asarray(index[chosen.targets]), ()
    # Where an image was looked at for nothing but what it has, that holds for classes the data never names, too.
    glanced_at = (chosen.targets != 0).all(axis=1) & (chosen.targets == UNKNOWN).any(axis=1)
    targets = np.where(glanced_at, UNKNOWN, 0).astype(np.int8)[:, None].repeat(len(classes), axis=1)
    shared = index >= 0
    targets[:, index[shared]] = chosen.targets[:, shared]
    return targets, (f"not judged, since the bundle does not know them: {shown(unknown, 10)}",) if unknown else ()


def ask(model: Classifier, chosen: Dataset, progress: Progress) -> tuple[Floats, dict[int, Failure]]:
    """Probabilities of the images that could be read, and by row the failures of the others."""
    probabilities = np.empty((len(chosen), len(model.bundle.manifest.classes)))
    failed: dict[int, Failure] = {}
    for row, answer in enumerate(model.predict_many(chosen.path(row) for row in range(len(chosen)))):
        if isinstance(answer, Failure):
            failed[row] = answer
        else:
            probabilities[row - len(failed)] = answer.probabilities
        progress("evaluating", row + 1, len(chosen))
    return probabilities[: len(chosen) - len(failed)], failed


def _skipped(chosen: Dataset, failed: Mapping[int, Failure]) -> tuple[tuple[str, str], ...]:
    found = [(skip.file, skip.unreadable) for skip in chosen.skipped]
    found += [(str(chosen.files[row]), failure.unreadable) for row, failure in failed.items()]
    return tuple((file, f"{unreadable.reason}: {unreadable.detail}") for file, unreadable in found)
