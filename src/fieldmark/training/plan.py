"""The training loop's settings with nothing left to decide."""

from __future__ import annotations

from typing import Literal

import msgspec

from fieldmark.training.balances import Prior

ScoreName = Literal["accuracy", "balanced accuracy", "negative log-loss", "mean average precision"]


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Same plan, same data, same machine: the same bytes.

    `epochs` already fits the budget, if there was one, and so may end within a pass. `refits` (step, total steps
    from there on) is how the schedule met that budget while it ran; empty: one schedule from start to end. `cuts`
    (step, factor) is where a loss that was no number made the learning rate smaller from there on. `halvings` (step,
    images) is where memory did not suffice, and so many images at most go through the network at once from there on.
    """

    epochs: float
    batch: int  # images a step, of all processes together
    micro_batch: int = 0  # so many of them at most go through the network of a process at once; 0: all
    optimiser: str
    learning_rate: float
    weight_decay: float
    first_layer_rate: float = 1.0  # share of the rate that the first layer gets; between it and the head, in steps
    frozen_share: float = 0.0  # of the weights, counted as tensors from the input on, that stay as they came
    keeps_statistics: bool = False  # batch normalisation goes by the averages that the pretrained weights came with
    schedule: str = "cosine"
    warmup: float
    clip: float = 0.0  # largest norm of the gradient of all weights together; 0: any
    average: float = 0.0  # share of the schedule over which weights are averaged; 0: the last step's
    loss: str = "cross-entropy"
    label_smoothing: float
    teacher: str = "none"  # a bundle; its answers are learnt as well as the labels
    teacher_share: float = 0.0  # of the loss that is the distance from the teacher
    teacher_temperature: float = 1.0  # by which both answers are softened for that
    balance: str = "none"
    remedy: str = "none"  # against wrong labels
    noise_rate: float = 0.0  # share of wrong labels that the remedy reckons with
    prior: Prior = "data"  # how common classes are in the world that is answered for
    score: ScoreName = "accuracy"  # what the best epoch is best in
    augment: str  # names of augmentations joined with +, or none; the next three are how strong three of them are
    flip: bool
    crop_scale: float
    shift_px: int = 0  # random shift of so many pixels each way, edges mirrored
    mirror: bool = False  # answers are those of the image and its mirror image together
    patience: int
    precision: Literal["fp32", "bf16", "fp16"]
    threads: int
    processes: int = 1
    seed: int
    refits: tuple[tuple[int, int], ...] = ()
    cuts: tuple[tuple[int, float], ...] = ()
    halvings: tuple[tuple[int, int], ...] = ()
