"""The bundle that a network learns from: looked at before any work, and what a plan holds because of it."""

from __future__ import annotations

from fieldmark.bundle.reading import Bundle, open_bundle
from fieldmark.data.dataset import Dataset
from fieldmark.data.listing import shown
from fieldmark.errors import UsageError

# Of the loss, and of the answers: T = 4 with nine tenths for the teacher, as most comparisons since Hinton's have it.
SHARE, TEMPERATURE = 0.9, 4.0


def open_teacher(path: str, data: Dataset) -> Bundle:
    """The bundle at `path`, if it answers the question that `data` asks: the same classes by name, in any order.

    BundleError where there is no whole bundle, UsageError where it knows other classes or gives other answers.
    """
    teacher = open_bundle(path)
    if teacher.manifest.task != data.task:
        kinds = {"single": "one label an image", "multi": "several labels an image"}
        raise UsageError(
            f"the teacher gives {kinds[teacher.manifest.task]}, and the data has {kinds[data.task]}",
            where=f"teacher = {path}",
            do="choose a teacher that was trained on data of this kind",
        )
    if lone := sorted(set(teacher.manifest.classes) ^ set(data.classes)):
        raise UsageError(
            f"the teacher and the data know different classes; only one of them has {shown(lone, 10)}",
            where=f"teacher = {path}",
            do="choose a teacher that knows the classes of this data, no more and no fewer",
        )
    return teacher


def teaching(teacher: str, choices: list[str]) -> tuple[float, float]:
    """The plan's share and temperature; a line for them is added to `choices` where there is a teacher."""
    if teacher == "none":
        return 0.0, 1.0
    choices.append(
        f"teacher share = {SHARE:g}, temperature = {TEMPERATURE:g}: usual for distillation (Hinton et al. 2015; Tian "
        "et al. 2020); asked once for each image and once for its mirror image"
    )
    return SHARE, TEMPERATURE
