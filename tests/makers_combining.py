"""Tiny bundles that disagree, and labelled files on which the second is right where the first is not sure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

import makers_bundle as make
from fieldmark.bundle.schema import Decision
from fieldmark.data.geometry import Geometry
from fieldmark.inference.classifier import load

TURNED = ("wolf", "cat", "dog")  # makers_bundle's classes in another order
SURE = 0.85
PARTS = {"train": 12, "validation": 80, "test": 60}


def member(
    folder: Path,
    name: str,
    *,
    seed: int,
    size_px: int = make.SIZE_PX,
    classes: tuple[str, ...] = make.CLASSES,
    task: str = "single",
    temperature: float = 2.0,
    **changes: object,
) -> Path:
    """A bundle of a random network; `changes` are fields of its manifest."""
    fields = {
        "name": name,
        "classes": classes,
        "task": task,
        "geometry": Geometry(size_px=size_px),
        "decision": Decision(temperature=temperature),
    }
    encoded = make.graph(len(classes), seed, size_px)
    return make.write_bundle(folder / f"{name}.fieldmark", encoded_graph=encoded, **{**fields, **changes})


def pair(folder: Path, **changes: object) -> list[Path]:
    """A small one and a large one; `changes` are of the second."""
    task = str(changes.get("task", "single"))
    first = member(folder, "small", seed=1, task=task)
    return [first, member(folder, "large", **{"seed": 2, "temperature": 0.7, **changes})]


def labelled(folder: Path, members: Sequence[Path], parts: dict[str, int] | None = None) -> Path:
    """A manifest of pictures. Nine in ten bear the label that the first member gives where it is sure, and that of
    the second where the first is not."""
    small, large = map(load, members)
    manifest, random = large.bundle.manifest, np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    rows = [f"file,{'label' if manifest.task == 'single' else 'labels'},split"]
    number = 0
    for part, count in (parts or PARTS).items():
        for _ in range(count):
            file = folder / "images" / f"{number}.png"
            Image.fromarray(make.pictures(1, 16, seed=number)[0]).save(file)
            first, second = small.predict(file), large.predict(file)
            sure = manifest.task == "single" and first.probabilities.max() >= SURE
            labels: Sequence[str] = first.labels if sure else second.labels
            if random.random() < 0.1 or (part == "train" and number < len(manifest.classes)):
                labels = (manifest.classes[number % len(manifest.classes)],)
            rows.append(f"images/{number}.png,{'|'.join(labels)},{part}")
            number += 1
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return folder / "list.csv"
