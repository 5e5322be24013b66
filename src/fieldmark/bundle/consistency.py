"""What the types of `fieldmark.json` cannot say: whether its parts fit each other."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fieldmark.bundle.layout import is_plain
from fieldmark.bundle.schema import Canary, Decision, Manifest, Variant

Problem = tuple[str, str]  # (field, what is wrong with it)


def problems(manifest: Manifest) -> Iterator[Problem]:
    """Each thing in `manifest` that no classifier can have, with the field that says it."""
    if not manifest.classes or "" in manifest.classes:
        yield "classes", "there must be at least one, and each needs a name"
    if len(set(manifest.classes)) != len(manifest.classes):
        yield "classes", "two classes bear the same name"
    if manifest.embedding_size < 1:
        yield "embedding_size", f"must be 1 or more, and is {manifest.embedding_size}"
    yield from _of_decision(manifest.decision, manifest.task, len(manifest.classes))
    for index, canary in enumerate(manifest.canaries):
        for field, what in _of_canary(canary, len(manifest.classes)):
            yield f"canaries[{index}].{field}", what
    if manifest.variant:
        for field, what in _of_variant(manifest.variant, manifest):
            yield f"variant.{field}", what


def _of_decision(decision: Decision, task: str, n_classes: int) -> Iterator[Problem]:
    if not (math.isfinite(decision.temperature) and decision.temperature > 0):
        yield "decision.temperature", f"must be a number above 0, and is {decision.temperature}"
    for name in ("slopes", "intercepts", "thresholds"):
        numbers = getattr(decision, name)
        if numbers is None:
            continue
        if task == "single":
            yield f"decision.{name}", f"only a multi-label classifier has {name}"
        if len(numbers) != n_classes:
            yield f"decision.{name}", f"{len(numbers)} {name} for {n_classes} classes"
        if not all(map(math.isfinite, numbers)):
            yield f"decision.{name}", "each must be a number"
    if not all(0 <= threshold <= 1 for threshold in decision.thresholds or ()):
        yield "decision.thresholds", "each must lie between 0 and 1"
    if not all(slope > 0 for slope in decision.slopes or ()):
        yield "decision.slopes", "each must be above 0"


def _of_canary(canary: Canary, n_classes: int) -> Iterator[Problem]:
    if not is_plain(canary.file):
        yield "file", f"{canary.file!r} leads out of the bundle's folder"
    if len(canary.tiles) != 48:
        yield "tiles", f"{len(canary.tiles)} numbers in place of 48"
    yield from _of_probabilities("probabilities", canary.probabilities, n_classes)


def _of_variant(variant: Variant, manifest: Manifest) -> Iterator[Problem]:
    if not variant.files:
        yield "files", "there must be at least one"
    for file in variant.files:
        if not is_plain(file):
            yield "files", f"{file!r} leads out of the bundle's folder"
    yield from _of_decision(variant.decision, manifest.task, len(manifest.classes))
    if variant.proof and len(variant.canaries) != len(manifest.canaries):
        yield "canaries", f"{len(variant.canaries)} answers for {len(manifest.canaries)} canaries"
    for index, probabilities in enumerate(variant.canaries):
        yield from _of_probabilities(f"canaries[{index}]", probabilities, len(manifest.classes))


def _of_probabilities(field: str, probabilities: tuple[float, ...], n_classes: int) -> Iterator[Problem]:
    if len(probabilities) != n_classes:
        yield field, f"{len(probabilities)} probabilities for {n_classes} classes"
    if not all(0 <= probability <= 1 for probability in probabilities):
        yield field, "each must lie between 0 and 1"
