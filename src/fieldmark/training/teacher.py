"""The bundle that a network learns from, looked at before any work."""

from __future__ import annotations

from fieldmark.bundle.reading import Bundle, open_bundle
from fieldmark.data.dataset import Dataset
from fieldmark.data.listing import shown
from fieldmark.errors import UsageError


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
