"""How large a network is and how much it computes, counted on the network itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from fieldmark.encoders.catalogue import Model
from fieldmark.encoders.row import EncoderRow
from fieldmark.errors import FieldmarkError
from fieldmark.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Of an encoder without a classifier: learnt numbers, and the multiply-adds of its convolutions, matrix products
    and attention for one image of `size_px`."""

    size_px: int
    parameters: int
    multiply_adds: int


def count(row: EncoderRow, size_px: int | None = None) -> Counts:
    """At the row's own size, if none is given. A network is only traced: no weight is drawn, no pixel computed."""
    size_px = row.geometry(size_px).size_px
    # Fixed encoders compute tables when they are built, so they need numbers in their tensors.
    with torch.device("meta" if row.trainable else "cpu"), torch.no_grad():
        encoder = row.build(size_px).eval()
        pixels = torch.zeros(1, 3, size_px, size_px)
        with FlopCounterMode(display=False) as counter:
            encoder(pixels)
    parameters = sum(parameter.numel() for parameter in encoder.parameters())
    return Counts(size_px=size_px, parameters=parameters, multiply_adds=counter.get_total_flops() // 2)


def counted(names: Sequence[str], progress: Progress) -> tuple[list[Model], dict[str, str]]:
    """timm's networks by name, each with its counts; and of those that cannot be built, why."""
    from fieldmark.encoders.zoo import hub_file, zoo_row  # takes seconds to import

    models, refused = [], {}
    for done, name in enumerate(names):
        progress("counting", done, len(names), name)
        try:
            counts = count(zoo_row(name))
        except (FieldmarkError, RuntimeError, NotImplementedError) as refusal:
            refused[name] = str(refusal).partition("\n")[0][:120]
            continue
        models.append(
            Model(
                name=name,
                summary="",
                family="",
                size_px=counts.size_px,
                parameters=counts.parameters,
                multiply_adds=counts.multiply_adds,
                licence=hub_file(name)[2],
            )
        )
    progress("counting", len(names), len(names))
    return models, refused
