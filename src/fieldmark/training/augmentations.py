"""Random views of training images: the table of augmentations, in the order in which they are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fieldmark.table import Table
from fieldmark.training import mixing, views
from fieldmark.training.plan import Plan

# Pixels uint8 [N, S, S, 3] of the images to be changed -> new ones of the same shape.
Change = Callable[[Tensor, Plan, torch.Generator], Tensor]
# Pixels of the images to be mixed and of their partners -> pixels, and the share of the first, float32 [N].
Mixture = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """A row: a `change` of single images or a `mix` of two. `chance` is the share of images that it is done to;
    `alternating` ones are done to an image in every other epoch instead. `keeps_signs`: a 6 stays a 6, and so it may
    be chosen for signs without being asked for."""

    name: str
    summary: str
    reference: str
    keeps_signs: bool
    chance: float = 1.0
    alternating: bool = False
    change: Change | None = None
    mix: Mixture | None = None


ROWS = (
    Augmentation(
        name="crop",
        summary="a part of the image, of --crop-scale of its area or more, fills the whole",
        reference="Szegedy et al. 2015, Going deeper with convolutions",
        keeps_signs=True,
        change=views.crop,
    ),
    Augmentation(
        name="flip",
        summary="left and right swapped in every other epoch",
        reference="Jordan 2024, 94% on CIFAR-10 in 3.29 seconds on a single GPU",
        keeps_signs=False,
        alternating=True,
        change=views.flip,
    ),
    Augmentation(
        name="shift",
        summary="moved by up to a sixteenth of the side",
        reference="He et al. 2016, Deep residual learning for image recognition",
        keeps_signs=True,
        change=views.shift,
    ),
    Augmentation(
        name="colour",
        summary="brightness, contrast and saturation by up to 40 %; not where colour tells classes apart",
        reference="Howard 2013, Some improvements on deep convolutional neural network based image classification",
        keeps_signs=True,
        change=views.colour,
    ),
    Augmentation(
        name="trivial",
        summary="one of fourteen operations an image, of any strength up to extreme",
        reference="Müller and Hutter 2021, TrivialAugment: tuning-free yet state-of-the-art data augmentation",
        keeps_signs=False,
        change=views.trivial,
    ),
    Augmentation(
        name="upright",
        summary="as trivial, but turned by 15 degrees at most and hardly slanted or moved",
        reference="Müller and Hutter 2021, with ranges under which signs keep their meaning",
        keeps_signs=True,
        change=views.upright,
    ),
    Augmentation(
        name="rand",
        summary="two of fourteen operations an image, of middling strength",
        reference="Cubuk et al. 2020, RandAugment; 2 operations at level 9 of 30",
        keeps_signs=True,
        change=views.rand,
    ),
    Augmentation(
        name="erase",
        summary="in one image of four a box becomes noise",
        reference="Zhong et al. 2020, Random erasing data augmentation",
        keeps_signs=False,
        chance=0.25,
        change=views.erase,
    ),
    Augmentation(
        name="mixup",
        summary="two images shine through each other, and so do their labels",
        reference="Zhang et al. 2018, mixup: beyond empirical risk minimization; alpha 0.2",
        keeps_signs=True,
        mix=mixing.mixup,
    ),
    Augmentation(
        name="cutmix",
        summary="in one image of two a box shows another image, and labels count by area",
        reference="Yun et al. 2019, CutMix: regularization strategy to train strong classifiers",
        keeps_signs=False,
        chance=0.5,
        mix=mixing.cutmix,
    ),
)
AUGMENTATIONS: Table[Augmentation] = Table.rows("augmentation", ROWS)


def rows_of(names: str) -> tuple[Augmentation, ...]:
    """`"flip+trivial"` as rows, in the table's order whatever the order of the names; `"none"` as no rows."""
    chosen = [] if names == "none" else [AUGMENTATIONS[name] for name in names.split("+")]
    return tuple(row for row in ROWS if row in chosen)
