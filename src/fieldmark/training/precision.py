"""Which arithmetic is fastest here: known by trying, not by the processor's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

Precision = Literal["fp32", "bf16", "fp16"]
WORTH_IT = 1.2  # a smaller gain is not worth bf16's rounding
FEW_PIXELS = 4_000_000  # in a pass (80 photos of 224 px): soon learnt, and a clock has no part in what comes out


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Images a second: `learning` is forward and backward, `answering` forward alone."""

    learning: float
    answering: float


def fastest_precision(learning: Callable[[Precision], float] | None, pixels: int) -> tuple[Precision, str]:
    """bf16 where the device has it and the network is measured faster in it, else fp32; and the evidence, in words.

    `learning` gives the images that the network in question learns from in a second: bf16 is quicker for plain
    convolutions, slower for depthwise ones, and fp32 alone has Winograd's. None: there is nothing to measure. Where a
    pass has few `pixels`, fp32 is taken without a race that noise could decide.
    """
    if torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return ("bf16", "the GPU has it") if native else ("fp32", "the GPU has no bf16")
    # Elsewhere bf16 is emulated, ten times slower than fp32.
    if not (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return "fp32", "the processor has no bf16 arithmetic"
    if learning is None:
        return "fp32", "exact, and nothing says that bf16 would be quicker"
    if pixels < FEW_PIXELS:
        return "fp32", "exact, and there is little to learn from"
    exact, rounded = learning("fp32"), learning("bf16")
    evidence = f"the network learns from {rounded:.0f} images/s in bf16, from {exact:.0f} in fp32"
    return "bf16" if rounded > WORTH_IT * exact else "fp32", evidence
