"""The demonstration: real handwritten digits, three ways to learn them, one comparison.

Data: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits (UCI, 1998), as scikit-learn carries it: 1,797
digits of 8 x 8 px. They are written out as image files, so that the demonstration takes the path that any folder
of photos takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from fieldmark.progress import Progress
from fieldmark.training.recipe import Recipe
from fieldmark.training.run import Trained, train

SIDE_PX = 32
CONTENDERS = (
    ("hog-svm", Recipe(model="hog", head="rbf-svm")),
    ("lenet", Recipe(model="lenet")),
    ("resnet-small", Recipe(model="resnet-small")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """The contenders in order of their validation accuracy, best first; the test part had no say in the order."""

    data: Path
    ranked: tuple[Trained, ...]


def demonstrate(out: Path, progress: Progress) -> Demonstration:
    """Write the digits to `out/digits`, train every contender to `out/NAME.fieldmark`, and rank them."""
    data = write_digits(out / "digits")

    def train_one(name: str, recipe: Recipe) -> Trained:
        def named(stage: str, done: int, total: int, remark: str = "") -> None:
            progress(f"{name}: {stage}", done, total, remark)

        return train(data, out=out / f"{name}.fieldmark", recipe=recipe, progress=named)

    trained = [train_one(name, recipe) for name, recipe in CONTENDERS]
    return Demonstration(data=data, ranked=tuple(sorted(trained, key=_rank)))


def write_digits(folder: Path) -> Path:
    """Every fourth digit is for testing (450 images), every eighth for validation (225), the rest for training."""
    digits = load_digits()
    for number, (grey, label) in enumerate(zip(digits.images, digits.target)):
        part = "test" if number % 4 == 0 else "validation" if number % 8 == 1 else "train"
        file = folder / part / str(label) / f"{number:04d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(np.round(grey * (255 / 16)).astype(np.uint8))
        small.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC).save(file)
    return folder


def _rank(trained: Trained) -> tuple[float, int]:
    validation = trained.report.validation
    accuracy = validation.figures["accuracy"].value if validation else None
    return (-(accuracy or 0.0), trained.report.size_bytes)
