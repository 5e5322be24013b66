"""A training job made up for tests: coloured squares that a network of a few weights learns in seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from fieldmark.data.dataset import Dataset, Task
from fieldmark.data.geometry import Geometry
from fieldmark.encoders.encoder import Encoder
from fieldmark.encoders.row import EncoderRow
from fieldmark.progress import silent
from fieldmark.training.batches import Batch
from fieldmark.training.choosing import Choice
from fieldmark.training.job import Job
from fieldmark.training.mixing import Mix
from fieldmark.training.network import Network
from fieldmark.training.objective import Aim, Objective, objective
from fieldmark.training.plan import Plan
from fieldmark.training.recipe import Recipe

SIDE_PX = 16
COLOURS = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200]])


class TinyEncoder(Encoder):
    """One convolution, norm, dropout and mean: everything of a network that a checkpoint could get wrong."""

    embedding_size = 8

    def __init__(self, *, plain: bool = False) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, padding=1, stride=2, bias=False)
        self.norm = nn.Identity() if plain else nn.BatchNorm2d(8)
        self.dropout = nn.Dropout(0.0 if plain else 0.2)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.dropout(self.norm(self.convolution(pixels)).relu().mean((2, 3)))


def _build(size_px: int) -> TinyEncoder:
    return TinyEncoder()


ROW = EncoderRow(
    reference="made up",
    build=_build,
    geometry=lambda size_px: Geometry(size_px=size_px or SIDE_PX),
    method="network",
    trainable=True,
)
PLAN = Plan(
    epochs=4,
    batch=16,
    optimiser="sgd",
    learning_rate=0.05,
    weight_decay=5e-3,
    warmup=0.1,
    label_smoothing=0.1,
    augment="flip+shift",
    flip=True,
    crop_scale=1.0,
    shift_px=1,
    patience=0,
    precision="fp32",
    threads=1,
    seed=0,
)


def squares(images: int, seed: int = 0, noise: float = 40.0) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [N, 16, 16, 3] of a class's colour under noise, and int64 [N]."""
    random = np.random.default_rng(seed)
    targets = np.arange(images) % len(COLOURS)
    pixels = COLOURS[targets][:, None, None, :] + random.normal(0, noise, (images, SIDE_PX, SIDE_PX, 3))
    return pixels.clip(0, 255).astype(np.uint8), targets.astype(np.int64)


def table(
    root: Path, targets: np.ndarray, task: Task = "single", classes: tuple[str, ...] = ("r", "g", "b")
) -> Dataset:
    """A dataset of files that need not exist; their contents are told apart by their numbers."""
    text = np.array([f"{row:04d}" for row in range(len(targets))], object)
    empty = np.full(len(targets), "", object)
    sizes_px = np.full((len(targets), 2), SIDE_PX, np.int32)
    return Dataset(
        root=root,
        files=text,
        content=text,
        sizes_px=sizes_px,
        targets=targets,
        split=empty,
        group=empty,
        classes=classes,
        task=task,
    )


def write_files(folder: Path, images: int = 96) -> None:
    """The files that `table` names, as PNG without a suffix."""
    for row, pixels in enumerate(squares(images)[0]):
        with (folder / f"{row:04d}").open("wb") as file:
            Image.fromarray(pixels).save(file, "PNG")


def job(folder: Path, *, images: int = 96, task: Task = "single", seed: int = 0, **changes: Any) -> Job:
    """Two thirds of the squares to train on, a third to choose by; `changes` are fields of Job."""
    pixels, targets = squares(images, seed)
    if task == "multi":
        targets = np.eye(len(COLOURS), dtype=np.uint8)[targets]
    rows = np.random.default_rng(seed).permutation(images)
    cut = 2 * images // 3
    choice = Choice(
        model="tiny",
        row=ROW,
        method="network",
        head="linear",
        geometry=Geometry(size_px=SIDE_PX),
        folds=0,
        shares=(0.7, 0.15, 0.15),
        reasons=(),
    )
    fields: dict[str, Any] = {
        "data": table(folder, targets, task),
        "pixels": pixels,
        "train": rows[:cut],
        "validation": rows[cut:],
        "test": rows[:0],
        "fold": None,
        "split": "made up",
        "choice": choice,
        "recipe": Recipe(),
        "run_folder": folder,
        "resume": False,
        "deadline": None,
        "progress": silent,
    }
    return Job(**{**fields, **changes})


class Stopped(Exception):
    """Thrown from within a run, by its progress, to stop it where the test wants."""


def stop_at(step: int) -> Callable[..., None]:
    def progress(stage: str, done: int, total: int, remark: str = "") -> None:
        if done == step:
            raise Stopped

    return progress


def lowered(
    objective: Objective,
    logits: Tensor,
    targets: Tensor,
    at: float,
    places: Tensor | None = None,
    mix: Mix | None = None,
) -> Tensor:
    """What the objective makes of answers to images that were seen as they are."""
    return objective(logits, objective.aim(batch(targets, places), at, mix), at)


def failing_once(after: int) -> Callable[[Job, Plan], Objective]:
    """In place of `objective`: of the values that all of its objectives give, the one after so many is no number."""
    left = [after]

    class Failing(Objective):
        def __call__(self, logits: Tensor, aim: Aim, position: float) -> Tensor:
            left[0] -= 1
            return super().__call__(logits, aim, position) * (float("nan") if left[0] == -1 else 1.0)

    def made(job: Job, plan: Plan) -> Objective:
        whole = objective(job, plan)
        return Failing(**{field.name: getattr(whole, field.name) for field in fields(whole)})

    return made


def batch(targets: Tensor, places: Tensor | None = None) -> Batch:
    """What an objective is told of images that were seen as they are; pixels it is not shown."""
    places = torch.arange(len(targets)) if places is None else places
    nobody = torch.zeros(len(targets), dtype=torch.bool)
    return Batch(pixels=torch.empty(0), targets=targets, mirrored=nobody, places=places, rows=places)


def network(seed: int = 0, *, plain: bool = False) -> Network:
    """`plain`: without what makes an image's answer depend on the others of its batch, or on chance."""
    torch.manual_seed(seed)
    return Network(TinyEncoder(plain=plain), nn.Linear(TinyEncoder.embedding_size, len(COLOURS)))


def weights(trained: nn.Module) -> dict[str, bytes]:
    """Each tensor's bytes, for comparisons that forgive nothing."""
    return {name: value.detach().contiguous().numpy().tobytes() for name, value in trained.state_dict().items()}
