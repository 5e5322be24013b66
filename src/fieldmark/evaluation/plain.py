"""An evaluation as plain values for `--json`: each figure under its own name, `"accuracy": {"value": ..., ...}`."""

from __future__ import annotations

from typing import Any

from fieldmark.evaluation.evaluation import Evaluation


def figures(evaluation: Evaluation | None) -> dict[str, Any] | None:
    """What the images were, how many, and every figure; None stays None."""
    if evaluation is None:
        return None
    return {"part": evaluation.part, "n": evaluation.n, "absent": evaluation.absent, **evaluation.figures}


def everything(evaluation: Evaluation) -> dict[str, Any]:
    """`figures`, and the classes, the confusions, the reliability and the cases worth a look."""
    return {
        **(figures(evaluation) or {}),
        "classes": evaluation.classes,
        "per_class": evaluation.per_class,
        "confusion": evaluation.confusion,
        "reliability": evaluation.reliability,
        "mistakes": evaluation.mistakes,
        "hits": evaluation.hits,
        "skipped": evaluation.skipped,
        "notes": evaluation.notes,
    }
