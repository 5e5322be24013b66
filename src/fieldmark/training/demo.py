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

from fieldmark.progress import Progress, silent
from fieldmark.training.contenders import Contender
from fieldmark.training.recipe import Recipe
from fieldmark.training.run import Trained
from fieldmark.training.selecting import choose

SIDE_PX = 32
BUDGET = "2m"
CANDIDATES = (
    Contender(name="hog rbf-svm", recipe=Recipe(model="hog", head="rbf-svm")),
    Contender(name="lenet", recipe=Recipe(model="lenet")),
    Contender(name="resnet-small", recipe=Recipe(model="resnet-small")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """Where the digits lie, and what was chosen and trained."""

    data: Path
    trained: Trained


def demonstrate(out: str | Path, progress: Progress = silent) -> Demonstration:
    """Write the digits to `out/digits`, and choose among three ways to learn them: `out/digits.fieldmark`."""
    out = Path(out)
    data = write_digits(out / "digits")
    trained = choose(data, out=out / "digits.fieldmark", budget=BUDGET, candidates=CANDIDATES, progress=progress)
    return Demonstration(data=data, trained=trained)


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
