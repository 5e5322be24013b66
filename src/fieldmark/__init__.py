"""Fieldmark turns a folder of images into a classifier you can trust, and says how sure it is.

>>> import fieldmark
>>> data = fieldmark.read("photos")                       # doctest: +SKIP
>>> trained = fieldmark.train(data, out="photos.fieldmark")  # doctest: +SKIP
>>> fieldmark.load("photos.fieldmark").predict("cat.jpg")    # doctest: +SKIP
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# onnxruntime (from 1.29 on), NNCF and MLflow tell their makers how they are used, and which machine it is, unless
# they are told not to before they are imported. Who sets these to something else beforehand has it so.
for _quiet in ("ORT_DISABLE_TELEMETRY", "NNCF_CI", "MLFLOW_DISABLE_TELEMETRY"):
    os.environ.setdefault(_quiet, "1")

if TYPE_CHECKING:
    from fieldmark.combining.run import combine as combine
    from fieldmark.conversion.run import export as export
    from fieldmark.data.dataset import Dataset as Dataset
    from fieldmark.data.reading import read as read
    from fieldmark.errors import FieldmarkError as FieldmarkError
    from fieldmark.evaluation.evaluate import evaluate as evaluate
    from fieldmark.evaluation.evaluation import Evaluation as Evaluation
    from fieldmark.inference.classifier import Classifier as Classifier
    from fieldmark.inference.classifier import load as load
    from fieldmark.measures.estimate import Estimate as Estimate
    from fieldmark.training.demo import demonstrate as demonstrate
    from fieldmark.training.recipe import Recipe as Recipe
    from fieldmark.training.run import train as train
    from fieldmark.training.selecting import choose as choose

# Public name -> the module it lives in; imported on first use, so that `import fieldmark` costs nothing.
_HOMES = {
    "read": "fieldmark.data.reading",
    "Dataset": "fieldmark.data.dataset",
    "train": "fieldmark.training.run",
    "combine": "fieldmark.combining.run",
    "export": "fieldmark.conversion.run",
    "Recipe": "fieldmark.training.recipe",
    "choose": "fieldmark.training.selecting",
    "evaluate": "fieldmark.evaluation.evaluate",
    "Evaluation": "fieldmark.evaluation.evaluation",
    "load": "fieldmark.inference.classifier",
    "Classifier": "fieldmark.inference.classifier",
    "Estimate": "fieldmark.measures.estimate",
    "demonstrate": "fieldmark.training.demo",
    "FieldmarkError": "fieldmark.errors",
}
_TRAINING_EXTRA = ("torch", "torchvision", "timm", "accelerate", "sklearn", "safetensors", "onnx")
__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fieldmark' has no attribute {name!r}")
    import importlib

    try:
        return getattr(importlib.import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _TRAINING_EXTRA:
            raise
        from fieldmark.errors import MissingExtra

        raise MissingExtra(
            f"{name} needs the training half, and {error.name} is not installed",
            where=f"fieldmark.{name}",
            do="pip install 'fieldmark[train]' (on a machine without a GPU, get torch from its CPU index first)",
        ) from None


def __dir__() -> list[str]:
    return sorted(__all__)
