"""What is fitted on the images that no member learnt from: the rule, and how its answers are calibrated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fieldmark.bundle.schema import Decision
from fieldmark.combining.listening import Voice, listen
from fieldmark.combining.proving import as_logits
from fieldmark.combining.row import Combination, Evidence, Rule
from fieldmark.data.dataset import Dataset
from fieldmark.data.geometry import Geometry
from fieldmark.errors import DataError
from fieldmark.evaluation.evaluate import targets_by_name
from fieldmark.evaluation.evaluation import Evaluation
from fieldmark.evaluation.summarise import summarise
from fieldmark.inference.deciding import fit_decision, probabilities, weights_for
from fieldmark.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """`reasons` has a line for each choice; `validation` is measured on the very images that were fitted to."""

    rule: Rule
    reasons: tuple[str, ...]
    decision: Decision
    validation: Evaluation


def fit(
    row: Combination,
    voices: Mapping[str, Voice],
    validation: Dataset,
    geometry: Geometry,
    *,
    within: float,
    progress: Progress,
) -> Fitted:
    """Ask the members about `validation`, each by its name. DataError where no image can be read."""
    said, rows = listen([*voices.values()], validation, geometry, progress, stage="asking the members")
    readable = validation.rows(rows)
    if not len(readable):
        raise DataError(
            "no image of the validation part can be read", where=str(validation.root), do="mend or replace them"
        )
    manifest = next(iter(voices.values())).classifier.bundle.manifest
    targets, _ = targets_by_name(readable, manifest)
    # A world whose classes are alike is what they answer for, if they do, and so what they are judged in.
    fitted = weights_for(manifest.recipe.get("prior"), targets, manifest.task)
    weights = np.ones(len(targets)) if fitted is None else fitted
    evidence = Evidence(
        names=tuple(voices),
        said=said,
        targets=targets,
        weights=weights / weights.mean(),
        data=readable,
        within=within,
    )
    rule, reasons = row.fit(evidence)
    logits = as_logits(rule.probabilities(said), manifest.task)
    decision = fit_decision(logits, targets, manifest.task, fitted)
    measured = summarise(
        targets,
        probabilities(logits, decision, manifest.task),
        task=manifest.task,
        classes=manifest.classes,
        thresholds=decision.thresholds,
        files=readable.files.tolist(),
        part="validation",
    )
    return Fitted(rule=rule, reasons=reasons, decision=decision, validation=measured)
