"""Every choice of a training run, as asked. `"auto"` is resolved by `resolve`, and written into the bundle.

The command line's flags are derived from these fields: name, type, choices, bounds and the line of help.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Auto = Literal["auto"]


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to train and how. Precedence: default < recipe file < flag."""

    model: Annotated[str, Meta(description="encoder: a name from `fieldmark models`, or several with +")] = "auto"
    head: Annotated[str, Meta(description="head: a name from `fieldmark models`")] = "auto"
    method: Annotated[
        Literal["auto", "probe", "network"],
        Meta(description="probe: embed once, fit a head; network: train encoder and head together"),
    ] = "auto"
    weights: Annotated[str, Meta(description="starting weights: auto, none, or a .safetensors / .pth file")] = "auto"
    size: Annotated[int, Meta(ge=8, le=4096, description="input size in px")] | Auto = "auto"
    fit: Annotated[Literal["auto", "crop", "pad", "squash"], Meta(description="how a picture becomes a square")] = (
        "auto"
    )
    folds: (
        Annotated[int, Meta(ge=0, le=100, description="K-fold: report pools out-of-fold predictions; 0: one split")]
        | Auto
    ) = "auto"
    split: Annotated[
        str, Meta(description="shares train,validation,test where the data gives none; auto: 0.7,0.15,0.15")
    ] = "auto"
    seed: Annotated[int, Meta(ge=0, description="one seed for everything that is random")] = 0
    budget: Annotated[
        str, Meta(description="wall clock for the whole command, as 90s, 10m or 2h; none: no limit")
    ] = "none"
    epochs: Annotated[float, Meta(gt=0, description="passes over the training images")] | Auto = "auto"
    batch: Annotated[int, Meta(ge=1, description="images per step")] | Auto = "auto"
    micro_batch: Annotated[
        int, Meta(ge=0, description="images through the network at once, gradients summed up to --batch; 0: all")
    ] = 0
    optimiser: Annotated[str, Meta(description="how steps are taken: muon, sgd, adamw or lion")] = "auto"
    learning_rate: Annotated[float, Meta(gt=0, description="peak learning rate")] | Auto = "auto"
    weight_decay: Annotated[float, Meta(ge=0, description="decoupled weight decay")] | Auto = "auto"
    frozen_share: (
        Annotated[
            float, Meta(ge=0, lt=1, description="share of the layers, from the input on, that stay as they came")
        ]
        | Auto
    ) = "auto"
    schedule: Annotated[str, Meta(description="how the rate rises and falls: cosine, triangle or one-cycle")] = "auto"
    warmup: Annotated[float, Meta(ge=0, le=1, description="share of steps in which the rate rises")] | Auto = "auto"
    clip: Annotated[
        float, Meta(ge=0, description="largest norm of a step's gradient; longer ones are shortened; 0: none are")
    ] = 0.0
    loss: Annotated[str, Meta(description="what training lowers: cross-entropy, or see docs/training.md")] = "auto"
    label_smoothing: (
        Annotated[float, Meta(ge=0, lt=1, description="share of truth given to other classes")] | Auto
    ) = "auto"
    teacher: Annotated[
        str,
        Meta(description="a bundle whose answers are learnt as well as the labels (distillation); none: no teacher"),
    ] = "none"
    balance: Annotated[str, Meta(description="remedy for uneven classes, none or another: docs/training.md")] = "auto"
    noisy: Annotated[
        Literal["no", "yes"],
        Meta(description="estimate how many labels are wrong and which, choose the remedy by it, list the suspects"),
    ] = "no"
    suspects: Annotated[
        Literal["keep", "down-weight", "drop"],
        Meta(description="what training does with images whose label looks wrong (with --noisy yes)"),
    ] = "keep"
    remedy: Annotated[str, Meta(description="against wrong labels, none or another: docs/training.md")] = "auto"
    noise_rate: (
        Annotated[float, Meta(ge=0, lt=1, description="share of wrong labels that a remedy reckons with")] | Auto
    ) = "auto"
    prior: Annotated[
        Literal["auto", "data", "even"],
        Meta(description="the world to answer for: classes as common as in the data, or all alike"),
    ] = "auto"
    augment: Annotated[
        str,
        Meta(description="random views of training images: auto, none, light, strong, or names: docs/training.md"),
    ] = "auto"
    flip: Annotated[Literal["auto", "yes", "no"], Meta(description="mirror training images at random")] = "auto"
    mirror: Annotated[
        Literal["auto", "yes", "no"],
        Meta(description="answer for the image and its mirror image together: better, at twice the work"),
    ] = "auto"
    crop_scale: (
        Annotated[
            float,
            Meta(gt=0, le=1, description="smallest share of the area that a random crop keeps; 1: no crops"),
        ]
        | Auto
    ) = "auto"
    patience: (
        Annotated[int, Meta(ge=0, description="stop after so many epochs without a better validation; 0: never")]
        | Auto
    ) = "auto"
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"], Meta(description="arithmetic of the training loop")
    ] = "auto"
    threads: Annotated[int, Meta(ge=1, description="processor threads")] | Auto = "auto"
    log: Annotated[
        str,
        Meta(description="who is told of training, beside log.jsonl: tensorboard, mlflow, or both with +"),
    ] = "none"
