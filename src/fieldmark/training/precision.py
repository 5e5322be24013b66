"""Which arithmetic is fastest here: known by trying, not by the processor's name."""

from __future__ import annotations

import time
from typing import Literal

import torch
from torch import nn

Precision = Literal["fp32", "bf16", "fp16"]
WORTH_IT = 1.2  # a smaller gain is not worth bf16's rounding


def fastest_precision(threads: int) -> tuple[Precision, str]:
    """bf16 where the device has it and it is measured faster, else fp32; and the evidence, in words."""
    if torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return ("bf16", "the GPU has it") if native else ("fp32", "the GPU has no bf16")
    # Elsewhere bf16 is emulated, ten times slower than fp32.
    if not (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return "fp32", "the processor has no bf16 arithmetic"
    gain = _step_seconds(torch.float32, threads) / _step_seconds(torch.bfloat16, threads)
    return ("bf16" if gain > WORTH_IT else "fp32"), f"a bf16 convolution step ran {gain:.1f} x as fast as fp32"


def _step_seconds(dtype: torch.dtype, threads: int) -> float:
    """Best of a few forward and backward passes of a typical convolution; about 0.1 s in all."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    layer = nn.Conv2d(64, 64, 3, padding=1, bias=False)
    pixels = torch.rand(64, 16, 16, 64).permute(0, 3, 1, 2)
    best_s = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
            layer(pixels).float().sum().backward()
        best_s = min(best_s, time.perf_counter() - began)
    torch.set_num_threads(before)
    return best_s
